"""Which checkpoints are removed, and when: none that may be needed, and no folder that may still be written."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from ray.tune.experiment import Trial

from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup, unneeded


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[TrialStore, TrialStore]]:
    with open_journal(tmp_path) as storage:
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        yield search, TrialStore(storage, FINALS, RandomSampler(0), unique=False)


def run(search: TrialStore, folder: Path, value: float | None, state: TrialState = TrialState.COMPLETE) -> int:
    """A trial with its folder; RUNNING = it has not ended."""
    number = search.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
    trial = folder / "trials" / f"{number:04d}"
    for part in ("last", "best", "tensorboard"):
        (trial / part).mkdir(parents=True)
        (trial / part / "file").write_text("x")
    (trial / "metrics.jsonl").write_text("{}")
    if value is not None:
        search.observe(number, 1, value)
    if state is not TrialState.RUNNING:
        search.finish(number, state, value if state is TrialState.COMPLETE else None)
    return number


def tune_trial(number: int) -> Trial:
    return Trial("t", config=TrialSpec(number, "unused", {}).to_dict(), stub=True)


def held(folder: Path) -> list[int]:
    """Trials that still have checkpoints."""
    return sorted(int(best.parent.name) for best in (folder / "trials").glob("*/best"))


def test_base_best_retrained_and_running_keep_checkpoints(
    stores: tuple[TrialStore, TrialStore], tmp_path: Path
) -> None:
    search, finals = stores
    values = [0.1, 0.5, 0.9, 0.3, 0.8]
    for value in values:
        run(search, tmp_path, value)
    run(search, tmp_path, 0.95, TrialState.PRUNED)
    run(search, tmp_path, None, TrialState.FAIL)
    run(search, tmp_path, 0.2, TrialState.RUNNING)
    assert unneeded(search.trials(), 2, set()) == {1, 3, 5, 6}
    finals.enqueue({}, {"source": 3, "seed": 1})
    CheckpointCleanup(StudySync(tmp_path), search, finals, keep=2, slots=2).clean()
    assert held(tmp_path) == [0, 2, 3, 4, 7]
    assert not (tmp_path / "trials" / "0005" / "last").exists()
    assert len(list((tmp_path / "trials").glob("*/metrics.jsonl"))) == 8, "what was measured stays"
    assert len(list((tmp_path / "trials").glob("*/tensorboard/file"))) == 8


def test_a_trial_that_has_just_ended_is_cleaned_later(stores: tuple[TrialStore, TrialStore], tmp_path: Path) -> None:
    search, finals = stores
    cleanup = CheckpointCleanup(StudySync(tmp_path), search, finals, keep=1, slots=1)
    seen = []
    for value in (0.5, 0.1, 0.2, 0.3, 0.9, 0.4, 0.6):
        number = run(search, tmp_path, value)
        cleanup.on_trial_complete(0, [], tune_trial(number))
        seen.append(held(tmp_path))
    assert seen[2] == [0, 1, 2] and seen[3] == [0, 2, 3], "the second went when two had ended after it"
    assert seen[-1] == [0, 4, 5, 6], "the best stays, and the last two may still be written"


def test_the_former_best_is_removed_after_a_better_trial(stores: tuple[TrialStore, TrialStore], tmp_path: Path) -> None:
    search, finals = stores
    cleanup = CheckpointCleanup(StudySync(tmp_path), search, finals, keep=1, slots=1)
    for value in (0.1, 0.6, 0.2, 0.2, 0.7, 0.3, 0.3):
        number = run(search, tmp_path, value)
        cleanup.on_trial_complete(0, [], tune_trial(number))
    assert 1 not in held(tmp_path) and 4 in held(tmp_path)


def test_a_paused_trial_keeps_its_checkpoint_until_closed(
    stores: tuple[TrialStore, TrialStore], tmp_path: Path
) -> None:
    search, finals = stores
    cleanup = CheckpointCleanup(StudySync(tmp_path), search, finals, keep=1, slots=1)
    run(search, tmp_path, 0.3)
    paused = run(search, tmp_path, 0.1, TrialState.RUNNING)
    cleanup.clean()  # as at the start of a search that continues with a paused trial
    for value in (0.9, 0.5, 0.4):
        cleanup.on_trial_complete(0, [], tune_trial(run(search, tmp_path, value)))
    assert paused in held(tmp_path)
    search.finish(paused, TrialState.PRUNED)
    cleanup.on_trial_complete(0, [], tune_trial(run(search, tmp_path, 0.2)))
    assert paused not in held(tmp_path)


def test_a_trial_that_ends_after_a_pause_may_be_written(stores: tuple[TrialStore, TrialStore], tmp_path: Path) -> None:
    search, finals = stores
    cleanup = CheckpointCleanup(StudySync(tmp_path), search, finals, keep=1, slots=1)
    run(search, tmp_path, 0.9)
    paused = run(search, tmp_path, 0.1, TrialState.RUNNING)
    for number in (paused, run(search, tmp_path, 0.2), run(search, tmp_path, 0.3)):
        cleanup.on_trial_complete(0, [], tune_trial(number))
    search.finish(paused, TrialState.PRUNED)
    cleanup.on_trial_complete(0, [], tune_trial(paused))  # resumed, and diverged
    assert paused in held(tmp_path)
