"""Fixtures for all tests: datasets of real JPEGs, configs small enough for a CPU, scripts, an S3 server."""

import hearai  # noqa: F401  # isort: skip  (before NumPy: it decides on the threads of libraries)

import json
import logging
import os
import random
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hearai.config.config import Config, build_config
from hearai.config.model_parts.code_folder import forget_code
from hearai.config.overrides import override
from hearai.data.annotations.load import forget_data
from hearai.files import caches_in
from hearai.sign.hamnosys import HEADS
from hearai.sign.skeleton import PARTS
from tests.helpers import ROOT
from tests.helpers.s3_server import Bucket, s3_bucket

SCRIPTS = ROOT / "experiments"
RAY_FIXTURES = {"ray_session", "on_slurm"}

torch.set_num_threads(1)  # such small models are slower with more


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that use Ray, and groups tests for pytest-xdist: all with Ray in one process, others by file."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.path.parent.name == "faults" or RAY_FIXTURES & set(fixtures):
            item.add_marker(pytest.mark.ray)
        item.add_marker(pytest.mark.xdist_group("ray" if item.get_closest_marker("ray") else item.path.stem))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stops where pytest-xdist ignored the groups: it appends `@GROUP` to node ids, which pytest 9.2 drops."""
    if getattr(session.config.option, "loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        pytest.exit("pytest-xdist does not group tests with this version of pytest; see requirements.txt", 2)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps features and backbones of the tests out of the user's cache."""
    with caches_in(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(autouse=True)
def no_own_code() -> Iterator[None]:
    """Ends the use of a folder with code of the user's own after each test, and forgets its datasets."""
    yield
    forget_code()
    forget_data()  # the next test may have its files in a folder of the same name


def write_clip(folder: Path, name: str, frames: int, *, size: int, seed: int, fps: float | None) -> None:
    """Writes frames of a coarse random pattern that shifts slightly, so that the frames of a clip are similar."""
    (folder / name).mkdir(parents=True)
    pattern = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    for i in range(frames):
        image = Image.fromarray(np.roll(pattern, i % 4, axis=1)).resize((size, size), Image.Resampling.NEAREST)
        image.save(folder / name / f"{Path(name).name}_{i}.jpg", quality=90)
    if fps is not None:
        (folder / name / f"{Path(name).name}_properties.json").write_text(json.dumps({"FPS": fps}))


def write_landmarks(folder: Path, name: str, frames: int, *, seed: int) -> None:
    """Writes landmarks: a fixed body, hands whose position depends on the clip; no left hand in frame 0."""
    rng, arrays = np.random.default_rng(seed), {}
    for part, count in (*PARTS.items(), ("face", 5)):
        start = rng.uniform(0.2, 0.8, (1, count, 3))
        arrays[part] = (start + np.linspace(0, 0.1, frames)[:, None, None]).astype(np.float32)
    arrays["pose"][:, 11], arrays["pose"][:, 12] = (0.6, 0.5, 0.0), (0.4, 0.5, 0.0)
    arrays["left_hand"][0] = np.nan
    np.savez(folder / name / f"{Path(name).name}.npz", **arrays)


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """make_dataset(name="data", *, clips, frames, classes, signers, size, fps, landmarks) -> folder.

    Clip c0, c1, ... has gloss `i % classes`, signer `s{i % signers}` (0 = no signers.csv), a random
    HamNoSys row, and `frames + i % 2` frames: those of its class, or of its own from `first_seed` on.
    """

    def make(
        name: str = "data",
        *,
        clips: int = 12,
        frames: int = 5,
        classes: int = 3,
        signers: int = 4,
        size: int = 40,
        fps: float | None = None,
        landmarks: bool = False,
        first_seed: int | None = None,
    ) -> Path:
        folder, rng = tmp_path / name, random.Random(0)
        gloss, hamnosys, signer_rows = [], [], ["name,signer"]
        for i in range(clips):
            seed = i % classes if first_seed is None else first_seed + i
            write_clip(folder, f"c{i}", frames + i % 2, size=size, seed=seed, fps=fps)
            if landmarks:
                write_landmarks(folder, f"c{i}", frames + i % 2, seed=seed)
            row = f"c{i} 0 {frames + i % 2 - 1}"
            gloss.append(f"{row} {i % classes}")
            hamnosys.append(" ".join([row, *(str(rng.randrange(head.num_class)) for head in HEADS.values())]))
            signer_rows.append(f"c{i},s{i % max(signers, 1)}")
        (folder / "test_gloss.txt").write_text("\n".join(gloss) + "\n")
        (folder / "test_hamnosys.txt").write_text("\n".join(hamnosys) + "\n")
        if signers:
            (folder / "signers.csv").write_text("\n".join(signer_rows) + "\n")
        return folder

    return make


@pytest.fixture
def tiny_dataset(make_dataset: Callable[..., Path]) -> Path:
    """12 clips of 5 or 6 frames, 3 glosses, 4 signers, 40 x 40 pixels."""
    return make_dataset()


TINY = {
    "general_parameters": {"gpu": -1, "ratio_test": 0.25, "ratio_train_test": 0.67},
    "augmentations_parameters": {"resize_size": 32, "center_crop_size": 32},
    "train_parameters": {"classification_mode": "gloss", "epochs": 2, "batch_size": 4, "num_segments": 3},
    "feature_extractor": {"model_path": "test_efficientnet", "representation_size": 16, "pretrained": False},
    "transformer": {
        "feedforward_size": 32,
        "num_attention_heads": 2,
        "num_encoder_layers": 1,
        "output_size": 16,
    },
}


@pytest.fixture
def make_config() -> Callable[..., Config]:
    """make_config(folder=None, {dotted path: value}) -> a small config with gloss labels."""

    def make(folder: Path | None = None, values: dict | None = None) -> Config:
        config = build_config(TINY)
        data = {} if folder is None else {"general_parameters.data_path": str(folder)}
        return override(config, {**data, **(values or {})})

    return make


@pytest.fixture
def tiny_config(make_config: Callable[..., Config], tiny_dataset: Path) -> Config:
    """The small config for `tiny_dataset`."""
    return make_config(tiny_dataset)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """call("evaluate", ...) -> (exit code, stdout, stderr)."""

    def run(script: str, *args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, args)])
        capsys.readouterr()
        logger = logging.getLogger("hearai")
        level = logger.level
        try:
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
        finally:
            logger.setLevel(level)  # scripts choose one for their process
        return (end.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that HEARAI_REAL_DATA names."""
    folder = os.environ.get("HEARAI_REAL_DATA")
    if not folder:
        pytest.skip("HEARAI_REAL_DATA is not set; set it to the folder with hearai_sanity and sign_digits")
    return Path(folder)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty S3 bucket, to which the environment variables point."""
    with s3_bucket() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        yield bucket
