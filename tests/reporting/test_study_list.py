"""Studies and caches are listed, and deleted where no search uses them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.errors import ConfigError, UserError
from hearai.files import lock_cache
from hearai.reporting.study_list import delete_caches, delete_studies, find_study, list_studies, studies_text
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.lock import study_lock
from hearai.search.storage.trial_store import SEARCH, TrialStore
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "studies.py"


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Studies a (finished), b (unfinished, one trial of two) and c (broken), and two caches."""
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    for name in ("demo-1a", "features-2b"):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "file").write_bytes(bytes(2_000_000))
    for name in "ab":
        with open_journal(tmp_path / "runs" / name) as journal:
            store = TrialStore(journal, SEARCH, RandomSampler(0), unique=True)
            for state in (TrialState.COMPLETE, TrialState.COMPLETE if name == "a" else TrialState.RUNNING):
                number = store.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
                if state is TrialState.COMPLETE:
                    store.finish(number, state, 0.25 * (number + 1))
        (tmp_path / "runs" / name / "study.yaml").write_text(yaml.safe_dump({"budget": {"trials": 2}}))
    (tmp_path / "runs" / "a" / "test.json").write_text("{}")
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "study.yaml").write_text("{")
    return tmp_path / "runs"


def test_studies_are_listed_with_state_trials_and_best(storage: Path) -> None:
    seen = {info.folder.name: (info.state, info.ended, info.limit, info.best) for info in list_studies(storage)}
    assert seen == {"a": ("finished", 2, 2, 0.5), "b": ("unfinished", 1, 2, 0.25), "c": ("broken", 0, 0, None)}
    with study_lock(storage / "b"):
        (searching,) = [info for info in list_studies(storage) if info.state == "searching"]
        assert searching.folder.name == "b" and f"process {os.getpid()} on " in searching.note


def test_the_list_fits_80_columns_and_has_the_caches(storage: Path) -> None:
    lines = list(studies_text(storage))
    assert all(len(line) <= 80 for line in lines if not line.startswith("caches in"))
    assert any(line.split()[:4] == ["a", "finished", "2/2", "0.500"] for line in lines)
    assert any(line.split()[:4] == ["features", "1", "folder", "2"] for line in lines)


def test_studies_are_listed_without_a_home_folder(
    storage: Path, call: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("HEARAI_CACHE")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # in no password database
    code, out, err = call("studies", "list", "--storage", storage)
    assert code == 0 and not err and "finished" in out and "caches: this user has no home folder: set HOME" in out


def test_nothing_is_deleted_while_a_search_uses_it(storage: Path) -> None:
    folders = [find_study(storage, name) for name in "ab"]
    with study_lock(storage / "b"):
        with pytest.raises(UserError, match=r"b: in use by a search, process"):
            delete_studies(folders)
        with pytest.raises(UserError, match="its trials may be reading the caches"):
            delete_caches([], storage)
    assert all(folder.exists() for folder in folders)
    delete_studies(folders)
    assert [path.name for path in storage.iterdir()] == ["c"]


def test_caches_are_deleted_by_kind(storage: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--cache feature: no caches of this kind; .*features"):
        delete_caches(["feature"], storage)
    assert [info.kind for info in delete_caches(["features"], storage)] == ["features"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["demo-1a"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["delete"], "delete: nothing to delete; give the names of studies, or --cache"),
        (["delete", "a"], "Cannot prompt: stdin is not a terminal. Pass --yes."),
        (["delete", "aa"], "no study 'aa'"),
        (["show"], "show: got 0 names; give the name of one study"),
    ],
)
def test_mistakes_end_with_exit_code_2_and_nothing_deleted(storage: Path, args: list[str], words: str) -> None:
    command = [sys.executable, str(SCRIPT), *args, "--storage", str(storage)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert (storage / "a").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("study.yaml", "- budget"),
        ("study.yaml", "budget: [1]"),
        ("study.yaml", "budget: {trials: .inf}"),
        ("study.yaml", "budget: {trials: many}"),
        ("study.yaml", "a: &a [*a]"),
        ("journal.log", "[" * 100_000 + "\n"),
        ("journal.log", '{"op_code":99,"worker_id":"w"}\n'),
        ("journal.log", '{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":null}\n'),
        ("owner.json", '["pid"]'),
        ("owner.json", '{"pid": 1, "host": "h", "since": 1e300, "command": "c"}'),
        ("owner.json", '{"pid": 1, "host": "h", "since": "yesterday", "command": "c"}'),
    ],
)
def test_one_bad_study_does_not_break_the_list(storage: Path, name: str, content: str) -> None:
    with study_lock(storage / "b"):
        (storage / "b" / name).write_text(content)
        lines = list(studies_text(storage))
    assert any(line.split()[:2] == ["a", "finished"] for line in lines)
    assert any(line.split()[:2] == ["b", "searching" if name == "owner.json" else "broken"] for line in lines)
    (storage / "b" / "owner.json").unlink(missing_ok=True)


