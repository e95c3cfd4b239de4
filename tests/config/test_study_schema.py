"""Metrics of a study and heads of its objective, from the YAML to the base config."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml

from hearai.config.config import build_config
from hearai.config.overrides import override
from hearai.config.study import Request, Study, load_study
from hearai.errors import ConfigError
from tests.helpers import ROOT

SPACE = "space: {train_parameters.lr: {float: [1.0e-4, 1.0e-1], log: true}}\n"
FIRST, SECOND = "hand_shape_base_form", "hand_shape_bending"
TUNE = ROOT / "experiments" / "tune.py"


def study_of(tmp_path: Path, text: str, changes: dict | None = None, settings: dict | None = None) -> Study:
    (tmp_path / "small.yaml").write_text(text + SPACE)
    return load_study(Request(str(tmp_path / "small.yaml"), changes=changes, settings=settings))


def test_default_is_one_metric_over_all_heads(tmp_path: Path) -> None:
    study = study_of(tmp_path, "")
    assert study.settings.metric == ("objective",) and study.settings.objective.heads == ()
    assert study.base == build_config({})


@pytest.mark.parametrize(
    ("text", "metric", "measured"),
    [
        ("metric: objective\n", ("objective",), False),
        ("metric: [objective, parameters]\n", ("objective", "parameters"), False),
        ("metric: [objective, seconds_per_clip]\n", ("objective", "seconds_per_clip"), True),
    ],
)
def test_speed_is_measured_if_it_is_a_metric(
    tmp_path: Path, text: str, metric: tuple[str, ...], measured: bool
) -> None:
    study = study_of(tmp_path, text)
    assert study.settings.metric == metric
    assert study.base.general_parameters.measure_speed is measured
    again = Study.from_dict(yaml.safe_load(study.to_yaml()), "study.yaml")
    assert again.to_dict() == study.to_dict() and again.settings.metric == metric


def test_invalid_metrics_are_errors_with_their_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        study_of(tmp_path, "metric: [objective, sise_mb, parameters, parameters]\n")
    assert error.value.problems[0].endswith("small.yaml: metric: unknown 'sise_mb'; choose from objective, parameters, "
                                            "seconds_per_clip, size_mb (did you mean 'size_mb'?)")  # fmt: skip
    assert "parameters is given twice" in error.value.problems[1] and len(error.value.problems) == 2
    with pytest.raises(ConfigError, match="metric: got size_mb, objective; give objective first"):
        study_of(tmp_path, "metric: [size_mb, objective]\n")


def test_heads_of_the_objective_are_set_in_the_base_config(tmp_path: Path) -> None:
    study = study_of(tmp_path, f"objective: {{heads: [{FIRST}, {SECOND}]}}\n")
    assert study.base.train_parameters.objective_heads == (FIRST, SECOND)
    again = Study.from_dict(yaml.safe_load(study.to_yaml()), "study.yaml")
    assert again.base == study.base and again.settings.objective.heads == (FIRST, SECOND)
    assert study.config_of({"train_parameters.lr": 0.01}).train_parameters.objective_heads == (FIRST, SECOND)


@pytest.mark.parametrize("how", ["config", "set"])
def test_heads_in_the_config_are_the_objective_of_the_study(tmp_path: Path, how: str) -> None:
    path = "train_parameters.objective_heads"
    text = f"config: {{train_parameters: {{objective_heads: [{SECOND}]}}}}\n" if how == "config" else ""
    study = study_of(tmp_path, text, {path: [SECOND]} if how == "set" else None)
    assert study.settings.objective.heads == (SECOND,) == study.base.train_parameters.objective_heads


def test_command_line_overrides_the_file(tmp_path: Path) -> None:
    study = study_of(
        tmp_path, f"objective: {{heads: [{FIRST}]}}\nmetric: objective\n",
        settings={"objective": {"heads": [SECOND]}, "metric": ["objective", "size_mb"]},
    )  # fmt: skip
    assert study.base.train_parameters.objective_heads == (SECOND,)
    assert study.settings.metric == ("objective", "size_mb")


def test_unknown_heads_are_errors_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"objective_heads: unknown 'hand_shape_base'; choose from .*did you mean"):
        study_of(tmp_path, "objective: {heads: [hand_shape_base]}\n")
    with pytest.raises(ConfigError, match="listed twice"):
        study_of(tmp_path, f"objective: {{heads: [{FIRST}, {FIRST}]}}\n")
    with pytest.raises(ConfigError, match="unknown 'gloss'"):
        study_of(tmp_path, "objective: {heads: gloss}\n")  # a head of another classification mode


def test_heads_are_those_of_the_classification_mode(tmp_path: Path) -> None:
    mode = {"train_parameters.classification_mode": "gloss", "train_parameters.objective_heads": ["gloss"]}
    assert override(build_config({}), mode).train_parameters.objective_heads == ("gloss",)


def test_objective_cannot_be_searched(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(f"space: {{train_parameters.objective_heads: {{choice: [{FIRST}]}}}}\n")
    with pytest.raises(ConfigError, match="must be the same in all trials of a study"):
        load_study(Request(str(tmp_path / "wrong.yaml")))


@pytest.mark.heavy
def test_metrics_and_heads_on_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    options = ["--metric", "objective,parameters", "--objective-heads", f"{FIRST},{SECOND}"]
    monkeypatch.setattr(sys, "argv", ["tune.py", "--space", "hamnosys", "--dry-run", *options])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(TUNE), run_name="__main__")
    shown = yaml.safe_load(capsys.readouterr().out.split("\n# ")[0])
    assert done.value.code == 0
    assert shown["metric"] == ["objective", "parameters"] and shown["objective"]["heads"] == [FIRST, SECOND]


@pytest.mark.parametrize("how", ["objective", "config", "--set"])
def test_the_score_of_the_objective_is_set_in_the_base_config(tmp_path: Path, how: str) -> None:
    texts = {
        "objective": "objective: {metric: top5}\n",
        "config": "config: {train_parameters: {objective_metric: top5}}\n",
    }
    changes = {"train_parameters.objective_metric": "top5"} if how == "--set" else {}
    study = study_of(tmp_path, texts.get(how, ""), changes=changes)
    assert study.base.train_parameters.objective_metric == "top5" == study.settings.objective.metric
    assert Study.from_dict(study.to_dict(), "again").base == study.base


def test_an_unknown_score_of_the_objective_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"objective.metric: got 'top2'; did you mean 'top1'|choose from"):
        study_of(tmp_path, "objective: {metric: top2}\n")
