"""A changed study: taken while no trial has a result, refused afterwards."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.study import Study
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.search.plan import Plan
from hearai.search.storage.attributes import KIND, WARM_KIND
from hearai.search.storage.changed_study import syncing_changed
from hearai.search.storage.layout import JOURNAL, STUDY_FILE, TRIALS
from hearai.search.storage.study_folder import ensure_study_folder
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal
from tests.helpers.s3_server import Bucket
from tests.helpers.text_files import write_text

MakeStudy = Callable[..., Study]
LR = "train_parameters.lr"


def search(study: Study, folder: Path, state: TrialState | None, storage: str | None = None, **attrs: str) -> list[str]:
    """Opens the study as a search does and leaves a trial in this state; returns the printed lines."""
    plan, printed, sync = Plan(study, load_data(study.base), study.base, None), [], StudySync(folder, storage)
    with open_journal(folder, syncing_changed(plan, sync, printed.append)) as journal:
        ensure_study_folder(plan, folder)
        store = TrialStore(journal, SEARCH, RandomSampler(0), unique=True)
        if state is not None:
            store.enqueue({LR: study.base.train_parameters.lr}, attrs)
            trial = store.optuna_study.ask()
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


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_study_with_a_result_refuses_a_changed_config(
    state: TrialState, make_study: MakeStudy, tmp_path: Path
) -> None:
    search(make_study(), tmp_path / "study", state)
    with pytest.raises(ConfigError, match="contains another study; undo the changes to continue it"):
        search(make_study(settings={"seed": 5}), tmp_path / "study", None)
    assert (tmp_path / "study" / TRIALS / "0000" / "train.log").exists()
    assert search(make_study(), tmp_path / "study", None) == [], "the unchanged study continues"


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
