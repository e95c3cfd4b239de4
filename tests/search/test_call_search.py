"""A search as a function call."""

from pathlib import Path

import pytest
import yaml

import hearai
from tests.helpers.small_space import small_space

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.slow]


def test_a_search_by_function_call_returns_its_study(tiny_dataset: Path, tmp_path: Path) -> None:
    space = yaml.safe_load(small_space(trials=9, epochs=1))
    options = {"data": tiny_dataset, "trials": 2, "name": "called", "storage": tmp_path / "runs"}
    study = hearai.search(space, settings={"objective": {"metric": "mrr"}}, **options)
    assert study.folder == tmp_path / "runs" / "called" and study.finished
    assert len(study.trials()) == 2 and set(study.best_params) == {"train_parameters.lr"}
    summary = yaml.safe_load((study.folder / "summary.json").read_text())
    winner = summary["test"]["winner"]
    assert summary["objective"]["words"] == "MRR"
    assert winner["objective"] == winner["heads"]["gloss"]["mrr"] != winner["mean_macro_f1"]
    assert winner["heads"]["gloss"]["top5"] is None, "there are three classes"
    assert "Rank of the right class" in (study.folder / "report.html").read_text()
    assert study.best_model(gpu=-1).config.train_parameters.objective_metric == "mrr"
