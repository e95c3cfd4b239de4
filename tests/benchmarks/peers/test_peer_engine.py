"""A peer in another process: the adapter, with a runner that speaks its protocol."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.peers import peer_engine
from hearai.benchmarks.peers.peer_engine import PeerEngine, missing_peer
from hearai.errors import UserError

RUNNER = """
import json, sys
told = []
for line in sys.stdin:
    request = json.loads(line)
    answer = {}
    if request["op"] == "start":
        base = request["base"]
    elif request["op"] == "ask":
        goals = [("a", 2), ("b", 2), ("a", 4), ("a", 3)]
        if len(told) < len(goals):
            key, epochs = goals[len(told)]
            answer = {"key": key, "params": base, "epochs": epochs}
    else:
        told.append(request)
        if request["epochs"] == 3:
            assert request["value"] == 0.3, request
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runner.py"
    path.write_text(RUNNER)
    monkeypatch.setitem(peer_engine.RUNNERS, "peer", path)
    return path


@pytest.mark.heavy
def test_run_trains_as_far_as_asked_and_on_when_promoted(runner: Path) -> None:
    with ExitStack() as stack:
        engine = PeerEngine("peer", Path(sys.executable), recorded_study(), 2, 5, stack)
        first = engine.ask()
        assert first.params == recorded_study().base_params()
        assert [engine.tell(first.key, epoch, epoch / 10, False) for epoch in (1, 2)] == [True, False]
        other = engine.ask()
        assert not engine.tell(other.key, 1, float("nan"), True), "diverged: the peer hears the worst value"
        again = engine.ask()
        assert again.key == first.key != other.key
        assert [engine.tell(again.key, epoch, epoch / 10, False) for epoch in (3, 4)] == [True, False]
        assert engine.ask() is None, "what it asks for again was answered from the curve"


@pytest.mark.heavy
def test_peer_that_ends_is_an_error(runner: Path) -> None:
    runner.write_text("import sys; sys.exit(1)")
    with ExitStack() as stack, pytest.raises(UserError, match=r"peer: runner\.py has ended"):
        PeerEngine("peer", Path(sys.executable), recorded_study(), 2, 5, stack)


def test_python_without_the_peer_is_named(tmp_path: Path) -> None:
    assert "give a Python that has it" in str(missing_peer("SMAC3", None))
    assert "has no module smac; install it there" in str(missing_peer("SMAC3", Path(sys.executable)))
    assert "cannot be run" in str(missing_peer("SMAC3", tmp_path / "python"))
