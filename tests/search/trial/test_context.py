"""A trial's folder on its node: of two attempts at a trial, only the later one writes there."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.config.config import build_config, to_dict
from hearai.data.annotations.load import forget_data, load_data
from hearai.errors import DataError, Superseded, UserError
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.context import ATTEMPT, open_trial_folder, release_memory, trial_context
from hearai.search.trial.log import failure_of, trial_log
from hearai.search.trial.spec import TrialSpec
from tests.helpers.s3_server import Bucket

MakeSpec = Callable[[str | None], TrialSpec]


@pytest.fixture
def make_spec(make_config: Callable, tiny_dataset: Path, tmp_path: Path) -> MakeSpec:
    """make_spec(storage) -> trial 7 of a study."""
    config, study = to_dict(make_config(tiny_dataset)), tmp_path / "study"
    study.mkdir()

    def make(storage: str | None) -> TrialSpec:
        return TrialSpec(
            number=7,
            folder=str(study / "trials" / "0007"),
            config=config,
            study="study",
            label="0007",
            home=str(study),
            storage=storage,
        )

    return make


def test_a_superseded_attempt_is_refused_and_the_later_one_not(make_spec: MakeSpec) -> None:
    with open_trial_folder(make_spec(None)) as earlier, open_trial_folder(make_spec(None)) as later:
        with pytest.raises(Superseded, match=r"considered dead; the trial has resumed in process \d+ on "):
            earlier.ensure_current_attempt()
        later.ensure_current_attempt()
        (later.path / ATTEMPT).unlink()
        later.ensure_current_attempt(), earlier.ensure_current_attempt()  # a deleted file ends neither


def test_the_other_workers_of_a_group_record_no_attempt(make_spec: MakeSpec) -> None:
    with open_trial_folder(make_spec(None)) as first, open_trial_folder(make_spec(None), writes=False) as other:
        first.ensure_current_attempt(), other.ensure_current_attempt()


@pytest.mark.heavy
def test_a_trial_refuses_another_dataset_than_the_search(make_spec: MakeSpec, tiny_dataset: Path) -> None:
    spec = make_spec(None)
    known = load_data(build_config(spec.config)).fingerprints.as_dict()
    with trial_context(replace(spec, dataset=known)):
        pass
    (tiny_dataset / "test_gloss.txt").write_text("c0 0 4 0\nc1 0 4 1\nc2 0 4 2\nc3 0 4 0\nc4 0 4 1\nc5 0 4 2\n")
    forget_data()  # as in a process that starts now
    with pytest.raises(DataError, match="the dataset: rows, labels or files have changed"):
        with trial_context(replace(spec, dataset=known)):
            pass


@pytest.mark.heavy
def test_a_superseded_attempt_uploads_nothing(
    make_spec: MakeSpec, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spec_on(node: str) -> TrialSpec:
        monkeypatch.setenv("HEARAI_HOME", str(tmp_path / node))
        return make_spec(bucket.uri)

    store = StudyLocation(tmp_path / "study", bucket.uri).store
    assert store is not None
    trial = store.below("trials", "0007")
    with pytest.raises(Superseded), ExitStack() as stack:
        earlier = stack.enter_context(open_trial_folder(spec_on("one")))
        earlier.path.mkdir(parents=True)
        (earlier.path / "metrics.jsonl").write_text("epoch 1")
        earlier.upload()
        with open_trial_folder(spec_on("other")) as later:
            assert (later.path / "metrics.jsonl").read_text() == "epoch 1"
            (later.path / "metrics.jsonl").write_text("epoch 1, epoch 2")
            later.upload()
            (earlier.path / "metrics.jsonl").write_text("epoch 1, another epoch 2")
            with pytest.raises(Superseded):
                earlier.upload()
        mark = trial.read(ATTEMPT)
    assert trial.read("metrics.jsonl") == b"epoch 1, epoch 2"
    assert trial.read(ATTEMPT) == mark and b"process" in mark


def test_the_log_of_a_superseded_attempt_names_the_later_one(tmp_path: Path) -> None:
    with pytest.raises(Superseded), trial_log(tmp_path):
        raise Superseded("considered dead; the trial has resumed in process 5 on other")
    log = (tmp_path / "train.log").read_text()
    assert "ends: considered dead; the trial has resumed in process 5 on other" in log
    assert failure_of(tmp_path, killed="killed").startswith("killed"), "not an error of the trial's own"


def test_a_study_folder_that_is_gone_is_not_made_again(make_spec: MakeSpec, tmp_path: Path) -> None:
    with open_trial_folder(make_spec(None)) as running:
        (tmp_path / "study").rename(tmp_path / "renamed")
        for write in (running.ensure_current_attempt, lambda: open_trial_folder(make_spec(None)).__enter__()):
            with pytest.raises(UserError, match="study: is gone; it was moved or deleted during the search"):
                write()
    assert not (tmp_path / "study").exists()


class Cycle:
    """An object that only the garbage collector removes."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_memory_of_each_trial_is_released() -> None:
    """The first call leaves what exists by then, such as modules, out of later collections."""
    for _ in range(2):
        left = weakref.ref(Cycle())
        release_memory()
        assert left() is None and gc.get_freeze_count() > 10_000


@pytest.mark.usefixtures("nothing_frozen")
def test_a_failing_trial_is_not_kept_in_memory() -> None:
    left = []

    def fail() -> None:
        run = Cycle()
        left.append(weakref.ref(run))
        raise UserError("the trial fails")

    with suppress(UserError):
        try:
            fail()
        finally:
            release_memory()
    release_memory()
    assert left[0]() is None
