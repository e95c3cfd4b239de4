"""docs/tools/screenshots.py: small images, a clear message without a browser, and the images that the pages show."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from hearai.cli.progress import events
from hearai.errors import UserError
from tests.helpers import ROOT

IMAGES = ROOT / "docs" / "img"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "cluster").rglob("*.md")]


@pytest.fixture(scope="module")
def screenshots() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "tools" / "screenshots.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_show_small_images_that_exist(screenshots: ModuleType) -> None:
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"!\[[^]]*\]\(([^)]+\.png)\)", page.read_text())
    }
    assert shown and all(path.stat().st_size <= screenshots.MOST_BYTES for path in shown)
    assert {path.stem for path in IMAGES.iterdir()} <= set(screenshots.SHOTS), "an image that no function takes"


@pytest.mark.heavy
def test_an_image_is_made_smaller_until_it_fits(screenshots: ModuleType, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    screenshots.save_small(Image.fromarray(noise), tmp_path / "noise.png")
    assert 20_000 < (tmp_path / "noise.png").stat().st_size <= screenshots.MOST_BYTES
    screenshots.save_small(Image.new("RGB", (700, 700), "#123456"), tmp_path / "plain.png")
    assert Image.open(tmp_path / "plain.png").size == (700, 700)


def test_no_browser_and_unknown_names_are_named(
    screenshots: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="none of chromium, .* is installed; install Chromium"):
        screenshots.take_screenshot("about:blank", tmp_path / "x.png", width=100, height=100)
    with pytest.raises(UserError, match="unknown screenshot 'reprot'; .*did you mean 'report'"):
        screenshots.chosen(["reprot"])


def test_the_live_view_is_that_of_a_running_search(screenshots: ModuleType, tmp_path: Path) -> None:
    opened = events.StudyOpened("landmarks", "runs/landmarks", "macro-F1", 3, phases=events.PHASES)
    trials = [event for label in ("0000", "0001", "0002") for event in one_trial(label)]
    found = [opened, events.SlotsKnown(1, "1 CPU"), events.PhaseStarted(events.SEARCH, 3), *trials]
    lines = [events.to_json_line(event, float(second)) for second, event in enumerate(found)]
    (tmp_path / "landmarks.jsonl").write_text("".join(f"{line}\n" for line in ["not an event", *lines]))
    snapshot = screenshots.search_in_progress(tmp_path / "landmarks.jsonl")
    assert [trial.label for trial in snapshot.running] == ["0002"] and len(snapshot.latest) == 2


def one_trial(label: str) -> list[events.Event]:
    params = {"train_parameters.lr": 0.1}
    ended = events.TrialEnded(label, events.COMPLETE, 2, 0.5, 3.0, params)
    return [events.TrialStarted(label, params), events.EpochEnded(label, 1, 2, 0.4), ended]
