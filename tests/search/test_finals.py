"""Which trials become finalists, and which one wins."""

from pathlib import Path

from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.config import build_config
from hearai.search.finals import winner
from hearai.search.sampling.policy import Stopping
from hearai.search.stage import Stage
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore
from hearai.search.tune.callbacks import standing
from tests.helpers.suggestions import run_trial, suggest_x_and_y


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
