"""Warm starts: whose values are used, of which only the points are tried, and what is refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.data.annotations.load import _read, _split, load_data
from hearai.errors import ConfigError
from hearai.search.plan import Plan
from hearai.search.sampling.freeze_thaw.curves import Curve
from hearai.search.sampling.freeze_thaw.pausing import curves_of
from hearai.search.sampling.policies import build_engine
from hearai.search.sampling.samplers import build_search_store, suggest_params
from hearai.search.sampling.warm_start import WarmStart, apply_warm_start, check_warm_starts, read_warm_starts
from hearai.search.storage.attributes import WARM_KIND
from hearai.search.storage.journal_backend import open_journal

MakeStudy = Callable[..., Study]
LR, LAYERS = "train_parameters.lr", "transformer.num_encoder_layers"


def plan_of(study: Study) -> Plan:
    return Plan(study, load_data(study.base), study.base, None)


@pytest.fixture
def older(make_study: MakeStudy, tmp_path: Path) -> Path:
    """The journal of a search with the base config, a complete, a stopped and a failed trial."""
    folder, study = tmp_path / "older", make_study(name="older")
    with open_journal(folder) as storage:
        store = build_search_store(storage, study)
        store.enqueue(study.base_params(), {"kind": "base"})
        for value, state in ((0.4, "COMPLETE"), (0.6, "COMPLETE"), (0.2, "PRUNED"), (None, "FAIL")):
            number = store.propose(lambda trial: suggest_params(trial, study)).number
            if value:
                store.observe(number, 1, value)
            store.finish(number, TrialState[state], value if state == "COMPLETE" else None)
    data = {"fingerprint": load_data(study.base).fingerprint}
    (folder / "study.yaml").write_text(yaml.safe_dump({**study.to_dict(), "data": data}))
    return folder / "journal.log"


def with_warm_start(study: Study, *journals: Path | str) -> Study:
    return replace(study, settings=study.settings.model_copy(update={"warm_start": tuple(map(str, journals))}))


def read_one(study: Study) -> WarmStart:
    """The warm start of a study with one."""
    (warm,) = read_warm_starts(plan_of(study))
    return warm


def test_comparable_trials_are_added_for_the_sampler_only(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    study = with_warm_start(make_study(), older)
    warm = read_one(study)
    assert warm.note == f"warm start: 3 of 3 trials of {older}"
    with open_journal(tmp_path / "new") as storage:
        store = build_search_store(storage, study)
        store.enqueue(study.base_params(), {"kind": "base"})
        apply_warm_start(store, warm, study.space)
        apply_warm_start(store, warm, study.space)
        kinds = [trial.user_attrs["kind"] for trial in store.optuna_study.trials]
        assert kinds == ["base", WARM_KIND, WARM_KIND, WARM_KIND], "added once"
        assert [trial.number for trial in store.trials()] == [0], "warm trials do not count"
        warm_trial = store.optuna_study.trials[2]
        assert warm_trial.values == [0.6] and warm_trial.intermediate_values == {1: 0.6}
        assert store.propose(lambda trial: suggest_params(trial, study)).user_attrs["kind"] == "base"


@pytest.mark.heavy
def test_parameters_not_searched_there_have_their_values_there(make_study: MakeStudy, older: Path) -> None:
    wider = make_study({"space": {LAYERS: {"int": [1, 3]}}})
    warm = read_one(with_warm_start(wider, older))
    assert [one.params[LAYERS] for one in warm.trials] == [1, 1, 1]


def test_trials_outside_of_this_space_are_left_out(make_study: MakeStudy, older: Path) -> None:
    narrow = make_study({"space": {LR: {"float": [5e-4, 2e-3], "log": True}}})
    warm = read_one(with_warm_start(narrow, older))
    assert warm.note == f"warm start: 1 of 3 trials of {older}; 2 left out: not points of this space"
    assert warm.trials[0].params == {LR: pytest.approx(1e-3)}


@pytest.mark.heavy
def test_only_points_are_taken_if_values_are_not_comparable(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    study = with_warm_start(make_study(), older)
    other = replace(study, base=override(study.base, {"general_parameters.split_seed": 7}))
    warm = read_one(other)
    assert warm.trials == () and len(warm.points) == 2
    with open_journal(tmp_path / "new") as storage:
        store = build_search_store(storage, other)
        store.enqueue(other.base_params(), {"kind": "base"})
        apply_warm_start(store, warm, other.space)
        proposals = [store.propose(lambda trial: suggest_params(trial, other)) for _ in range(3)]
        assert proposals[0].user_attrs["kind"] == "base" and proposals[1].params == warm.points[0]
        assert "from" not in proposals[2].user_attrs, "the other point is the base config, which is tried once"


def test_a_journal_without_usable_trials_is_refused(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*nowhere/journal.log; give the journal.log in a study folder"):
        read_one(with_warm_start(make_study(), tmp_path / "nowhere" / "journal.log"))
    elsewhere = make_study({"space": {LR: {"float": [1e-9, 1e-8], "log": True}}})
    with pytest.raises(ConfigError, match="none of its 3 ended trials is a point of this space"):
        read_one(with_warm_start(elsewhere, older))


@pytest.mark.parametrize("given", [".", "..", "/", "", "older"])
def test_a_folder_is_refused_with_the_file_to_give(
    make_study: MakeStudy, older: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(older.parents[1])
    with pytest.raises(ConfigError, match=r"--warm-start .*: a folder; give the journal\.log in a study folder"):
        read_one(with_warm_start(make_study(), given))


@pytest.mark.heavy
def test_numbers_that_mean_other_words_are_refused(make_study: MakeStudy, older: Path, tiny_dataset: Path) -> None:
    study = with_warm_start(make_study(), older)
    older.with_name("class_names.csv").write_text("head,class,name\ngloss,0,book\n")
    (tiny_dataset / "glosses.csv").write_text("gloss_id,word\n0,tree\n")
    _read.cache_clear()
    _split.cache_clear()
    for check in (lambda: read_one(study), lambda: check_warm_starts(study)):
        with pytest.raises(ConfigError, match="numbers of the dataset mean other words") as caught:
            check()
        assert caught.value.problems[1:] == ["  gloss 0 was 'book', is 'tree' in glosses.csv"]


def test_a_dry_run_refuses_what_a_start_refuses(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    check_warm_starts(make_study())
    check_warm_starts(with_warm_start(make_study(), older))
    with pytest.raises(ConfigError, match="no file"):
        check_warm_starts(with_warm_start(make_study(), tmp_path / "nowhere" / "journal.log"))
    with pytest.raises(ConfigError, match="a folder; give the"):
        check_warm_starts(with_warm_start(make_study(), older.parent))


@pytest.mark.heavy
def test_several_journals_are_added_once_each(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    shutil.copytree(older.parent, tmp_path / "second")
    journals = (str(older), str(tmp_path / "second" / "journal.log"))
    study = make_study({"warm_start": list(journals)})
    assert study.settings.warm_start == journals and make_study({"warm_start": journals[0]}).settings.warm_start == (
        journals[0],
    )
    with open_journal(tmp_path / "new") as storage:
        store = build_search_store(storage, study)
        first, second = read_warm_starts(plan_of(study))
        apply_warm_start(store, first, study.space)  # killed here, and continued
        for warm in (first, second):
            apply_warm_start(store, warm, study.space)
        sources = [trial.user_attrs["from"].rpartition(" trial ")[0] for trial in store.optuna_study.trials]
        assert sources == [journals[0]] * 3 + [journals[1]] * 3


@pytest.mark.heavy
def test_problems_of_all_journals_are_listed(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    study = with_warm_start(make_study(), older, older, tmp_path / "nowhere" / "journal.log")
    with pytest.raises(ConfigError) as caught:
        check_warm_starts(study)
    assert [f"--warm-start {older}: given twice", "no file"] == [
        caught.value.problems[0],
        caught.value.problems[1].partition(": ")[2][:7],
    ]


FREEZE_THAW = {"sampler": {"name": "freeze_thaw", "startup_trials": 0}}


@pytest.mark.heavy
def test_freeze_thaw_learns_from_trials_of_a_range_nearby(make_study: MakeStudy, older: Path, tmp_path: Path) -> None:
    """The trials have learning rates of 0.001, 0.0044 and 0.019."""
    study = make_study({**FREEZE_THAW, "space": {LR: {"float": [5e-4, 5e-3], "log": True}}})
    study = with_warm_start(study, older)
    warm = read_one(study)
    assert [one.is_inside for one in warm.trials] == [True, True, False][: len(warm.trials)]
    with open_journal(tmp_path / "new") as storage:
        store = build_search_store(storage, study)
        apply_warm_start(store, warm, study.space)
        curves = curves_of(store)
        assert [curve.params for curve in curves] == [one.params for one in warm.trials]
        assert all(curve.is_prior for curve in curves) and store.trials() == []
        point = build_engine(study).next([*curves, Curve(len(curves), study.base_params(), {1: 0.1}, "paused")])
        assert isinstance(point, int) or study.space.domains[LR].contains(point[LR])
        assert store.propose(lambda trial: suggest_params(trial, study)) is not None, "the journal takes new trials"
    with open_journal(tmp_path / "new") as storage:
        assert curves_of(build_search_store(storage, study))[: len(curves)] == curves, "and is read again"


@pytest.mark.heavy
def test_what_freeze_thaw_cannot_place_is_left_out(make_study: MakeStudy, older: Path) -> None:
    far = make_study({**FREEZE_THAW, "space": {LR: {"float": [1e-3, 1.01e-3], "log": True}}})
    assert read_one(with_warm_start(far, older)).note.endswith("; 2 left out: not points of this space")
    single = make_study({**FREEZE_THAW, "space": {LR: 1e-3}})
    assert len(read_one(with_warm_start(single, older)).trials) == 1


@pytest.mark.heavy
def test_values_that_are_not_comparable_are_tried_inside_only(make_study: MakeStudy, older: Path) -> None:
    study = make_study({**FREEZE_THAW, "space": {LR: {"float": [5e-4, 5e-3], "log": True}}})
    other = replace(study, base=override(study.base, {"general_parameters.split_seed": 7}))
    warm = read_one(with_warm_start(other, older))
    assert warm.trials == () and all(study.space.domains[LR].contains(point[LR]) for point in warm.points)
