"""Runs whose objective is the mean over some of the heads."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config, load_config, to_yaml
from hearai.config.overrides import override
from hearai.errors import DataError
from hearai.training.fit import FitResult, fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.confusion import Confusion
from hearai.training.outputs.ranks import Ranks, ranks_of
from hearai.training.run_state import EpochFacts, RunState
from hearai.training.runtime import LocalRuntime
from hearai.training.scores import Evaluation
from hearai.training.setup.prepare import with_data

pytestmark = pytest.mark.training

FIRST, SECOND = "hand_shape_base_form", "symmetry_operator"
ALL_CORRECT, HALF_CORRECT, NONE_CORRECT = (
    Confusion.of_matrix(torch.tensor(rows)) for rows in ([[2, 0], [0, 2]], [[1, 1], [1, 1]], [[0, 2], [2, 0]])
)
MakeConfig = Callable[..., Config]


@pytest.fixture
def hamnosys(make_config: MakeConfig, tiny_dataset: Path) -> Callable[..., Config]:
    """hamnosys([heads]) -> a config over the eight heads, with these as its objective."""

    def make(heads: list[str]) -> Config:
        values = {"train_parameters.classification_mode": "hamnosys", "train_parameters.objective_heads": heads}
        return make_config(tiny_dataset, {**values, "train_parameters.epochs": 4, "train_parameters.lr": 0.02})

    return make


def run(config: Config, folder: Path) -> tuple[FitResult, list[dict]]:
    result = fit(config, LocalRuntime("cpu", folder))
    return result, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_score_is_the_mean_over_the_named_or_all_heads() -> None:
    evaluation = Evaluation(0.0, {"a": ALL_CORRECT, "b": HALF_CORRECT, "c": NONE_CORRECT})
    assert evaluation.score(["a", "b"]) == 0.75
    assert evaluation.score(["c"]) == 0.0
    assert evaluation.score([]) == evaluation.macro_f1 == 0.5


def test_the_best_epoch_is_that_of_the_named_heads() -> None:
    progress = RunState()
    for confusions in ({"a": HALF_CORRECT, "b": ALL_CORRECT}, {"a": ALL_CORRECT, "b": NONE_CORRECT}):
        progress.advance(0.1, Evaluation(0.1, confusions), EpochFacts(epochs=2, clips=4, lr=0.1), heads=["a"])
    assert (progress.best, progress.best_epoch) == (1.0, 2), "over both heads, the first epoch is the better one"
    assert [row["val/macro_f1"] for row in progress.history] == [0.75, 0.5]
    assert [row["val/objective"] for row in progress.history] == [0.5, 1.0]


def test_each_epoch_reports_the_objective_and_the_overall_mean(hamnosys: Callable[..., Config], tmp_path: Path) -> None:
    result, rows = run(hamnosys([FIRST, SECOND]), tmp_path / "run")
    for row in rows:
        named = (row[f"val/{FIRST}/macro_f1"] + row[f"val/{SECOND}/macro_f1"]) / 2
        heads = [row[key] for key in row if key.endswith("/macro_f1") and key != "val/macro_f1"]
        assert row["val/objective"] == pytest.approx(named)
        assert len(heads) == 8 and row["val/macro_f1"] == pytest.approx(sum(heads) / 8)
    assert result.best == max(row["val/objective"] for row in rows) == rows[-1]["objective"]
    scores = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), split="val")
    assert scores["objective"] == pytest.approx(result.best, abs=1e-6)
    assert scores["mean_macro_f1"] == pytest.approx(rows[result.best_epoch - 1]["val/macro_f1"], abs=1e-6)


def test_naming_heads_changes_the_choice_not_the_training(hamnosys: Callable[..., Config], tmp_path: Path) -> None:
    rows = {name: run(hamnosys(heads), tmp_path / name)[1] for name, heads in {"all": [], "one": [FIRST]}.items()}
    selection = {"objective", "best_epoch", "seconds", "val/objective"}
    trained = {name: [{k: v for k, v in row.items() if k not in selection} for row in rows[name]] for name in rows}
    assert trained["all"] == trained["one"]
    assert all("val/objective" not in row for row in rows["all"])
    assert [row["objective"] for row in rows["all"]] != [row["objective"] for row in rows["one"]]


def test_a_config_file_contains_its_objective(hamnosys: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "best.yaml").write_text(to_yaml(hamnosys([FIRST])))
    assert load_config(tmp_path / "best.yaml").train_parameters.objective_heads == (FIRST,)


def test_a_named_head_without_labels_is_refused(hamnosys: Callable[..., Config], tiny_dataset: Path) -> None:
    file = tiny_dataset / "test_hamnosys.txt"
    column = 3  # the first head after name, start and end
    rows = [line.split() for line in file.read_text().splitlines()]
    file.write_text("".join(" ".join([*row[:column], "-1", *row[column + 1 :]]) + "\n" for row in rows))
    with pytest.raises(DataError) as error:
        with_data(hamnosys([SECOND, FIRST]))
    problems = error.value.problems
    assert len(problems) == 2 and all(f"has a label of '{SECOND}'" in problem for problem in problems)
    assert "no validation clip" in problems[0] and "no test clip" in problems[1]
    with_data(hamnosys([FIRST]))
    with_data(hamnosys([]))  # a head without labels is left out of the mean over all


def test_the_best_epoch_is_that_of_the_score_of_the_objective() -> None:
    progress, labels_N = RunState(), torch.tensor([0, 0, 0, 1])
    for predicted in ([0, 0, 0, 0], [0, 1, 1, 1]):  # macro-F1 0.43 and 0.50, top-1 0.75 and 0.5
        scores_NK = torch.nn.functional.one_hot(torch.tensor(predicted), 3)
        confusion = Confusion.count(scores_NK.argmax(-1), labels_N, 3)
        ranks = Ranks.count(ranks_of(scores_NK, labels_N), labels_N, 3)
        evaluation = Evaluation(0.1, {"a": confusion}, {"a": ranks})
        progress.advance(0.1, evaluation, EpochFacts(epochs=2, clips=4, lr=0.1), score_name="top1")
    assert (progress.best, progress.best_epoch) == (0.75, 1)
    assert [row["val/a/top1"] for row in progress.history] == [row["val/objective"] for row in progress.history]
    assert progress.history[1]["val/macro_f1"] > progress.history[0]["val/macro_f1"]


def test_a_score_that_is_always_one_is_refused(hamnosys: Callable[..., Config]) -> None:
    with_data(override(hamnosys([]), {"train_parameters.objective_metric": "top1"}))
    with pytest.raises(DataError) as error:
        with_data(override(hamnosys([FIRST, SECOND]), {"train_parameters.objective_metric": "top10"}))
    (problem,) = error.value.problems
    assert f"top10, but '{SECOND}' has " in problem and "name heads with more than 10 classes" in problem
