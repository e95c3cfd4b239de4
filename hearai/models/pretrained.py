"""Pre-trained weights: whether they can be had, said within seconds, and loading them from the local cache first."""

import difflib
import http.client
import logging
import pickle
import queue
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import timm
import torch
from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError
from timm.models import PretrainedCfg
from torch import nn
from torchvision.models import WeightsEnum

from hearai.errors import ConfigError

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
"""Seconds until a host that does not answer counts as out of reach (the hub's client retries for 45)."""

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of timm's weights in a hub repository, in the order timm asks for them."""

BROKEN = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError, SafetensorError)
"""What readers of weights raise over a file that holds none, or more than weights."""


def check_model_name(model_path: str) -> None:
    """Raises a ConfigError with close matches unless timm has a model of this name."""
    architecture, _, tag = model_path.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*") if tag else []
    if timm.is_model(model_path) and (not tag or model_path in tagged):
        return
    close = difflib.get_close_matches(model_path, tagged or timm.list_models(), n=5)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    raise ConfigError(
        f"feature_extractor.model_path: {model_path!r} is no model of timm {timm.__version__}{hint} "
        "(timm.list_models() gives all)"
    )


@dataclass(frozen=True)
class WeightSource:
    """The pre-trained weights of one network: where they are looked for."""

    model: str
    urls: tuple[str, ...] = ()
    """Any of them will do; none = there are no such weights."""
    cached: Path | None = None
    """On this machine's disk."""
    on_hub: bool = False
    """Whether the Hugging Face hub's own settings hold for it."""


def timm_weights(model_path: str) -> WeightSource:
    """Where timm's weights of a model are.

    Raises:
        ConfigError: timm has no such model.
    """
    check_model_name(model_path)
    cfg = timm.get_pretrained_cfg(model_path)
    if cfg is None or not cfg.has_weights:
        return WeightSource(model_path)
    return WeightSource(model_path, tuple(_urls(cfg)), _cached(cfg), on_hub=bool(cfg.hf_hub_id))


def torchvision_weights(weights: WeightsEnum) -> WeightSource:
    """Where torchvision's weights are."""
    return WeightSource(str(weights), (weights.url,), _downloaded(weights.url))


def resolve_pretrained(source: WeightSource, wanted: bool | Literal["auto"]) -> bool:
    """Whether to start from pre-trained weights; asks the cache, then the network, for a few seconds at most.

    Raises:
        ConfigError: `wanted` is true and the weights cannot be had.
    """
    if wanted is False:
        return False
    obstacle = _obstacle(source)
    if obstacle is None:
        return True
    if wanted is True:
        raise ConfigError(_no_weights(source.model, obstacle))
    logger.warning("no pretrained weights for %s (%s): starting from random ones", source.model, obstacle)
    return False


def load_pretrained(model_path: str) -> nn.Module:
    """The timm model without its classifier, with timm's weights.

    Raises:
        ConfigError: the weights cannot be had.
    """
    source = timm_weights(model_path)
    if obstacle := _obstacle(source):
        raise ConfigError(_no_weights(model_path, obstacle))
    overlay = {"file": str(source.cached)} if source.cached else None
    try:
        return timm.create_model(model_path, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
    except BROKEN as error:
        raise ConfigError(_no_weights(model_path, _reason(error, source))) from None


def load_torchvision(build: Callable[..., nn.Module], weights: WeightsEnum) -> nn.Module:
    """A torchvision model with its weights.

    Raises:
        ConfigError: the weights cannot be had, or their file is broken.
    """
    source = torchvision_weights(weights)
    if obstacle := _obstacle(source):
        raise ConfigError(_no_weights(source.model, obstacle))
    net = build(num_classes=len(weights.meta["categories"]))
    try:  # `build(weights=...)` would unpickle whatever lies in the cache
        net.load_state_dict(weights.get_state_dict(check_hash=True, weights_only=True))
    except BROKEN as error:
        raise ConfigError(_no_weights(source.model, _reason(error, source))) from None
    return net


def _reason(error: Exception, source: WeightSource) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{source.cached}: {reason}" if source.cached else reason


def _no_weights(model: str, obstacle: str) -> str:
    return (
        f"feature_extractor.pretrained: true, but the weights of {model} cannot be had ({obstacle}); "
        "give pretrained: auto or false, or a feature_extractor.checkpoint written by pre-training"
    )


def _obstacle(source: WeightSource) -> str | None:
    """Why the weights cannot be had; None where they are cached or their host answers."""
    if not source.urls:
        return "there are none for it"
    if source.cached:
        return None
    if source.on_hub and constants.HF_HUB_OFFLINE:
        return "not cached, and HF_HUB_OFFLINE is set"
    refusal = _ask(list(source.urls))
    return refusal and f"not cached, and {refusal}"


def _hub_files(cfg: PretrainedCfg) -> list[tuple[str, str, str | None]]:
    """(repository, file name, revision) under which the hub may have the weights."""
    if not cfg.hf_hub_id:
        return []
    repository, _, revision = cfg.hf_hub_id.partition("@")
    names = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else WEIGHT_FILES
    return [(repository, name, revision or None) for name in names]


def _cached(cfg: PretrainedCfg) -> Path | None:
    """timm's weights on this machine's disk."""
    for repository, name, revision in _hub_files(cfg):
        found = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return _downloaded(cfg.url) if cfg.url and not cfg.hf_hub_id else None


def _downloaded(url: str) -> Path | None:
    """Where torch's hub has put a file it has loaded before."""
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    return path if path.is_file() else None


def _urls(cfg: PretrainedCfg) -> list[str]:
    if cfg.hf_hub_id:
        return [hf_hub_url(repository, name, revision=revision) for repository, name, revision in _hub_files(cfg)]
    return [cfg.url]


def _ask(urls: list[str]) -> str | None:
    """Why none of the files is within reach; None where one is. A name server may hang, hence the thread."""
    answer: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=lambda: answer.put(_first_refusal(urls)), daemon=True).start()
    try:
        return answer.get(timeout=ANSWER_TIMEOUT_S)
    except queue.Empty:
        return f"{urls[0]} does not answer within {ANSWER_TIMEOUT_S:g} s"


def _first_refusal(urls: list[str]) -> str | None:
    refusals = []
    for url in urls:
        if (refusal := _head(url)) is None:
            return None
        refusals.append(refusal)
    return refusals[0]


def _head(url: str) -> str | None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=ANSWER_TIMEOUT_S):
            return None
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
