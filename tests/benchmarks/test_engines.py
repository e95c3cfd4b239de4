"""Each engine follows its own rules for what it proposes and stops."""

from pathlib import Path

import pytest

from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.engines import HearaiEngine, OptunaEngine, RayEngine
from hearai.search.storage.journal_backend import open_journal


@pytest.mark.heavy
def test_hearai_completes_the_base_config_and_journals_it(tmp_path: Path) -> None:
    study = recorded_study()
    with open_journal(tmp_path) as storage:
        engine = HearaiEngine(study, tmp_path, 2, storage)
        run = engine.ask()
        assert run.params == study.base_params()
        assert all(engine.tell(run.key, epoch, epoch / 100, epoch == 20) for epoch in range(1, 21))
        trial = engine.store[0]
        assert trial.state.name == "COMPLETE" and trial.value == 0.2 and len(trial.intermediate_values) == 20


@pytest.mark.heavy
def test_ray_pair_reports_a_stopped_trial_as_complete() -> None:
    engine = RayEngine(recorded_study())
    good, bad = engine.ask(), engine.ask()
    grace = recorded_study().settings.early_stopping.grace_epochs
    assert all(engine.tell(good.key, epoch, 0.9, False) for epoch in range(1, grace + 1))
    assert all(engine.tell(bad.key, epoch, 0.1, False) for epoch in range(1, grace))
    assert not engine.tell(bad.key, grace, 0.1, False)
    reported = {trial.state.name: trial.value for trial in engine._search._ot_study.trials}
    assert reported["COMPLETE"] == 0.1, "what Ray's OptunaSearch does; hearai reports PRUNED"


@pytest.mark.heavy
def test_optuna_asks_its_pruner_after_every_epoch() -> None:
    engine = OptunaEngine(recorded_study())
    for _ in range(5):  # the median pruner waits for five
        run = engine.ask()
        assert all(engine.tell(run.key, epoch, 0.5, epoch == 20) for epoch in range(1, 21))
    run = engine.ask()
    assert not engine.tell(run.key, 1, 0.1, False)
