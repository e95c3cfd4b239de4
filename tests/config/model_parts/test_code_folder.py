"""The folder of `--code`: its files, its hash, and how processes find it."""

import importlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hearai.config.model_parts import code_folder as module
from hearai.config.model_parts.code_folder import (
    CODE_VARIABLE,
    SENT_MARK,
    SENT_PACKAGE,
    code_files,
    code_folder,
    code_kept,
    code_record,
    code_to_send,
    copy_code,
    hash_of,
    note_code,
    put_back_modules,
    use_code,
    use_sent_code,
)
from hearai.config.model_parts.load_part import load_class
from hearai.config.model_parts.part_names import LOSS
from hearai.errors import ConfigError
from tests.helpers import ROOT
from tests.helpers.text_files import write_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_text(tmp_path / "code" / "mine.py", "class A: pass")
    write_text(tmp_path / "code" / "table.csv", "1,2")
    return tmp_path / "code"


def test_files_are_python_and_the_tables_beside_it(folder: Path) -> None:
    for name in (".env", ".git/x.py", "__pycache__/x.py", "notes.txt", "runs/summary.json", "venv/pyvenv.cfg"):
        write_text(folder / name, "x")
    write_text(folder / "venv" / "lib" / "x.py", "x")
    (folder / "link.py").symlink_to(folder / "mine.py")
    assert [str(path) for path in code_files(folder)] == ["mine.py", "table.csv"]
    copy_code(folder, folder.parent / "copy")
    assert hash_of(folder.parent / "copy") == hash_of(folder)


def test_hash_follows_names_and_contents(folder: Path) -> None:
    seen = {hash_of(folder)}
    write_text(folder / "table.csv", "1,3")
    seen.add(hash_of(folder))
    (folder / "table.csv").rename(folder / "table2.csv")
    seen.add(hash_of(folder))
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "not a folder; give the folder of your code"),
        ("code/mine.py", "not a folder; give the folder that it is in"),
        ("empty", "has no Python file"),
    ],
)
def test_unusable_folder_is_refused(name: str, message: str, folder: Path) -> None:
    (folder.parent / "empty").mkdir()
    with pytest.raises(ConfigError, match=message):
        use_code(folder.parent / name)


def test_folder_that_is_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 1)
    with pytest.raises(ConfigError, match="give a smaller folder"):
        use_code(folder)


@pytest.mark.heavy
def test_changed_code_replaces_what_was_imported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    use_code(folder)
    first, record = load_class(LOSS, "mine:A"), code_record()
    assert record and record["path"] == str(folder)
    assert load_class(LOSS, "mine:A") is first
    write_text(folder / "mine.py", "class A: new = 1")
    use_code(folder)
    assert load_class(LOSS, "mine:A").new == 1  # type: ignore[attr-defined]
    with caplog.at_level(logging.WARNING):
        note_code(record, "RUN")
    assert "RUN: made with other code of your own" in caplog.text


@pytest.mark.heavy
def test_another_folder_replaces_the_first(folder: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "other" / "mine.py", "class A: other = 1")
    use_code(folder)
    load_class(LOSS, "mine:A")
    use_code(tmp_path / "other")
    assert load_class(LOSS, "mine:A").other == 1  # type: ignore[attr-defined]
    assert str(folder) not in sys.path


def test_a_node_uses_the_copy_that_was_sent(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_code(folder, tmp_path / "node" / SENT_PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path / "node"))
    monkeypatch.setenv(CODE_VARIABLE, f"{SENT_MARK}{folder}")
    use_sent_code(("/not/on/this/node", str(folder)))
    assert code_folder() == tmp_path / "node" / SENT_PACKAGE
    assert load_class(LOSS, "mine:A").__name__ == "A"
    assert code_record() == {"path": str(folder), "sha256": hash_of(folder)}
    sys.modules.pop("mine")


@pytest.mark.heavy
def test_a_part_is_never_one_that_was_imported_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(folder / "notes.py", "state = []")
    monkeypatch.syspath_prepend(str(folder))
    old, notes = importlib.import_module("mine"), importlib.import_module("notes")
    notes.state.append("kept")
    write_text(folder / "mine.py", "class A: new = True")
    use_code(folder)
    found = load_class(LOSS, "mine:A")
    put_back_modules()
    assert found.new and found is not old.A  # type: ignore[attr-defined]
    assert importlib.import_module("notes") is notes, "no part has imported it: its state is kept"
    write_text(folder / "mine.py", "class A: newer = True")
    use_code(None)
    assert load_class(LOSS, "mine:A").newer  # type: ignore[attr-defined]
    assert sys.path[0] == str(folder), "an entry of the user stays where it is"
    for name in ("mine", "notes"):
        sys.modules.pop(name, None)


@pytest.mark.heavy
def test_edits_during_a_search_have_no_effect_on_it(folder: Path) -> None:
    use_code(folder)
    before, old = code_record(), load_class(LOSS, "mine:A")
    path = list(sys.path)
    with code_kept():
        write_text(folder / "mine.py", "class A: new = 1")
        write_text(folder / "later.py", "class B: pass")
        assert code_record() == before
        inside = load_class(LOSS, "mine:A")
        assert inside is not old and not hasattr(inside, "new")
        with pytest.raises(ConfigError, match="later"):
            load_class(LOSS, "later:B")
        assert code_to_send() == (str(code_folder()), str(folder))
        copy = code_to_send()
        with code_kept():  # such as a search within another call that keeps it
            assert code_to_send() == copy
    assert code_folder() == folder and sys.path == path
    use_code(None)
    assert load_class(LOSS, "mine:A").new == 1  # type: ignore[attr-defined]


@pytest.mark.heavy
def test_a_process_of_a_trial_uses_the_copy_of_the_search(folder: Path) -> None:
    use_code(folder)
    with code_kept():
        write_text(folder / "mine.py", "class A: new = 1")
        code = (
            "import sys; from hearai.config.model_parts.code_folder import code_record, use_sent_code\n"
            f"use_sent_code({code_to_send()!r})\n"
            "import mine; print(hasattr(mine.A, 'new'), code_record())"
        )
        environment = {key: value for key, value in os.environ.items() if key != CODE_VARIABLE}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
        )
        assert done.stdout.strip() == f"False {code_record()}"


@pytest.mark.heavy
def test_a_folder_that_is_gone_ends_in_a_message(folder: Path) -> None:
    use_code(folder)
    folder.rename(folder.parent / "moved")
    with pytest.raises(ConfigError, match="the folder is gone"):
        code_folder()
