"""Hyperparameter search for sign-language models: video -> frames -> extractor -> transformer -> heads.

The Python API (`hearai.load_config`, `fit`, `search`, `load_study`, `load_model`) is in `hearai/api/`; docs/api.md.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hearai.threads import limit_spinning

if TYPE_CHECKING:
    from hearai.api import Model, SavedStudy, fit, load_config, load_model, load_study, search

__all__ = ["Model", "SavedStudy", "fit", "load_config", "load_model", "load_study", "search"]

NO_TELEMETRY = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: reports to Microsoft, and writes a device id below ~/.cache
    "HF_HUB_DISABLE_TELEMETRY": "1",  # Hugging Face: versions of libraries and a session id in each download
}
"""{variable: value}: libraries send nothing about their use, unless the user's environment says otherwise.

Ray's is switched off in `hearai.search.cluster.connect`, MLflow's in `hearai.training.outputs.remote_trackers`, and
MediaPipe's in `hearai.data.landmarks.extraction`.
"""

os.environ.update({**NO_TELEMETRY, **os.environ})  # before these libraries are imported
limit_spinning()  # before modules of this package import torch and NumPy, in scripts and in trials


def __getattr__(name: str) -> Any:
    """The functions of the API, imported at their first use: torch and Ray take seconds."""
    if name == "search":
        return importlib.import_module("hearai.search")
    if name in __all__:
        return getattr(importlib.import_module("hearai.api"), name)
    raise AttributeError(f"module 'hearai' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _SearchPackage(ModuleType):
    """The package `hearai.search`, called: `hearai.api.search`. Both are known by this name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return importlib.import_module("hearai.api").search(*args, **options)


class _Package(ModuleType):
    """Python stores each submodule here when it is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "search" and isinstance(value, ModuleType):
            value.__class__ = _SearchPackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
