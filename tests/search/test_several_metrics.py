"""Trials with values of several metrics: in the journal, for the samplers, in the browser."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState
from pydantic import ValidationError

from hearai.config.config import build_config, load_config
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.config.study_schema import ONE_METRIC_ALONE, Sampler, StudyFile
from hearai.search.finals import aim_note, finalists, front_of, keep_front, winner
from hearai.search.sampling.samplers import build_sampler
from hearai.search.stage import Stage
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore, open_journal, primary
from hearai.search.tune.callbacks import standing
from hearai.search.tune.searcher import JournalSearcher
from hearai.training.outputs.layout import BACKBONE_FILE
from tests.helpers.optuna_dashboard import dashboard, fetch

TWO = ("objective", "seconds_per_clip")
SAMPLERS = sorted(set(get_args(Sampler.model_fields["name"].annotation)) - set(ONE_METRIC_ALONE))
LAST = {"epoch": 2, "epochs": 2, "objective": 0.5, "best_epoch": 1, "diverged": 0.0, "seconds": 1.0}
LAST |= {"parameters": 1000, "size_mb": 0.004, "seconds_per_clip": 0.02}


@contextmanager
def ledger_in(folder: Path, sampler: Any = None, *, metrics: tuple[str, ...] = TWO) -> Iterator[TrialStore]:
    with open_journal(folder) as storage:
        spare = ({"x": i / 1000, "y": 0} for i in range(1000))  # what to try where a sampler repeats itself
        yield TrialStore(storage, SEARCH, sampler or RandomSampler(0), unique=True, spare=spare, metrics=metrics)


def two_numbers(trial: Trial) -> dict:
    return {"x": trial.suggest_float("x", 0, 1), "y": trial.suggest_int("y", 0, 100)}


def ended(store: TrialStore, state: TrialState, *values: float, choose: Callable[[Trial], dict] = two_numbers) -> int:
    """A trial that reported its first value in each of two epochs."""
    number = store.propose(choose).number
    for epoch in (1, 2):
        store.observe(number, epoch, values[0])
    store.finish(number, state, values if state is TrialState.COMPLETE else None)
    return number


def test_a_complete_trial_keeps_all_its_values_and_a_stopped_one_its_epochs(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        ended(store, TrialState.COMPLETE, 0.7, 0.03)
        ended(store, TrialState.PRUNED, 0.4)
        ended(store, TrialState.FAIL, 0.3)
        store.propose(two_numbers)
    with ledger_in(tmp_path) as store:
        complete, stopped, failed, running = store.trials()
        assert complete.values == [0.7, 0.03] and complete.intermediate_values == {1: 0.7, 2: 0.7}
        assert stopped.values is None and stopped.intermediate_values == {1: 0.4, 2: 0.4}
        assert [primary(trial) for trial in (complete, stopped, failed, running)] == [0.7, 0.4, None, None]
    book = read_journal(tmp_path / "journal.log")[SEARCH]
    assert [trial.state.name for trial in book.trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]


def test_with_one_metric_the_primary_value_is_the_value(tmp_path: Path) -> None:
    with ledger_in(tmp_path, metrics=("objective",)) as store:
        ended(store, TrialState.COMPLETE, 0.7)
        ended(store, TrialState.PRUNED, 0.4)
        assert [primary(trial) for trial in store.trials()] == [trial.value for trial in store.trials()] == [0.7, 0.4]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_several_metrics_goes_on_beside_stopped_failed_and_running_trials(
    tmp_path: Path, name: str
) -> None:
    sampler = build_sampler(Sampler(name=name, startup_trials=4), 0)
    with ledger_in(tmp_path, sampler) as store:
        for i in range(4):
            ended(store, TrialState.COMPLETE, i / 10, 0.01 * i)
            ended(store, TrialState.PRUNED, i / 20)
            ended(store, TrialState.FAIL, 0.1)
        store.propose(two_numbers)
        params = [store.propose(two_numbers).params for _ in range(3)]
    assert all(0 <= point["x"] <= 1 and 0 <= point["y"] <= 100 for point in params)


@pytest.mark.parametrize("name", ONE_METRIC_ALONE)
def test_a_sampler_of_one_metric_is_refused_at_load_where_several_are_asked_for(name: str) -> None:
    sampler = Sampler.model_construct(name=name)
    with pytest.raises(ValidationError, match=f"sampler.name: {name} proposes for one metric"):
        StudyFile(sampler=sampler, metric=TWO, space={})
    assert StudyFile(sampler=sampler, space={}).metric == ("objective",)


def test_tpe_looks_along_the_front_and_shuns_where_trials_were_stopped(tmp_path: Path) -> None:
    """Score and time both grow with x up to 0.5; above it trials are stopped."""
    with ledger_in(tmp_path, build_sampler(Sampler(name="tpe", startup_trials=10), 0)) as store:
        drawn = []
        for _ in range(50):
            proposal = store.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)})
            x = proposal.params["x"]
            drawn.append(x)
            store.observe(proposal.number, 1, 0.1 if x > 0.5 else x)
            if x > 0.5:
                store.finish(proposal.number, TrialState.PRUNED)
            else:
                store.finish(proposal.number, TrialState.COMPLETE, [x, x])
    late = drawn[25:]
    assert sum(x > 0.5 for x in late) <= 8, "random draws would be there half of the time"
    assert min(late) < 0.15 and max(x for x in late if x <= 0.5) > 0.35, "all along the front"


def test_finalists_winner_and_live_lines_go_by_the_primary_metric(tmp_path: Path) -> None:
    with open_journal(tmp_path) as storage:
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True, metrics=TWO)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        for score, seconds in ((0.5, 0.01), (0.9, 0.09), (0.7, 0.02)):
            ended(search, TrialState.COMPLETE, score, seconds)
        ended(search, TrialState.PRUNED, 0.95)
        assert [trial.number for trial in finalists(search, 1)] == [1]
        assert winner(search, finals) == 1
        stage = Stage(search, two_numbers, lambda _: build_config({}), limit=9, slots=1)
        assert standing(stage) == ("[4/9]", "  best 0.900 (0001)")


def on_report(tmp_path: Path, metrics: tuple[str, ...], result: dict[str, Any]) -> Any:
    """The trial as the journal has it after Tune has brought `result`."""
    with ledger_in(tmp_path, metrics=metrics) as store:
        stage = Stage(store, two_numbers, lambda _: build_config({}), limit=1, slots=1)
        searcher = JournalSearcher(iter([stage]), lambda proposal, _: {"folder": str(tmp_path / "trial")})
        searcher.suggest("a")
        searcher.on_trial_complete("a", result)
        return store[0]


def test_what_a_trial_reports_becomes_its_values_in_the_order_of_the_metrics(tmp_path: Path) -> None:
    trial = on_report(tmp_path, ("objective", "size_mb", "seconds_per_clip"), LAST)
    assert trial.state is TrialState.COMPLETE and trial.values == [0.5, 0.004, 0.02]
    assert trial.user_attrs["costs"] == {"seconds_per_clip": 0.02, "parameters": 1000, "size_mb": 0.004}


def test_the_costs_of_a_stopped_trial_are_kept_beside_it(tmp_path: Path) -> None:
    trial = on_report(tmp_path, TWO, {**LAST, "epoch": 1})
    assert trial.state is TrialState.PRUNED and trial.user_attrs["costs"]["seconds_per_clip"] == 0.02


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_finite_number_is_never_stored(tmp_path: Path, value: float) -> None:
    trial = on_report(tmp_path, TWO, {**LAST, "seconds_per_clip": value})
    assert trial.state is TrialState.FAIL and trial.values is None
    assert f"seconds_per_clip {value}" in trial.user_attrs["reason"]


def test_the_front_is_of_complete_trials_and_each_of_its_configs_can_be_run(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study({"metric": list(TWO)})
    folder = tmp_path / "study"
    (folder / "pareto").mkdir(parents=True)
    (folder / "pareto" / "0009.yaml").write_text("of an earlier front")
    (folder / BACKBONE_FILE).write_bytes(b"weights")
    checkpoint = {"feature_extractor.checkpoint": str(folder / BACKBONE_FILE)}
    study = Study(study.name, study.space_name, study.settings, override(study.base, checkpoint), study.space)
    lr = "train_parameters.lr"
    with ledger_in(folder) as store:
        for score, seconds in ((0.5, 0.01), (0.9, 0.09), (0.4, 0.02)):
            ended(store, TrialState.COMPLETE, score, seconds, choose=lambda t: {lr: t.suggest_float(lr, 1e-4, 0.1)})
        ended(store, TrialState.PRUNED, 0.99, choose=lambda t: {lr: t.suggest_float(lr, 1e-4, 0.1)})
        assert front_of(store) == [1, 0]
        keep_front(study, store, folder)
        drawn = {number: store[number].params[lr] for number in (0, 1)}
    assert sorted(path.name for path in (folder / "pareto").iterdir()) == ["0000.yaml", "0001.yaml"]
    for number, value in drawn.items():
        config = load_config(folder / "pareto" / f"{number:04d}.yaml")
        assert config.train_parameters.lr == value and config.general_parameters.seed == study.settings.seed
        assert Path(config.feature_extractor.checkpoint).resolve() == (folder / BACKBONE_FILE).resolve()


def test_a_search_says_what_it_aims_at_where_that_is_not_said_by_itself(make_study: Callable[..., Study]) -> None:
    assert aim_note(make_study()) is None
    study = make_study({"metric": list(TWO), "objective": {"heads": ["gloss"]}})
    assert aim_note(study) == "searched for: macro-F1 over 1 of 1 heads: gloss; beside it milliseconds per clip"


def test_with_one_metric_there_is_no_front(tmp_path: Path) -> None:
    with ledger_in(tmp_path, metrics=("objective",)) as store:
        ended(store, TrialState.COMPLETE, 0.5)
        assert front_of(store) == []


def test_the_dashboard_shows_all_metrics_and_the_epochs_of_the_first(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        ended(store, TrialState.COMPLETE, 0.7, 0.03)
        ended(store, TrialState.PRUNED, 0.4)
        with dashboard(tmp_path / "journal.log") as address:
            study = fetch(f"{address}/api/studies")["study_summaries"][0]
            assert study["directions"] == ["maximize", "minimize"]
            trials = fetch(f"{address}/api/studies/{study['study_id']}?after=0")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Pruned"]
    assert trials[0]["values"] == [0.7, 0.03]
    assert [value["value"] for value in trials[1]["intermediate_values"]] == [0.4, 0.4]
