"""A journal that was damaged: what is cut off and kept, what is refused, and what is left alone."""

import logging
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from hearai.errors import UserError
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal


def one_number(trial: Trial) -> dict:
    return {"x": trial.suggest_float("x", 0, 1)}


@contextmanager
def ledger_in(folder: Path, seed: int = 0) -> Iterator[TrialStore]:
    with open_journal(folder) as storage:
        yield TrialStore(storage, SEARCH, RandomSampler(seed), unique=True)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A complete trial (0), and one that runs (1) and has reported once."""
    with ledger_in(tmp_path) as store:
        number = store.propose(one_number).number
        store.observe(number, 1, 0.5)
        store.finish(number, TrialState.COMPLETE, 0.5)
        store.observe(store.propose(one_number).number, 1, 0.2)
    return tmp_path / "journal.log"


DAMAGE = {
    "half a line": b'{"op_code":6,"worker_id":"a',
    "a whole line that lacks its end": b'{"op_code":6,"worker_id":"a"}',
    "zeros after a power cut": bytes(4096),
    "zeros, and an end of line": bytes(100) + b"\n",
    "lines of rubbish": b"\xff\xfe\x00 rubbish\nmore of it\n",
    "JSON of something else": b'{"a": 1}\n[1, 2]\n',
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_end_is_cut_off_kept_and_said_and_the_search_goes_on(
    journal: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sound = journal.read_bytes()
    journal.write_bytes(sound + damage)
    with caplog.at_level(logging.WARNING, "hearai"), ledger_in(journal.parent, seed=1) as store:
        assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE, TrialState.RUNNING]
        assert store.propose(one_number).number == 1
    assert journal.read_bytes().startswith(sound)
    assert journal.with_name("journal.log.torn").read_bytes().rstrip(b"\n") == damage.rstrip(b"\n")
    line = sound.count(b"\n") + 1
    assert f"{journal}:{line}: damaged" in caplog.text and "journal.log.torn" in caplog.text
    assert len(read_journal(journal)[SEARCH].trials) == 2


def test_a_second_damaged_end_is_kept_beside_the_first(journal: Path) -> None:
    for damage in (b"first", b"second"):
        with journal.open("ab") as file:
            file.write(damage)
        with ledger_in(journal.parent):
            pass
    assert journal.with_name("journal.log.torn").read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize("tail", [b"", b"half of"], ids=["sound end", "damaged end"])
def test_damage_before_sound_lines_is_refused_with_its_line_and_nothing_is_changed(journal: Path, tail: bytes) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[4] = bytes(20) + b"\n"
    journal.write_bytes(b"".join(lines) + tail)
    before = journal.read_bytes()
    for check_node in (lambda: ledger_in(journal.parent).__enter__(), lambda: read_journal(journal)):
        with pytest.raises(UserError, match=r"journal\.log:5: damaged.*put back a copy.*sed -i '5,\$d'"):
            check_node()
        assert journal.read_bytes() == before
    assert not journal.with_name("journal.log.torn").exists()


def test_the_command_in_the_message_brings_the_search_back(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-2], b"rubbish\n", *lines[-2:]]))
    with pytest.raises(UserError) as refused, ledger_in(journal.parent):
        pass
    command = re.search(r"`(sed [^`]+)`", str(refused.value))
    subprocess.run(command[1], shell=True, check=True)
    with ledger_in(journal.parent) as store:
        assert store[0].value == 0.5


def test_a_sound_journal_is_left_as_it_is(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = journal.read_bytes()
    with caplog.at_level(logging.WARNING, "hearai"), open_journal(journal.parent):
        assert journal.read_bytes() == before
    assert not caplog.records and not journal.with_name("journal.log.torn").exists()
