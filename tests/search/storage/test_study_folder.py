"""The files of a study: which changes make it another study, and how they are reported."""

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hearai.config.study import Study
from hearai.data.annotations import load as folders
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError, UserError
from hearai.search.plan import Plan
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.study_folder import (
    changes_of_study,
    code_version,
    ensure_study_folder,
    record_code_version,
    record_study_id,
    study_differences,
)
from hearai.search.storage.trial_store import TrialStore

MakeStudy = Callable[..., Study]


def stored(study: Study, **data: object) -> dict:
    return {**study.to_dict(), "data": {"fingerprint": "a1", "train": 9, "val": 3, "test": 3, **data}}


def test_each_change_is_reported_on_one_line_with_its_path(make_study: MakeStudy) -> None:
    before, now = stored(make_study()), stored(make_study())
    now["config"]["train_parameters"]["lr"] = 0.5
    now["space"]["train_parameters.lr"] = {"float": [0.001, 0.1], "log": True}
    now["space"]["transformer.num_encoder_layers"] = {"int": [1, 2]}
    assert study_differences(before, now) == [
        "space.train_parameters.lr.float: was [0.0001, 0.1], is [0.001, 0.1]",
        "config.train_parameters.lr: was 0.001, is 0.5",
        "space.transformer.num_encoder_layers.int: was missing, is [1, 2]",
    ]


def test_a_changed_dataset_is_reported_with_its_clips(make_study: MakeStudy) -> None:
    before, now = stored(make_study()), stored(make_study(), fingerprint="b2", train=10)
    (line,) = study_differences(before, now)
    assert (
        line
        == "the dataset: files or labels were changed, added or removed (clips: train 9 -> 10, val 3 -> 3, test 3 -> 3)"
    )


def test_a_moved_dataset_is_named_with_its_remedy(make_study: MakeStudy) -> None:
    before, now = stored(make_study()), stored(make_study())
    now["config"]["general_parameters"]["data_path"] = ["/new/place"]
    path, remedy = study_differences(before, now)
    assert path.startswith("config.general_parameters.data_path: was ") and "symlink at its old place" in remedy


@pytest.mark.heavy
def test_a_copy_of_the_dataset_is_accepted_and_a_change_refused(
    make_study: MakeStudy, tiny_dataset: Path, tmp_path: Path
) -> None:
    """A new cluster may have its own copy of the dataset, whose files are as old as the cluster."""

    def open_folder() -> None:
        folders._read.cache_clear()
        folders._split.cache_clear()
        study = make_study()
        ensure_study_folder(Plan(study, load_data(study.base), study.base, None), tmp_path / "study")

    (tmp_path / "study").mkdir()
    open_folder()
    for file in tiny_dataset.rglob("*.jpg"):
        os.utime(file, (1, 1))
    open_folder()
    image = tiny_dataset / "c3" / "c3_2.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match="the dataset: files or labels were changed"):
        open_folder()


@pytest.mark.heavy
def test_the_journal_of_another_study_is_refused(make_study: MakeStudy, open_store: Callable, tmp_path: Path) -> None:
    """Its space is the same, so nothing else would tell; a copy of the whole folder is still the same study."""
    study, one, two = make_study(), tmp_path / "one", tmp_path / "two"
    plan = Plan(study, load_data(study.base), study.base, None)
    for folder in (one, two, one):
        with open_store(folder) as store:
            ensure_study_folder(plan, folder)
            record_study_id(store, folder)
    shutil.copytree(one, tmp_path / "copy")
    ensure_study_folder(plan, tmp_path / "copy")
    shutil.copy(one / "journal.log", two / "journal.log")
    record = (two / "study.yaml").read_bytes()
    for read in (lambda: read_journal(two / "journal.log"), lambda: ensure_study_folder(plan, two)):
        with pytest.raises(UserError, match=r"two/journal\.log: the journal of another study .* give another --name"):
            read()
    assert (two / "study.yaml").read_bytes() == record


