"""Which trials become finalists, and which one wins."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.config import build_config
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.reporting.study_report.stored_files import read_confusions, read_examples
from hearai.search.finals import score_test_split, winner
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
