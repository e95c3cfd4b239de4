"""A pickle bomb in each file that a report reads: it is not executed, and the error names the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.pickle_bombs import oldest, plain, yaml_text
from tests.helpers.report_facts import write_confusions, write_facts
from tests.helpers.report_files import page_of

FILES = ("study.yaml", "journal.log", "test.json", "split.csv", "trials/0001/metrics.jsonl", "data.json")


@pytest.mark.heavy
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("form", [plain, oldest], ids=lambda form: form.__name__)
def test_a_report_of_a_file_that_is_a_bomb(
    call: Callable, finished: Path, tmp_path: Path, name: str, form: Callable[[Path], bytes]
) -> None:
    write_facts(finished)
    assert (finished / name).is_file()
    (finished / name).write_bytes(form(tmp_path / "crater") + b"\n")
    code, _, err = call("report", finished)
    assert not (tmp_path / "crater").exists()
    assert code == 2 and str(finished / name) in err and "Traceback" not in err


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["test_confusion.json", "test_examples.json"])
@pytest.mark.parametrize("form", [plain, oldest], ids=lambda form: form.__name__)
def test_a_card_of_a_file_that_is_a_bomb(
    finished: Path, tmp_path: Path, name: str, form: Callable[[Path], bytes]
) -> None:
    write_confusions(finished, [(0, 1, 2)])
    (finished / name).write_bytes(form(tmp_path / "crater") + b"\n")
    text = page_of(finished).text
    assert not (tmp_path / "crater").exists()
    assert f"{finished / name}: cannot be read" in text


def test_a_report_of_a_study_whose_yaml_asks_for_a_call(call: Callable, finished: Path, tmp_path: Path) -> None:
    (finished / "study.yaml").write_text(f"space: {yaml_text(tmp_path / 'crater')}\n")
    code, _, err = call("report", finished)
    assert not (tmp_path / "crater").exists()
    assert code == 2 and "study.yaml:1" in err


@pytest.mark.heavy
def test_the_list_of_studies_shows_a_bomb_as_broken(call: Callable, finished: Path, tmp_path: Path) -> None:
    (finished / "journal.log").write_bytes(plain(tmp_path / "crater"))
    (finished / "owner.json").write_bytes(plain(tmp_path / "crater"))
    code, out, _ = call("studies", "list", "--storage", finished.parent)
    assert not (tmp_path / "crater").exists()
    assert code == 0 and "tiny" in out
