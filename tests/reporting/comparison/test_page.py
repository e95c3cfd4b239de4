"""The page of a comparison: complete, self-contained, and safe against text from files; studies in any state."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.reporting.comparison.page import write_comparison
from hearai.search.storage.object_store import ObjectStore
from tests.helpers.browser import needs_chromium, open_browser
from tests.helpers.report_files import Page
from tests.helpers.s3_server import Bucket
from tests.helpers.study_builder import (
    LR,
    SHARP,
    write_dataset,
    write_finished_search,
    write_test_scores,
)

pytestmark = pytest.mark.heavy


@pytest.fixture
def other(finished: Path, build_study: Callable) -> Path:
    """A finished study of the same data whose winner is better by more than the spread, and whose space is wider."""
    folder = finished.with_name("wider")
    with build_study(folder, sampler={"name": "tpe"}) as search:
        search.run(search.study.base_params(), [0.2, 0.4], "COMPLETE", seconds=60.0)
        search.run(SHARP, [0.5], "COMPLETE", seconds=60.0)
        search.run({**SHARP, LR: 0.02}, [0.8, 0.9, 0.7], "COMPLETE", seconds=60.0)
        for seed, base, best in ((1, 0.40, 0.80), (2, 0.44, 0.84)):
            search.retrain(0, seed, base)
            search.retrain(2, seed, best)
        search.search.add_wall_time(100.0, slots=2)
    write_test_scores(folder, winner=2, base=[0.40, 0.42], best=[0.45, 0.49])
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("- 0.0001\n    - 0.1", "- 0.0001\n    - 0.5"))
    return folder


def compare(*locations: object, page: Path) -> tuple[str, Page]:
    """(text for the terminal, the page)."""
    text = write_comparison(list(map(str, locations)), page)
    return text, Page(page.read_text())


def test_two_studies_are_ranked_with_cost_and_differences(finished: Path, other: Path, tmp_path: Path) -> None:
    text, page = compare(finished, other, page=tmp_path / "page.html")
    source = (tmp_path / "page.html").read_text()
    assert not page.open and not page.loads and "<script" not in source and "url(" not in source
    assert "wider is better than tiny: validation macro-F1 0.820 +- 0.028 against 0.580 +- 0.042" in " ".join(
        text.split()
    )
    assert "wider is better than tiny: validation macro-F1 0.820\u00a0\u00b1\u00a00.028" in page.text
    assert '<p class="verdict">' in source
    assert "On the test clips tiny scores higher: 0.520 against 0.470." in page.text
    assert source.count("<svg") == 3 and source.count("<polyline") == 4  # seeds; a line per study by epochs, by minutes
    rows = [line.split() for line in text.splitlines()]
    assert ["1", "wider", "3", "6", "6", "3", "min", "20", "s", "-"] in rows  # trials, epochs, to 0.600, slots
    assert ["2", "tiny", "5", "10", "6", "14.0", "s", "30.0", "s"] in rows
    assert (
        "train_parameters.lr: float 0.0001 .. 0.1, log (tiny);" in text
        and "sampler.name: random (tiny); tpe (wider)" in text
    )
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("page: "))


def test_studies_without_a_winner_are_shown_unranked(
    finished: Path, other: Path, build_study: Callable, tmp_path: Path
) -> None:
    empty, running = finished.with_name("empty"), finished.with_name("running")
    with build_study(empty):
        pass
    with build_study(running) as search:
        search.run(search.study.base_params(), [0.2, 0.95], "COMPLETE")
        search.run(SHARP, [0.3], "RUNNING")
    text, page = compare(empty, finished, running, other, page=tmp_path / "page.html")
    assert "empty is not ranked: no trial is complete yet." in page.text
    assert "running is not ranked: its winner is not chosen yet." in page.text
    assert "1 wider" in text and "2 tiny" in text and not page.open
    text, _ = compare(empty, running, page=tmp_path / "page.html")
    assert text.startswith("There is nothing to rank yet: fewer than two of the studies")
    text, _ = compare(finished, running, page=tmp_path / "page.html")
    assert "validation macro-F1 0.950 (the best of 1 complete trial), against" in " ".join(text.split())


def test_the_best_run_of_a_search_need_not_be_its_winner(finished: Path, build_study: Callable, tmp_path: Path) -> None:
    write_test_scores(finished, winner=0, base=[0.40, 0.42], best=[0.40, 0.42])  # trial 1 has 0.6, trial 0 0.4
    with build_study(finished.with_name("running")) as search:
        search.run(search.study.base_params(), [0.2, 0.95], "COMPLETE")
    text, _ = compare(finished, finished.with_name("running"), page=tmp_path / "page.html")
    assert "against 0.600 (the best of 2 complete trials) in tiny" in " ".join(text.split())


def test_equal_scores_are_called_equal(build_study: Callable, tmp_path: Path) -> None:
    for name in ("one", "two"):
        with build_study(tmp_path / name) as search:
            search.run(search.study.base_params(), [0.2, 0.4], "COMPLETE")
    text, _ = compare(tmp_path / "one", tmp_path / "two", page=tmp_path / "page.html")
    assert text.startswith("one and two have the same best score in the search")
    assert '<p class="verdict none">' in (tmp_path / "page.html").read_text()


def test_other_data_is_not_ranked(finished: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "other_data")
    (data / "c0").rename(data / "d0")
    (data / "d0" / "c0_0.jpg").rename(data / "d0" / "d0_0.jpg")
    for file in data.glob("*.*"):
        file.write_text(re.sub(r"\bc0\b", "d0", file.read_text()))
    write_finished_search(finished.with_name("elsewhere"), data)
    text, page = compare(finished, finished.with_name("elsewhere"), page=tmp_path / "page.html")
    assert text.startswith("These studies are not ranked: their scores do not measure the same.")
    assert "dataset: tiny: fingerprint " in text and "split: tiny: 6 train" in text and " 1 tiny" not in text
    assert "Each study has axes of its own" in page.text


def test_a_copy_of_the_data_in_another_folder_is_the_same(finished: Path, tmp_path: Path) -> None:
    write_finished_search(finished.with_name("elsewhere"), write_dataset(tmp_path / "another_name"))
    text, _ = compare(finished, finished.with_name("elsewhere"), page=tmp_path / "new" / "folder" / "page.html")
    assert "not ranked" not in text


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "metric: macro_f1",
            "metric: top5",
            "objective: tiny: macro-F1 of gloss; wider: top-5 of gloss",
        ),
        ("\nsplits: 1", "\nsplits: 2", "folds: tiny: each trial is scored on one set"),
        ("c0,train", "c0,val", "1 are in another part than in tiny"),
        ("data:\n", "old_data:\n", "dataset: unknown for wider, which recorded no fingerprint"),
    ],
)
def test_what_makes_studies_incomparable(
    finished: Path, other: Path, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    changed = [path for path in (other / "study.yaml", other / "split.csv") if old in path.read_text()]
    if old == "data:\n":
        (path,) = changed
        path.write_text(path.read_text().partition("\ndata:\n")[0] + "\n")
    else:
        assert changed, f"{old} is in none of the files"
        for path in changed:
            path.write_text(path.read_text().replace(old, new))
    text, _ = compare(finished, other, page=tmp_path / "page.html")
    assert text.startswith("These studies are not ranked") and reason in " ".join(text.split())


def test_hostile_names_are_escaped(finished: Path, other: Path, tmp_path: Path) -> None:
    hostile = finished.rename(finished.with_name("<script>alert(1)<\x1b[2J"))
    text, page = compare(hostile, other, page=tmp_path / "page.html")
    source = (tmp_path / "page.html").read_text()
    assert "<script" not in source and "<script>alert(1)<" in page.text and "\x1b" not in text


def test_a_fetched_study_is_compared_and_nothing_is_changed(finished: Path, other: Path, tmp_path: Path) -> None:
    shutil.rmtree(finished / "trials")  # submit.py fetch leaves them on the cluster
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    text, _ = compare(finished, other, page=tmp_path / "page.html")
    assert "0.580 +- 0.042" in text
    assert before == {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}


def test_studies_in_a_bucket(finished: Path, other: Path, bucket: Bucket, tmp_path: Path) -> None:
    ObjectStore(bucket.uri).below("mine").push(other)
    text, page = compare(finished, f"{bucket.uri}/mine", page=tmp_path / "page.html")
    assert "mine is better than tiny" in " ".join(text.split()) and f"{bucket.uri}/mine" in page.text


def test_all_mistakes_are_listed_at_once(finished: Path, tmp_path: Path, call: Callable) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    (tmp_path / "notes").mkdir()
    places = [finished, f"{finished}/", tmp_path / "copy", tmp_path / "notes", "s3://bucket"]
    code, out, err = call("compare", *places, "--out", finished / "study.yaml")
    assert code == 2 and not out and "Traceback" not in err
    assert f"{finished} and {finished}/: the same study, given 2 times" in err
    assert f"{tmp_path / 'notes'}: not a study folder (no study.yaml)" in err
    assert "s3://bucket: give a study in an object store as s3://BUCKET/PREFIX/STUDY" in err
    assert "study.yaml: the page is HTML; give a name that ends in .html" in err
    code, _, err = call("compare", finished)
    assert code == 2 and err == "error: got 1 study; give at least two, such as runs/A runs/B\n"


def test_a_page_that_cannot_be_written_is_named(
    finished: Path, other: Path, call: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/proc")
    _, _, err = call("compare", finished, other)
    assert err.startswith("error: the default of --out, compare.html: ") and "give a writable folder" in err
    _, _, err = call("compare", finished, other, "--out", "/proc/page.html")
    assert err.startswith("error: --out /proc/page.html: ")


def test_a_copy_of_a_study_is_refused(finished: Path, tmp_path: Path, call: Callable) -> None:
    with (finished / "study.yaml").open("a") as file:
        file.write("id: 0123456789abcdef\n")
    shutil.copytree(finished, tmp_path / "copy")
    code, _, err = call("compare", finished, tmp_path / "copy", "--out", tmp_path / "page.html")
    assert (
        code == 2
        and err == f"error: {tmp_path / 'copy'}: a copy of {finished}, with the same trials; give each study once\n"
    )
    assert not (tmp_path / "page.html").exists()


def test_a_missing_bucket_ends_in_a_message(finished: Path, bucket: Bucket, call: Callable, tmp_path: Path) -> None:
    code, _, err = call("compare", finished, f"{bucket.uri}/none", "--out", tmp_path / "page.html")
    assert code == 2 and f"{bucket.uri}/none: not a study (no study.yaml)" in err


@needs_chromium
def test_the_page_has_no_errors_and_fits_the_window(finished: Path, other: Path, tmp_path: Path) -> None:
    compare(finished, other, page=tmp_path / "page.html")
    with open_browser(tmp_path / "profile") as browser:
        for width in (390, 1280):
            browser.open(tmp_path / "page.html", width=width, dark=width < 1000)
            assert browser.run("document.documentElement.scrollWidth <= innerWidth") and not browser.complaints
            assert browser.run("document.querySelectorAll('svg').length") == 3
            assert browser.run("getComputedStyle(document.querySelector('svg .study1 polyline')).stroke") != "none"
