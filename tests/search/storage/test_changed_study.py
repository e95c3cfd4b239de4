"""A changed study: taken while no trial has a result, refused afterwards, unless only its space was widened."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.study import Request, Study, load_study, read_study
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.search.plan import Plan
from hearai.search.storage.attributes import KIND, WARM_KIND
from hearai.search.storage.changed_study import continuation_notes, syncing_changed
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.layout import JOURNAL, STUDY_FILE, TRIALS
from hearai.search.storage.space_change import history_of
from hearai.search.storage.study_folder import ensure_study_folder
from hearai.search.storage.study_sync import StudyLocation, StudySync
from hearai.search.storage.trial_store import SEARCH, TrialStore
from tests.helpers.s3_server import Bucket
from tests.helpers.text_files import write_text

MakeStudy = Callable[..., Study]
LR = "train_parameters.lr"
LAYERS = "transformer.num_encoder_layers"


def with_lr(low: float, high: float, **others: object) -> dict:
    """Settings of a study that searches this range."""
    return {"space": {LR: {"float": [low, high], "log": True}, **others}}


WIDER = with_lr(1e-4, 0.5)
WIDENED = f"space widened: {LR} float 0.0001 .. 0.5, log (was 0.0001 .. 0.1)"


def search(study: Study, folder: Path, state: TrialState | None, storage: str | None = None, **attrs: str) -> list[str]:
    """Opens the study as a search does and leaves a trial in this state; returns the printed lines."""
    plan, printed, sync = Plan(study, load_data(study.base), study.base, None), [], StudySync(folder, storage)
    with open_journal(folder, syncing_changed(plan, sync, printed.append)) as journal:
        printed += ensure_study_folder(plan, folder)[1]
        store = TrialStore(journal, SEARCH, RandomSampler(0), unique=True)
        if state is not None:
            store.enqueue({LR: study.base.train_parameters.lr}, attrs)
            trial = store.optuna_study.ask()
            trial.suggest_float(LR, 1e-4, 0.5, log=True)
            write_text(folder / TRIALS / "0000" / "train.log", "epoch 1")
            if state is not TrialState.RUNNING:
                store.optuna_study.tell(trial, 0.5 if state is TrialState.COMPLETE else None, state=state)
    return printed


@pytest.mark.heavy
@pytest.mark.parametrize("state", [None, TrialState.RUNNING, TrialState.FAIL])
def test_a_study_without_results_takes_a_changed_config(
    state: TrialState | None, make_study: MakeStudy, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    assert search(make_study(), folder, state) == []
    changed = make_study(changes={"train_parameters.batch_size": 7}, settings={"seed": 5})
    first, *lines = search(changed, folder, None)
    assert first.startswith(f"{folder}: the study was changed before any trial had a result; it starts again")
    assert ("1 unfinished trial." in first) == (state is not None)
    assert sorted(lines) == ["  config.train_parameters.batch_size: was 4, is 7", "  seed: was 0, is 5"]
    assert not (folder / TRIALS).exists() and "batch_size: 7" in (folder / STUDY_FILE).read_text()
    assert '"trial_id"' not in (folder / JOURNAL).read_text()
    assert search(changed, folder, None) == [], "the second time it is the same study"


@pytest.mark.heavy
@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_study_with_a_result_refuses_a_changed_config(
    state: TrialState, make_study: MakeStudy, tmp_path: Path
) -> None:
    search(make_study(), tmp_path / "study", state)
    with pytest.raises(ConfigError, match="contains another study; undo the changes to continue it"):
        search(make_study(settings={"seed": 5}), tmp_path / "study", None)
    assert (tmp_path / "study" / TRIALS / "0000" / "train.log").exists()
    assert search(make_study(), tmp_path / "study", None) == [], "the unchanged study continues"


@pytest.mark.heavy
def test_results_of_another_search_do_not_count(make_study: MakeStudy, tmp_path: Path) -> None:
    search(make_study(), tmp_path / "study", TrialState.COMPLETE, **{KIND: WARM_KIND})
    assert search(make_study(settings={"seed": 5}), tmp_path / "study", None)


@pytest.mark.heavy
def test_a_changed_study_is_removed_from_an_object_store(bucket: Bucket, make_study: MakeStudy, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    search(make_study(), folder, TrialState.RUNNING, bucket.uri)
    store = StudySync(folder, bucket.uri).store
    assert store is not None and store.push(folder, [TRIALS]) == 1
    assert search(make_study(settings={"seed": 5}), folder, None, bucket.uri)
    assert not store.list(TRIALS) and b"trial_id" not in (store.read(JOURNAL) or b"")


# -- a changed space ------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.RUNNING])
def test_a_widened_space_continues_and_is_recorded(state: TrialState, make_study: MakeStudy, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    search(make_study(), folder, state)
    assert search(make_study(settings=WIDER), folder, None) == [WIDENED]
    assert search(make_study(settings=WIDER), folder, None) == [], "the second time it is the same study"
    assert (folder / TRIALS / "0000" / "train.log").exists()
    study, _ = read_study(folder / STUDY_FILE)
    assert study.space.domains[LR].high == 0.5
    assert [(entry.before_trial, entry.space[LR]["float"]) for entry in study.earlier_spaces] == [(1, [1e-4, 1e-1])]
    assert history_of(study) == [f"from trial 1 on: {WIDENED}"]


@pytest.mark.heavy
def test_a_space_without_trials_of_its_own_is_not_in_the_history(make_study: MakeStudy, tmp_path: Path) -> None:
    """Killed between the record and the first trial, then widened further."""
    folder = tmp_path / "study"
    search(make_study(), folder, TrialState.COMPLETE)
    search(make_study(settings=WIDER), folder, None)
    (line,) = search(make_study(settings=with_lr(1e-5, 0.5)), folder, None)
    assert line == f"space widened: {LR} float 1e-05 .. 0.5, log (was 0.0001 .. 0.5)"
    whole = f"space widened: {LR} float 1e-05 .. 0.5, log (was 0.0001 .. 0.1)"
    assert history_of(read_study(folder / STUDY_FILE)[0]) == [f"from trial 1 on: {whole}"]
    search(make_study(settings=with_lr(1e-5, 0.5)), folder, TrialState.COMPLETE)
    (narrowed,) = search(make_study(), folder, None)
    assert history_of(read_study(folder / STUDY_FILE)[0]) == [
        f"from trial 1 on: {whole}",
        f"from trial 2 on: {narrowed}",
    ]


@pytest.mark.heavy
def test_a_changed_space_is_refused_with_every_difference(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    search(make_study(), folder, TrialState.COMPLETE)
    record = (folder / STUDY_FILE).read_bytes()
    settings = {"space": {LR: {"float": [1e-4, 0.5]}, LAYERS: {"int": [1, 2]}}, "seed": 5}
    with pytest.raises(ConfigError) as refused:
        search(make_study(settings=settings), folder, None)
    lines = [line.strip() for line in refused.value.problems[1:]]
    assert lines == [
        "seed: was 0, is 5",
        f"space.{LR}.float: was [0.0001, 0.1], is [0.0001, 0.5]",
        f"space.{LR}.log: was true, is missing",
        f"space.{LAYERS}.int: was missing, is [1, 2]",
        f"space.{LR}: another scale (`log`)",
        f"space.{LAYERS}: the parameter was added",
    ]
    with pytest.raises(ConfigError, match="batch_size: was 4, is 7"):
        search(make_study(settings=WIDER, changes={"train_parameters.batch_size": 7}), folder, None)
    assert (folder / STUDY_FILE).read_bytes() == record


@pytest.mark.heavy
def test_options_that_a_tied_choice_had_are_still_known(make_study: MakeStudy, tmp_path: Path) -> None:
    both = {"small": {"transformer.output_size": 16}, "large": {"transformer.output_size": 32}}
    wide, narrow = ({"space": {"size": {"choice": options}}} for options in (both, {"small": both["small"]}))
    folder = tmp_path / "study"
    search(make_study(settings=wide), folder, TrialState.COMPLETE)
    assert search(make_study(settings=narrow), folder, None) == [
        "space narrowed: size choice small (was small | large)"
    ]
    study, _ = read_study(folder / STUDY_FILE)
    assert study.config_of({"size": "large"}).transformer.output_size == 32
    assert load_study(Request(str(folder / STUDY_FILE))).earlier_spaces == (), "a space for another study"


@pytest.mark.heavy
@pytest.mark.parametrize("entry", ["5", "[5]", "[{before_trial: 0, space: {}}]", "[{before_trial: 1, space: {a: []}}]"])
def test_a_damaged_history_is_refused(entry: str, make_study: MakeStudy, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    search(make_study(), folder, TrialState.COMPLETE)
    with (folder / STUDY_FILE).open("a") as file:
        file.write(f"earlier_spaces: {entry}\n")
    with pytest.raises(ConfigError, match="earlier_spaces"):
        search(make_study(), folder, None)


@pytest.mark.heavy
def test_a_widened_space_continues_in_an_object_store(bucket: Bucket, make_study: MakeStudy, tmp_path: Path) -> None:
    """On another machine, which has only what is in the store."""
    search(make_study(), tmp_path / "study", TrialState.COMPLETE, bucket.uri)
    location = StudyLocation(tmp_path / "other" / "study", bucket.uri)
    assert continuation_notes(make_study(settings=WIDER), location)[1:] == [WIDENED]
    assert search(make_study(settings=WIDER), tmp_path / "other" / "study", None, bucket.uri) == [WIDENED]
    assert search(make_study(settings=WIDER), tmp_path / "third" / "study", None, bucket.uri) == []
    assert history_of(read_study(tmp_path / "third" / "study" / STUDY_FILE)[0]) == [f"from trial 1 on: {WIDENED}"]


@pytest.mark.heavy
def test_what_a_search_would_do_is_said_without_writing(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    search(make_study(), folder, TrialState.COMPLETE)  # the base config: lr 0.001
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    location = StudyLocation(folder)
    first, *lines = continuation_notes(make_study(settings=WIDER), location)
    assert first == f"{folder}: the search continues after 1 trial" and lines == [WIDENED]
    *_, hidden = continuation_notes(make_study(settings=with_lr(1e-2, 1e-1)), location)
    assert hidden == "1 of 1 trial would be outside of the space: hidden from the sampler and the finals"
    first, *lines = continuation_notes(make_study(settings={"space": {LAYERS: {"int": [1, 2]}}}), location)
    assert "contains another study with 1 trial: this one is refused" in first
    assert lines == [f"space.{LAYERS}: the parameter was added"]
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
