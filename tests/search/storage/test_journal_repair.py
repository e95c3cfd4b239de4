"""Damaged journals: a damaged end is cut off and kept, other damage is refused, a valid journal is not changed."""

import logging
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.errors import UserError
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from tests.helpers.suggestions import suggest_x

OpenStore = Callable


@pytest.fixture
def journal(open_store: OpenStore, tmp_path: Path) -> Path:
    """A complete trial (0), and a running one (1) with one value."""
    with open_store(tmp_path) as store:
        number = store.propose(suggest_x).number
        store.observe(number, 1, 0.5)
        store.finish(number, TrialState.COMPLETE, 0.5)
        store.observe(store.propose(suggest_x).number, 1, 0.2)
    return tmp_path / "journal.log"


DAMAGE = {
    "half a line": b'{"op_code":6,"worker_id":"a',
    "a complete line without line end": b'{"op_code":6,"worker_id":"a"}',
    "zeros after a power cut": bytes(4096),
    "zeros and a line end": bytes(100) + b"\n",
    "lines of garbage": b"\xff\xfe\x00 garbage\nmore of it\n",
    "JSON of something else": b'{"a": 1}\n[1, 2]\n',
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_end_is_moved_away_and_the_search_continues(
    open_store: OpenStore, journal: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    valid = journal.read_bytes()
    journal.write_bytes(valid + damage)
    with caplog.at_level(logging.WARNING, "hearai"), open_store(journal.parent, RandomSampler(1)) as store:
        assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE, TrialState.RUNNING]
        assert store.propose(suggest_x).number == 1
    assert journal.read_bytes().startswith(valid)
    assert journal.with_name("journal.log.torn").read_bytes().rstrip(b"\n") == damage.rstrip(b"\n")
    line = valid.count(b"\n") + 1
    assert f"{journal}:{line}: damaged" in caplog.text and "journal.log.torn" in caplog.text
    assert len(read_journal(journal)[SEARCH].trials) == 2


def test_a_second_damaged_end_is_appended_to_the_first(open_store: OpenStore, journal: Path) -> None:
    for damage in (b"first", b"second"):
        with journal.open("ab") as file:
            file.write(damage)
        with open_store(journal.parent):
            pass
    assert journal.with_name("journal.log.torn").read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize("tail", [b"", b"half of"], ids=["valid end", "damaged end"])
def test_damage_before_valid_lines_is_refused_with_its_line(open_store: OpenStore, journal: Path, tail: bytes) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[4] = bytes(20) + b"\n"
    journal.write_bytes(b"".join(lines) + tail)
    before = journal.read_bytes()
    for open_it in (lambda: open_store(journal.parent).__enter__(), lambda: read_journal(journal)):
        with pytest.raises(UserError, match=r"journal\.log:5: damaged.*put back a copy.*sed -i '5,\$d'"):
            open_it()
        assert journal.read_bytes() == before
    assert not journal.with_name("journal.log.torn").exists()


def test_the_command_in_the_message_repairs_the_journal(open_store: OpenStore, journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-2], b"garbage\n", *lines[-2:]]))
    with pytest.raises(UserError) as refused, open_store(journal.parent):
        pass
    command = re.search(r"`(sed [^`]+)`", str(refused.value))
    subprocess.run(command[1], shell=True, check=True)
    with open_store(journal.parent) as store:
        assert store[0].value == 0.5


def test_a_valid_journal_is_not_changed(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = journal.read_bytes()
    with caplog.at_level(logging.WARNING, "hearai"), open_journal(journal.parent):
        assert journal.read_bytes() == before
    assert not caplog.records and not journal.with_name("journal.log.torn").exists()
