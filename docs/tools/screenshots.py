"""Takes the screenshots of README and docs: `make screenshots`, or this script with `--only NAME,NAME`.

A small search on demo data is made first, in --work; the same command continues it, or uses it again. Needs Chromium.
Exit codes: 0 done; 2 Chromium is missing, or a command failed.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hearai.cli import DONE, comma_separated, local_path, run_script
from hearai.errors import UserError, pick
from hearai.reporting.clip_images.canvas import MARGIN, reduce_colours
from hearai.reporting.clip_images.contact_sheet import CELL_GAP, CELL_WIDTH
from hearai.reporting.clip_images.tiles import LANDMARK_COLOURS

if TYPE_CHECKING:
    from hearai.cli.progress.snapshot import Snapshot

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS, PAGES = ROOT / "experiments", ROOT / "docs" / "img"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SPACE, STUDY, OTHER = "landmarks", "landmarks", "landmarks-random"
"""The search space, and the names of two studies; the second one has random parameters, to be compared."""
SEARCH_OPTIONS = ("--trials", 10, "--max-epochs", 10)
"""Few: the images show what a search looks like, not what it can reach."""
MOST_BYTES, COLOURS = 120_000, (256, 128, 64, 32)
"""Of an image in the repository, and the palettes that are tried until it is that small."""
DRAW_ALL = "--run-all-compositor-stages-before-draw"
"""Without it, a busy machine leaves parts of a page white."""
LIVE_COLUMNS, LIVE_LINES = 80, 24
LIVE_SHARE = 0.6
"""Of the search's trials that have ended in the screenshot of the live view."""
SHEET_HEIGHT, SHEET_COLUMNS = 860, 2
"""Pixels of a contact sheet that are shown at most, and clips beside each other."""
Shot = Callable[[Path, Path], None]
"""(work folder, image to write)"""


