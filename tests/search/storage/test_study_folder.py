"""A study's folder: what is the same study, and what is said where it is not."""

import copy
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from optuna.samplers import RandomSampler

from hearai.config.study import Study
from hearai.data.annotations import load as folders
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError, UserError
from hearai.search.plan import Plan
from hearai.search.storage.layout import OWNER
from hearai.search.storage.lock import FRESH_S, is_owned, owned, watch_ownership
from hearai.search.storage.study_folder import claim, code_version, differences, note_code
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal

MakeStudy = Callable[..., Study]


def written(study: Study, **data: object) -> dict:
    return {**study.to_dict(), "data": {"fingerprint": "a1", "train": 9, "val": 3, "test": 3, **data}}


def test_each_change_is_one_line_with_its_path(make_study: MakeStudy) -> None:
    before, now = written(make_study()), written(make_study())
    now["config"]["train_parameters"]["lr"] = 0.5
    now["space"]["train_parameters.lr"] = {"float": [0.001, 0.1], "log": True}
    now["space"]["transformer.num_encoder_layers"] = {"int": [1, 2]}
    assert differences(before, now) == [
        "space.train_parameters.lr.float: was [0.0001, 0.1], is [0.001, 0.1]",
        "config.train_parameters.lr: was 0.001, is 0.5",
        "space.transformer.num_encoder_layers.int: was not there, is [1, 2]",
    ]


def test_a_changed_dataset_is_said_with_its_clips(make_study: MakeStudy) -> None:
    before, now = written(make_study()), written(make_study(), fingerprint="b2", train=10)
    (line,) = differences(before, now)
    assert (
        line
        == "the dataset: files or labels were changed, added or removed (clips: train 9 -> 10, val 3 -> 3, test 3 -> 3)"
    )


def test_a_search_goes_on_with_a_copy_of_its_dataset_and_not_with_a_changed_one(
    make_study: MakeStudy, tiny_dataset: Path, tmp_path: Path
) -> None:
    """A fresh cluster has a dataset of its own, whose files are as old as the cluster."""

    def claimed() -> None:
        folders._read.cache_clear()
        folders._split.cache_clear()
        study = make_study()
        claim(Plan(study, load_data(study.base), study.base, None), tmp_path / "study")

    (tmp_path / "study").mkdir()
    claimed()
    for file in tiny_dataset.rglob("*.jpg"):
        os.utime(file, (1, 1))
    claimed()
    picture = tiny_dataset / "c3" / "c3_2.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match="the dataset: files or labels were changed"):
        claimed()


def test_a_study_of_older_code_goes_on_with_the_options_that_came_since_at_their_defaults(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    study = make_study()
    plan = Plan(study, load_data(study.base), study.base, None)
    claim(plan, tmp_path)
    path = tmp_path / "study.yaml"
    older = yaml.safe_load(path.read_text())
    for key in ("splits", "rules", "metric", "warm_start", "hang_seconds"):
        del older[key]
    del older["config"]["train_parameters"]["stop_after_epoch"]
    path.write_text(yaml.safe_dump(older))
    claim(plan, tmp_path)
    assert yaml.safe_load(path.read_text())["splits"] == 1
    older["splits"] = 2
    path.write_text(yaml.safe_dump(older))
    with pytest.raises(ConfigError, match="splits: was 2, is 1"):
        claim(plan, tmp_path)


def test_budgets_and_finalists_may_change(make_study: MakeStudy) -> None:
    before = written(make_study())
    now = copy.deepcopy(before)
    now["budget"] = {"trials": 99, "seconds": 5}
    now["finalists"] = {"count": 7, "seeds": 2}
    assert differences(before, now) == []


def test_going_on_under_changed_code_is_said_once_and_written_down(tmp_path: Path) -> None:
    said: list[str] = []
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        note_code(store, said.append)
        assert said == [] and store.optuna.user_attrs["code_versions"] == [code_version()]
        store.optuna.set_user_attr("code_versions", ["hearai 0.0.1, code 00000"])  # as an older code left it
        note_code(store, said.append)
        note_code(store, said.append)
        assert store.optuna.user_attrs["code_versions"] == ["hearai 0.0.1, code 00000", code_version()]
    (line,) = said
    assert line.startswith("the code has changed since this search last ran: hearai 0.0.1, code 00000 -> hearai ")


# -- owner ----------------------------------------------------------------------------------------


def test_a_folder_has_one_owner_who_is_gone_when_it_ends(tmp_path: Path) -> None:
    assert not is_owned(tmp_path)
    with owned(tmp_path):
        assert is_owned(tmp_path) and f'"pid": {os.getpid()}' in (tmp_path / OWNER).read_text()
    assert not is_owned(tmp_path) and not (tmp_path / OWNER).exists()


@pytest.mark.parametrize("age", [0.0, 2 * FRESH_S])
def test_an_owner_on_another_machine_counts_while_it_writes(tmp_path: Path, age: float) -> None:
    (tmp_path / OWNER).write_text('{"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py"}')
    journal = tmp_path / "journal.log"
    journal.touch()
    os.utime(journal, (journal.stat().st_atime, journal.stat().st_mtime - age))
    if age:
        with owned(tmp_path):
            return
    refusal = "by process 7 on elsewhere since .*: python tune.py.*; if that machine is gone, try again in (120|119) s"
    with pytest.raises(UserError, match=refusal):
        with owned(tmp_path):
            pass
    assert "elsewhere" in (tmp_path / OWNER).read_text(), "its sign stays"


def test_an_owner_who_stood_still_and_was_replaced_is_told_so_and_leaves_the_others_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearai.search.storage.lock.LOOK_S", 0.01)
    on_report: list[UserError] = []
    with owned(tmp_path):
        with watch_ownership(StudySync(tmp_path).check_owner, on_report.append):
            time.sleep(0.1)
            assert on_report == []
            (tmp_path / OWNER).write_text('{"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py"}')
            until = time.monotonic() + 10
            while not on_report and time.monotonic() < until:
                time.sleep(0.01)
    assert [str(error).partition(" since")[0] for error in on_report] == [
        f"{tmp_path}: was taken over by process 7 on elsewhere"
    ]
    assert "elsewhere" in (tmp_path / OWNER).read_text()
