"""Fixtures for all tests: a dataset folder of real JPEGs, and a config small enough for a laptop's CPU."""

import json
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
from hearai.config.overrides import override
from hearai.sign.hamnosys import HEADS
from hearai.sign.skeleton import PARTS
from tests.helpers import ROOT
from tests.helpers.s3_server import Bucket, serving

SCRIPTS = ROOT / "experiments"

torch.set_num_threads(1)  # models this small are slower on several


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, all that use Ray run in one of these, and those of a file in one."""
    for item in items:
        with_ray = item.path.parent.name == "faults" or {"ray_session", "on_slurm"} & set(item.fixturenames)
        item.add_marker(pytest.mark.xdist_group("ray" if with_ray else item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features and pre-trained backbones of the tests stay out of the user's cache."""
    before = os.environ.get("HEARAI_CACHE")
    os.environ["HEARAI_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("HEARAI_CACHE") if before is None else os.environ.update(HEARAI_CACHE=before)


def write_clip(folder: Path, name: str, frames: int, *, size: int, seed: int, fps: float | None) -> None:
    """Frames of a coarse random pattern that drifts a little, so that frames of a clip look alike."""
    (folder / name).mkdir(parents=True)
    pattern = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    for i in range(frames):
        picture = Image.fromarray(np.roll(pattern, i % 4, axis=1)).resize((size, size), Image.Resampling.NEAREST)
        picture.save(folder / name / f"{Path(name).name}_{i}.jpg", quality=90)
    if fps is not None:
        (folder / name / f"{Path(name).name}_properties.json").write_text(json.dumps({"FPS": fps}))


def write_landmarks(folder: Path, name: str, frames: int, *, seed: int) -> None:
    """A body that stands still and hands that are elsewhere in every clip; the left hand is not seen in frame 0."""
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
    HamNoSys row, and `frames + i % 2` frames.
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
    ) -> Path:
        folder, rng = tmp_path / name, random.Random(0)
        gloss, hamnosys, people = [], [], ["name,signer"]
        for i in range(clips):
            write_clip(folder, f"c{i}", frames + i % 2, size=size, seed=i % classes, fps=fps)
            if landmarks:
                write_landmarks(folder, f"c{i}", frames + i % 2, seed=i % classes)
            row = f"c{i} 0 {frames + i % 2 - 1}"
            gloss.append(f"{row} {i % classes}")
            hamnosys.append(" ".join([row, *(str(rng.randrange(head.num_class)) for head in HEADS.values())]))
            people.append(f"c{i},s{i % max(signers, 1)}")
        (folder / "test_gloss.txt").write_text("\n".join(gloss) + "\n")
        (folder / "test_hamnosys.txt").write_text("\n".join(hamnosys) + "\n")
        if signers:
            (folder / "signers.csv").write_text("\n".join(people) + "\n")
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
    """make_config(folder=None, {dotted path: value}) -> a small config over gloss labels."""

    def make(folder: Path | None = None, values: dict | None = None) -> Config:
        config = build_config(TINY)
        place = {} if folder is None else {"general_parameters.data_path": str(folder)}
        return override(config, {**place, **(values or {})})

    return make


@pytest.fixture
def tiny_config(make_config: Callable[..., Config], tiny_dataset: Path) -> Config:
    """The small config over `tiny_dataset`."""
    return make_config(tiny_dataset)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """call("evaluate", ...) -> (exit code, stdout, stderr)."""

    def run_it(script: str, *args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
        return (end.value.code, *capsys.readouterr())

    return run_it


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real material, named by HEARAI_REAL_DATA."""
    folder = os.environ.get("HEARAI_REAL_DATA")
    if not folder:
        pytest.skip("HEARAI_REAL_DATA is not set; it names the folder with hearai_sanity and sign_digits")
    return Path(folder)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty one."""
    with serving() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started