@pytest.mark.heavy
def test_options_missing_in_an_older_study_have_their_defaults(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study()
    plan = Plan(study, load_data(study.base), study.base, None)
    ensure_study_folder(plan, tmp_path)
    path = tmp_path / "study.yaml"
    older = yaml.safe_load(path.read_text())
    for key in ("splits", "rules", "metric", "warm_start", "hang_seconds"):
        del older[key]
    del older["config"]["train_parameters"]["stop_after_epoch"]
    path.write_text(yaml.safe_dump(older))
    ensure_study_folder(plan, tmp_path)
    assert yaml.safe_load(path.read_text())["splits"] == 1
    older["splits"] = 2
    path.write_text(yaml.safe_dump(older))
    with pytest.raises(ConfigError, match="splits: was 2, is 1"):
        ensure_study_folder(plan, tmp_path)


def test_budgets_and_finalists_may_change(make_study: MakeStudy) -> None:
    before = stored(make_study())
    now = copy.deepcopy(before)
    now["budget"] = {"trials": 99, "seconds": 5}
    now["finalists"] = {"count": 7, "seeds": 2}
    assert study_differences(before, now) == []


def test_a_changed_code_version_is_recorded_and_printed_once(store: TrialStore) -> None:
    printed: list[str] = []
    record_code_version(store, printed.append)
    assert printed == [] and store.optuna_study.user_attrs["code_versions"] == [code_version()]
    store.optuna_study.set_user_attr("code_versions", ["hearai 0.0.1, code 00000"])  # as older code would leave it
    record_code_version(store, printed.append)
    record_code_version(store, printed.append)
    assert store.optuna_study.user_attrs["code_versions"] == ["hearai 0.0.1, code 00000", code_version()]
    (line,) = printed
    assert line.startswith("the code has changed since the previous call: hearai 0.0.1, code 00000 -> hearai ")


def test_description_may_change(make_study: MakeStudy) -> None:
    before, now = stored(make_study()), stored(make_study())
    now["description"] = "a better sentence"
    assert study_differences(before, now) == []


GLOSSES = "gloss_id,word\n0,book\n1,tree\n2,cat\n"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("later", "changes"),
    [
        ("gloss_id,word\n0,tree\n1,book\n2,cat\n", ["gloss 0 was 'book', is 'tree'", "gloss 1 was 'tree', is 'book'"]),
        ("gloss_id,word\n0,book\n2,cat\n", ["gloss 1 was 'tree', is without a name in glosses.csv"]),
        (GLOSSES + "3,house\n", []),
        ("gloss_id;word\n0;Book\n1; tree\n2;cat\n", []),
        (None, [f"gloss {i} was '{word}', is without a name" for i, word in enumerate(("book", "tree", "cat"))]),
    ],
    ids=["swapped", "removed", "added", "spelled alike", "no list"],
)
def test_numbers_keep_their_words_when_a_search_continues(
    make_study: MakeStudy, tiny_dataset: Path, tmp_path: Path, later: str | None, changes: list[str]
) -> None:
    def plan() -> Plan:
        folders._read.cache_clear()
        folders._split.cache_clear()
        study = make_study()
        return Plan(study, load_data(study.base), study.base, None)

    folder, words = tmp_path / "study", tiny_dataset / "glosses.csv"
    folder.mkdir()
    words.write_text(GLOSSES)
    ensure_study_folder(plan(), folder)
    words.write_text(later) if later else words.unlink()
    found = changes_of_study(plan(), folder)
    assert len(found) == len(changes) and all(map(str.startswith, found, changes))
    (folder / "class_names.csv").unlink()  # a study of older code
    assert changes_of_study(plan(), folder) == []
    ensure_study_folder(plan(), folder)
    assert changes_of_study(plan(), folder) == [], "the meaning is known from now on"
    assert (folder / "class_names.csv").exists()


@pytest.mark.heavy
def test_classes_without_names_may_get_some(make_study: MakeStudy, tiny_dataset: Path, tmp_path: Path) -> None:
    def plan(mode: str) -> Plan:
        folders._read.cache_clear()
        folders._split.cache_clear()
        study = make_study({}, {"train_parameters.classification_mode": mode})
        return Plan(study, load_data(study.base), study.base, None)

    for mode in ("gloss", "hamnosys"):
        (tmp_path / mode).mkdir()
        ensure_study_folder(plan(mode), tmp_path / mode)
        assert changes_of_study(plan(mode), tmp_path / mode) == []
    (tiny_dataset / "glosses.csv").write_text(GLOSSES)
    assert changes_of_study(plan("gloss"), tmp_path / "gloss") == []