def test_files_that_are_no_files_do_not_break_the_list(storage: Path) -> None:
    for number, make in enumerate((os.mkfifo, os.mkdir, lambda path: os.symlink("nothing", path))):
        for name in ("study.yaml", "journal.log"):
            folder = storage / f"odd{number}-{name}"
            folder.mkdir()
            (folder / "study.yaml").write_text("budget: {trials: 1}")
            (folder / name).unlink(missing_ok=True)
            make(folder / name)
    lines = list(studies_text(storage))
    assert any(line.split()[:2] == ["a", "finished"] for line in lines)
    assert sum("broken" in line for line in lines) >= 5


def test_escape_sequences_in_names_and_failures_are_shown(storage: Path) -> None:
    (storage / "c").rename(storage / "c\x1b[2J\x9b31m")
    (storage / "b" / "study.yaml").write_text('"\\e]0;title\\a": 1\nbudget: "\\e[31m"\n')
    text = "\n".join(studies_text(storage))
    assert "c\\x1b[2J\\x9b31m" in text and "\x1b" not in text and "\x9b" not in text and "\a" not in text


def test_a_study_given_twice_is_deleted_once(storage: Path, call: Callable) -> None:
    code, out, err = call("studies", "delete", "a", "a", "--yes", "--storage", storage)
    assert (code, err) == (0, "") and out == f"deleted: {storage / 'a'}\n" and not (storage / "a").exists()


def test_a_linked_study_is_not_deleted(storage: Path, tmp_path: Path, call: Callable) -> None:
    (storage / "a").rename(tmp_path / "elsewhere")
    (storage / "a").symlink_to(tmp_path / "elsewhere")
    code, _, err = call("studies", "delete", "a", "b", "--yes", "--storage", storage)
    assert code == 2 and f"a: a symbolic link to {tmp_path / 'elsewhere'}; nothing was deleted" in err
    assert (tmp_path / "elsewhere" / "journal.log").exists() and (storage / "b").exists()


HOLD = """
import sys
from pathlib import Path
from hearai.files import lock_cache
lock = lock_cache(Path(sys.argv[1]))
print(flush=True)
sys.stdin.read()
"""


def test_caches_in_use_are_kept_until_their_user_is_gone(storage: Path, tmp_path: Path) -> None:
    used, other = tmp_path / "cache" / "demo-1a", tmp_path / "empty"
    command = [sys.executable, "-c", HOLD, str(used / "clip")]  # in another storage, or no search at all
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        user.stdout.readline()
        with pytest.raises(UserError, match=rf"demo-1a: in use .*\(process {user.pid}\); stop it first; no cache was"):
            delete_caches([], other)
        assert len(list((tmp_path / "cache").glob("*-*/file"))) == 2
        assert [info.kind for info in delete_caches(["features"], other)] == ["features"]
        user.kill()
    assert [info.folder for info in delete_caches([], other)] == [used]
    assert not list((tmp_path / "cache").iterdir())


def test_only_folders_of_the_cache_are_locked(storage: Path, tmp_path: Path) -> None:
    assert lock_cache(storage / "a") is None and lock_cache(tmp_path / "cache") is None
    assert not list(storage.glob(".*"))
