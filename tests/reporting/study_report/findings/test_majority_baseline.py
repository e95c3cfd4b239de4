"""The majority baseline is computed from the split of the study, and only for the same dataset."""

import csv
import shutil
from pathlib import Path

import pytest

from tests.helpers.report_files import summary_of


@pytest.mark.heavy
def test_the_most_frequent_training_class_is_scored_on_test(finished: Path) -> None:
    with (finished / "split.csv").open() as file:
        part = {row["name"].rpartition("/c")[2]: row["split"] for row in csv.DictReader(file)}
    gloss = {number: int(number) % 3 for number in part}  # as tests/helpers/study_builder.py labels clip cN
    train, test = ([gloss[n] for n in part if part[n] == name] for name in ("train", "test"))
    common = max(sorted(set(train)), key=train.count)
    share = test.count(common) / len(test)
    f1 = 2 * share / (1 + share)  # precision = share, recall = 1; the other classes score 0
    found = summary_of(finished)["most_frequent"]["heads"]["gloss"]
    expected = {"class": common, "accuracy": share, "top1": share, "macro_f1": f1 / len(set(test))}
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert found["top5"] is None, "there are three classes"


@pytest.mark.heavy
def test_omitted_for_a_missing_or_changed_dataset(finished: Path, dataset: Path, tmp_path: Path) -> None:
    study = (finished / "study.yaml").read_text()
    (finished / "study.yaml").write_text(study.replace(str(dataset), str(tmp_path / "data")))
    assert summary_of(finished)["most_frequent"] is None
    page = (finished / "report.html").read_text()
    assert "always predicting the most frequent class" not in page, "no columns for it"
    assert "needs the test scores and the unchanged dataset" in page, "the health check says why it is unknown"
    shutil.copytree(dataset, tmp_path / "data")
    labels = tmp_path / "data" / "test_gloss.txt"
    labels.write_text(labels.read_text().replace("c0 0 0 0", "c0 0 0 1"))
    assert summary_of(finished)["most_frequent"] is None


@pytest.mark.heavy
def test_known_for_a_copy_of_the_dataset(finished: Path, dataset: Path, tmp_path: Path) -> None:
    before = summary_of(finished)["most_frequent"]
    copy = shutil.copytree(dataset, tmp_path / "elsewhere" / dataset.name, copy_function=shutil.copyfile)
    study = (finished / "study.yaml").read_text()
    (finished / "study.yaml").write_text(study.replace(str(dataset), str(copy)))
    hidden = dataset.rename(dataset.with_name("hidden"))  # other tests need it again
    try:
        assert before and summary_of(finished)["most_frequent"] == before
    finally:
        hidden.rename(dataset)
