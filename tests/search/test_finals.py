"""Which trials become finalists, and which one wins."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.config import build_config
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.reporting.study_report.stored_files import read_confusions, read_examples
from hearai.search.finals import best_run, require_winner_checkpoints, score_test_split, winner
from hearai.search.sampling.policy import Stopping
from hearai.search.stage import Stage
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore
from hearai.search.tune.callbacks import standing
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.suggestions import run_trial, suggest_x_and_y

LR = "train_parameters.lr"


def test_finalists_winner_and_progress_use_the_primary_metric(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        metrics = ("objective", "seconds_per_clip")
        search = TrialStore(journal, SEARCH, RandomSampler(0), unique=True, metrics=metrics)
        finals = TrialStore(journal, FINALS, RandomSampler(0), unique=False)
        for score, seconds in ((0.5, 0.01), (0.9, 0.09), (0.7, 0.02)):
            run_trial(search, TrialState.COMPLETE, score, seconds)
        run_trial(search, TrialState.PRUNED, 0.95)
        assert Stopping(search, suggest_x_and_y).finalists(1) == [1]
        assert winner(search, finals) == 1
        stage = Stage(search, suggest_x_and_y, lambda _: build_config({}), limit=9, slots=1)
        assert standing(stage) == ("[4/9]", "  best 0.900 (0001)")


def test_of_equal_finalists_the_base_config_wins(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        search = TrialStore(journal, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(journal, FINALS, RandomSampler(0), unique=False)
        for score in (0.5, 0.9):
            run_trial(search, TrialState.COMPLETE, score)
        for source, score in ((1, 0.6), (0, 0.6)):
            finals.enqueue({}, {"source": source, "seed": 1})
            finals.finish(finals.propose(lambda _: {}).number, TrialState.COMPLETE, score)
        assert winner(search, finals) == 0


def test_a_failed_base_config_that_wins_needs_only_its_finals(
    make_study: Callable[..., Study], stores: tuple[TrialStore, TrialStore], tmp_path: Path
) -> None:
    """The command for a missing checkpoint is named only where its config exists."""
    study, (search, finals) = make_study({"splits": 2}), stores
    run_trial(search, TrialState.FAIL, 0.5)
    run_trial(search, TrialState.COMPLETE, 0.9)
    for source, seed, score in ((0, 1, 0.8), (0, 2, 0.9), (1, 1, 0.1), (1, 2, 0.1)):
        finals.enqueue({}, {"source": source, "seed": seed})
        finals.finish(finals.propose(lambda _: {}).number, TrialState.COMPLETE, score)
    assert winner(search, finals) == 0
    assert best_run(search, finals, 0) == ("0000-seed2", 2) and best_run(search, finals, 1) == ("0001", None)

    runs = [tmp_path / "trials" / f"0000-seed{seed}" / f"split{fold}" for seed in (1, 2) for fold in (0, 1)]
    for run in runs[1:]:
        (run / "best").mkdir(parents=True)
        (run / "best" / "state.pt").touch()
    with pytest.raises(UserError) as error:
        require_winner_checkpoints(study, search, finals, tmp_path)
    (problem,) = error.value.problems
    assert problem.startswith(f"{runs[0] / 'best'}: ") and "config.yaml; put both back" in problem
    runs[0].mkdir(parents=True)
    (runs[0] / "config.yaml").touch()
    with pytest.raises(UserError, match=f"train.py --config {runs[0] / 'config.yaml'} "):
        require_winner_checkpoints(study, search, finals, tmp_path)
    (runs[0] / "best").mkdir()
    (runs[0] / "best" / "state.pt").touch()
    require_winner_checkpoints(study, search, finals, tmp_path)


@pytest.mark.training
def test_confusions_are_written_with_the_test_scores(
    make_study: Callable[..., Study], stores: tuple[TrialStore, TrialStore], tmp_path: Path
) -> None:
    study, (search, finals) = make_study(), stores
    search.enqueue(study.base_params(), {"kind": "base"})
    number = search.propose(lambda trial: {LR: trial.suggest_float(LR, 0, 1)}).number
    search.finish(number, TrialState.COMPLETE, 0.5)
    for seed in (1, 2):
        finals.enqueue({}, {"source": 0, "seed": seed})
        finals.finish(finals.propose(lambda _: {}).number, TrialState.COMPLETE, 0.5)
        config = override(study.base, {"general_parameters.seed": seed, "train_parameters.epochs": 1})
        fit(config, LocalRuntime("cpu", tmp_path / "trials" / f"0000-seed{seed}"))
    scores = score_test_split(study, search, finals, tmp_path)
    record, examples = read_confusions(tmp_path), read_examples(tmp_path)
    assert (record.trial, record.seeds, record.runs) == (0, [1, 2], 2)
    counts = record.heads["gloss"].counts
    right = sum(clips for true, predicted, clips in counts if true == predicted)
    assert right / sum(clips for *_, clips in counts) == pytest.approx(scores["winner"]["heads"]["gloss"]["accuracy"])
    assert (examples.trial, examples.seeds) == (0, [1, 2]) and not examples.note

    (tmp_path / "test_confusion.json").unlink()
    assert score_test_split(study, search, finals, tmp_path) == scores
    assert not (tmp_path / "test_confusion.json").exists()  # scores that are known are not computed again