def parse_args() -> argparse.Namespace:
    description, details = __doc__.split("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=details, allow_abbrev=False)
    parser.add_argument("--only", type=comma_separated, metavar="NAME,NAME", help=f"some of: {', '.join(SHOTS)}")
    default = ROOT / "runs" / "screenshots"
    parser.add_argument(
        "--work", type=local_path, default=default, metavar="DIR", help="studies (default: %(default)s)"
    )
    parser.add_argument("--out", type=local_path, default=PAGES, metavar="DIR", help="images (default: %(default)s)")
    return parser.parse_args()


def run_command(script: str, *options: object, into: Path | None = None) -> None:
    """Runs a script of experiments/. into: file that its output is added to.

    Raises:
        UserError: it failed.
    """
    command = [sys.executable, str(EXPERIMENTS / f"{script}.py"), *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with into.open("a") if into else tempfile.TemporaryFile("w+") as output:
        code = subprocess.run(command, cwd=ROOT, env=environment, stdout=output).returncode
    if code:
        raise UserError(f"{' '.join(command)}: ended with exit code {code}; its message is above")


def from_root(path: Path) -> Path:
    """The path as commands and pages shall show it: from the repository, if it lies there."""
    path = Path(os.path.abspath(path))  # without following links
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def search(work: Path, name: str, *options: object) -> Path:
    """The folder of a finished search on demo data."""
    folder = work / name
    if not (folder / "report.html").exists():
        work.mkdir(parents=True, exist_ok=True)
        always = ("--space", SPACE, "--name", name, "--storage", from_root(work), "--json-lines", *SEARCH_OPTIONS)
        run_command("tune", *always, *options, into=work / f"{name}.jsonl")
    return folder


def take_screenshot(address: str, path: Path, *, width: int, height: int) -> None:
    """Writes what a browser shows of a page, `width` x `height` pixels from its top.

    Raises:
        UserError: there is no Chromium, or it failed.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(f"none of {', '.join(BROWSERS)} is installed; install Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="hearai-browser-") as profile:
        options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=5000", DRAW_ALL)
        shot = Path(profile) / "shot.png"
        places = (f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={shot}")
        done = subprocess.run([browser, *options, *places, address], capture_output=True, text=True)
        if done.returncode or not shot.exists():
            raise UserError(f"{browser} {address}: no screenshot: {done.stderr[-500:]}")
        save_small(Image.open(shot), path, dither=False)


def save_small(image: Image.Image, path: Path, *, dither: bool = True) -> None:
    """Writes a PNG of at most MOST_BYTES: with fewer colours, then smaller, until it is. dither: not for text."""
    image = image.convert("RGB")
    while True:
        for colours in COLOURS:
            content = io.BytesIO()
            reduce_colours(image, colours, LANDMARK_COLOURS, dither=dither).save(content, "PNG", optimize=True)
            if content.tell() <= MOST_BYTES:
                path.write_bytes(content.getvalue())
                return
        image = image.resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.LANCZOS)


def report(work: Path, path: Path) -> None:
    """The top of a report."""
    folder = search(work, STUDY)
    take_screenshot((folder / "report.html").resolve().as_uri(), path, width=1280, height=900)


def live_view(work: Path, path: Path) -> None:
    """The live view of the search while it ran, drawn again from its events: 80 columns."""
    from rich.console import Console
    from rich.terminal_theme import MONOKAI

    from hearai.reporting.live.panel import panel_lines

    search(work, STUDY)
    lines = panel_lines(search_in_progress(work / f"{STUDY}.jsonl"), LIVE_COLUMNS, LIVE_LINES)
    console = Console(record=True, width=LIVE_COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "terminal.html"
        page.write_text(console.export_html(inline_styles=True, theme=MONOKAI, code_format=TERMINAL))
        take_screenshot(page.as_uri(), path, width=LIVE_COLUMNS * 9 + 52, height=len(lines) * 20 + 48)


def search_in_progress(output: Path) -> "Snapshot":
    """The search at the first epoch after LIVE_SHARE of its trials had ended. output: its JSON lines."""
    from hearai.cli.progress import events
    from hearai.cli.progress.reader import EventReader
    from hearai.cli.progress.state import SearchState

    found: list[tuple[events.Event, float]] = []
    reader = EventReader(lambda event, at: found.append((event, at)) if at is not None else None)
    reader(output.read_text(encoding="utf-8"))
    ended = [
        place for place, (event, _) in enumerate(found) if isinstance(event, events.TrialEnded) and not event.is_final
    ]
    first = ended[round(LIVE_SHARE * (len(ended) - 1))]
    last = next(place for place in range(first, len(found)) if isinstance(found[place][0], events.EpochEnded))
    state = SearchState(found[0][1])
    for event, at in found[: last + 1]:
        state.apply(event, at)
    return state.snapshot(found[last][1])


TERMINAL = """<meta charset="utf-8">
<body style="margin: 0; padding: 24px; background: {background}; color: {foreground}">
<pre style="margin: 0; font: 15px/20px 'DejaVu Sans Mono', monospace">{code}</pre></body>"""


def dataset_of(study: Path) -> Path:
    """The dataset folder of a study."""
    from hearai.config.config import load_config

    folder = (load_config(study / "best.yaml").general_parameters.data_path or ())[0]
    return Path(folder if isinstance(folder, str) else folder.path)


def contact_sheet(work: Path, path: Path) -> None:
    """The first rows of a contact sheet."""
    sheet = work / "sheet.png"
    data = work / "demo"  # the sheet names the folder, which lies in a cache
    data.unlink(missing_ok=True)
    data.symlink_to(dataset_of(search(work, STUDY)))
    run_command("check_data", from_root(data), "--contact-sheet", sheet)
    image = Image.open(sheet).convert("RGB")
    is_blank = (np.asarray(image)[:SHEET_HEIGHT] > 250).all((1, 2))
    bottom = max(y for y in range(20, len(is_blank) + 1) if is_blank[y - 20 : y].all())
    save_small(image.crop((0, 0, MARGIN + SHEET_COLUMNS * (CELL_WIDTH + CELL_GAP), bottom)), path)


def prediction(work: Path, path: Path) -> None:
    """The classes of a test clip."""
    from hearai.config.config import load_config
    from hearai.data.annotations.load import load_data

    study = search(work, STUDY)
    clip = load_data(load_config(study / "best.yaml")).split.test[0]
    image = work / "prediction.png"
    run_command("predict", "--checkpoint", study, clip.folder / clip.name, "--save", image)
    whole = Image.open(image)
    save_small(whole.resize((900, whole.height * 900 // whole.width), Image.Resampling.LANCZOS), path)


def comparison(work: Path, path: Path) -> None:
    """Two studies beside each other."""
    studies = (search(work, STUDY), search(work, OTHER, "--sampler", "random", "--seed", 1))
    page = work / "comparison.html"
    run_command("compare", *map(from_root, studies), "--out", page)
    take_screenshot(page.resolve().as_uri(), path, width=1280, height=900)


def studies(work: Path, path: Path) -> None:
    """The page that lists the studies of a folder."""
    search(work, STUDY)
    command = [sys.executable, str(EXPERIMENTS / "dashboard.py"), "--storage", str(from_root(work))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            found = re.search(r"http://\S+", server.stdout.readline())
            if found is None:
                raise UserError(f"{' '.join(command)}: printed no address; its message is above")
            take_screenshot(found[0], path, width=1280, height=420)
        finally:
            server.terminate()


SHOTS: dict[str, Shot] = {
    "report": report,
    "live_view": live_view,
    "contact_sheet": contact_sheet,
    "prediction": prediction,
    "comparison": comparison,
    "studies": studies,
}
"""{name of the image: what takes it}"""


def chosen(names: Sequence[str] | None) -> dict[str, Shot]:
    """The shots of these names; all without names."""
    return {name: pick(SHOTS, name, "screenshot") for name in names or SHOTS}


def main() -> int:
    args = parse_args()
    shots = chosen(args.only)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, take in shots.items():
        path = args.out / f"{name}.png"
        take(args.work, path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)
    return DONE


if __name__ == "__main__":
    run_script(main)
