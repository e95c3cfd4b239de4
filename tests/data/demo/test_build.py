"""The demo dataset as a folder: complete, reproducible, built once."""

import filecmp
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.data.demo import build, demo_dataset
from hearai.sign.hamnosys import HEADS
from tests.helpers import ROOT

TINY = {"clips": 6, "frames": 2, "size": 24}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_dataset(tmp_path_factory.mktemp("demo"), **TINY, workers=1)


@pytest.mark.heavy
def test_folder_has_the_documented_layout(tiny: Path) -> None:
    header, *rows = [line.split() for line in (tiny / "test_hamnosys.txt").read_text().splitlines()]
    assert header == ["name", "start", "end", *HEADS]
    assert len(rows) == TINY["clips"]
    for name, start, end, *labels in rows:
        assert len(labels) == len(HEADS)
        for i in range(int(start), int(end) + 1):
            with Image.open(tiny / name / f"{name}_{i}.jpg") as image:
                assert image.size == (24, 24)
        assert json.loads((tiny / name / f"{name}_properties.json").read_text()) == {"FPS": 25}
        with np.load(tiny / name / f"{name}.npz") as marks:
            shapes = {k: v.shape for k, v in marks.items()}
            assert {v.dtype for v in marks.values()} == {np.dtype(np.float32)}
        assert shapes.pop("face")[0] == 2
        assert shapes == {"left_hand": (2, 21, 3), "right_hand": (2, 21, 3), "pose": (2, 33, 3)}


def test_every_clip_has_a_gloss_and_a_signer(tiny: Path) -> None:
    names = [line.split()[0] for line in (tiny / "test_hamnosys.txt").read_text().splitlines()[1:]]
    glosses = [line.split() for line in (tiny / "test_gloss.txt").read_text().splitlines()[1:]]
    assert [g[0] for g in glosses] == names
    known = [line.split(",")[0] for line in (tiny / "glosses.csv").read_text().splitlines()[1:]]
    assert {g[3] for g in glosses} <= set(known)
    assert [line.split(",")[0] for line in (tiny / "signers.csv").read_text().splitlines()[1:]] == names


@pytest.mark.heavy
def test_number_of_workers_does_not_change_a_byte(tiny: Path, tmp_path: Path) -> None:
    other = demo_dataset(tmp_path, **TINY, workers=2)
    files = sorted(p.relative_to(tiny) for p in tiny.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    same, different, errors = filecmp.cmpfiles(tiny, other, files, shallow=False)
    assert (different, errors) == ([], [])


def test_second_call_builds_nothing(tiny: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    assert demo_dataset(tiny.parent, **TINY) == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == written


@pytest.mark.heavy
def test_another_seed_gives_another_folder(tiny: Path) -> None:
    assert demo_dataset(tiny.parent, **TINY, seed=1, workers=1) != tiny


def test_interrupted_build_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "render_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo_dataset(tmp_path, **TINY, workers=1)
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_sizes_below_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames: 0; expected 1 or more"):
        demo_dataset(tmp_path, frames=0)


@pytest.mark.heavy
def test_workers_import_neither_torch_nor_ray() -> None:
    code = "import sys, hearai.data.demo; print({'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_names_of_shipped_datasets_are_stable() -> None:
    """They are part of random draws and of studies that were made with them."""
    shipped = {"frames": 8, "size": 128, "seed": 0}
    assert build._fingerprint(clips=1600, **shipped) == "19600ccd237f"
    assert build._fingerprint(clips=96, **shipped) == "17db39184b50"
    assert len({build._fingerprint(clips=clips, **shipped) for clips in (95, 96, 400, 1600)}) == 4


def test_rendering_is_unchanged(tiny: Path) -> None:
    """After an intended change: raise RENDERING, empty SHIPPED_FINGERPRINTS, and update this test."""
    assert hashlib.sha256((tiny / "test_hamnosys.txt").read_bytes()).hexdigest()[:12] == "b092a023f52f"
    first = [path.name for path in sorted(tiny.glob("sign*"))][0]
    with Image.open(tiny / first / f"{first}_0.jpg") as image:
        rows = np.asarray(image.resize((4, 4), Image.Resampling.BOX)).mean(2)
    with np.load(tiny / first / f"{first}.npz") as marks:
        wrist = marks["right_hand"][0, 0]
    np.testing.assert_allclose(
        rows,
        [
            [203.0, 172.0, 173.0, 193.3],
            [190.3, 127.0, 129.0, 180.0],
            [165.3, 74.7, 74.7, 154.3],
            [158.7, 98.7, 95.3, 154.7],
        ],
        atol=1.5,
    )  # libjpeg and processors differ in the last bits
    np.testing.assert_allclose(wrist, [0.2897000014781952, 0.5509999990463257, -0.034299999475479126], atol=1e-3)


@pytest.mark.heavy
def test_a_script_without_a_main_guard_is_not_begun_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom hearai.data.demo import demo_dataset\nprint('begun')\n"
        f"print(demo_dataset(Path({str(tmp_path)!r}), clips=4, frames=1, size=24, workers=2))\n"
        "print(__file__, __spec__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    begun, folder, places = done.stdout.splitlines()
    assert begun == "begun" and len([*Path(folder).glob("*/*.jpg")]) == 4
    assert places == f"{script} None", "as before"
