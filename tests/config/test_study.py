"""Studies: precedence of the YAML, its demo block, the base config and the command line."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hearai.config.study import Request, Study, load_study
from hearai.errors import ConfigError

LR, LAYERS = "train_parameters.lr", "transformer.num_encoder_layers"
HEADS, NAME = "transformer.num_attention_heads", "transformer.name"
TEXT = """
description: small
budget: {trials: 10}
config:
  train_parameters: {epochs: 8, lr: 2.0e-3}
space:
  train_parameters.lr: {float: [1.0e-4, 1.0e-2], log: true}
  transformer.num_encoder_layers: {int: [1, 4]}
demo:
  budget: {trials: 3}
  config:
    train_parameters: {epochs: 2}
  space:
    train_parameters.lr: null
    transformer.dropout_rate: {float: [0.0, 0.5]}
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """load(text=TEXT, base=None, **request) -> the study of a file `mine.yaml` with that text."""

    def make(text: str = TEXT, base: str | None = None, **request: Any) -> Study:
        (tmp_path / "mine.yaml").write_text(text)
        if base is not None:
            (tmp_path / "base.yml").write_text(base)
            request["base_config"] = str(tmp_path / "base.yml")
        return load_study(Request(str(tmp_path / "mine.yaml"), **request))

    return make


def problems_of(load: Callable[..., Study], *args: Any, **request: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*args, **request)
    return caught.value.problems


# -- demo data ----------------------------------------------------------------


def test_demo_block_applies_to_demo_data(load: Callable[..., Study]) -> None:
    study = load()
    assert study.settings.budget.trials == 3 and study.max_epochs == 2
    assert study.base.train_parameters.lr == 2e-3
    assert set(study.space.domains) == {LAYERS, "transformer.dropout_rate"}
    assert study.settings.demo["budget"] == {"trials": 3}, "kept to be shown"


@pytest.mark.heavy
@pytest.mark.parametrize(
    "given",
    [
        {"data_paths": ("mine",)},
        {"base": "general_parameters: {data_path: mine}"},
        {"base": "general_parameters: {data_paths: [mine]}"},
        {"text": TEXT.replace("config:\n", "config:\n  general_parameters: {data_path: mine}\n", 1)},
    ],
    ids=["--data-path", "--config", "--config with the old name", "the study's own config"],
)
def test_demo_block_is_ignored_on_other_data(load: Callable[..., Study], given: dict[str, Any]) -> None:
    study = load(**given)
    assert study.settings.budget.trials == 10 and study.max_epochs == 8
    assert set(study.space.domains) == {LR, LAYERS}
    assert study.base.general_parameters.data_path == ("mine",)
    assert not study.settings.demo


@pytest.mark.heavy
def test_data_path_option_replaces_the_config_by_either_key(load: Callable[..., Study]) -> None:
    for name in ("data_path", "data_paths"):
        study = load(base=f"general_parameters: {{{name}: [theirs]}}", data_paths=("a", "b"))
        assert study.base.general_parameters.data_path == ("a", "b")


def test_old_and_present_names_of_a_key_in_two_files(load: Callable[..., Study]) -> None:
    text = TEXT.replace("lr: 2.0e-3", "frames: true, landmarks: false")
    study = load(text, base="train_parameters: {use_frames: true, use_landmarks: false}")
    assert study.base.train_parameters.frames


# -- precedence --------------------------------------------------------------------------


def test_command_line_over_base_config_over_study(load: Callable[..., Study]) -> None:
    base = "train_parameters: {epochs: 5, batch_size: 7}"
    study = load(base=base, changes={"train_parameters.epochs": 6}, settings={"budget": {"trials": 99}, "seed": 4})
    train = study.base.train_parameters
    assert (train.epochs, train.batch_size, train.lr) == (6, 7, 2e-3)
    assert study.settings.budget.trials == 99 and study.settings.seed == 4


def test_setting_a_searched_path_makes_it_constant(load: Callable[..., Study]) -> None:
    study = load(changes={LAYERS: 3})
    assert LAYERS not in study.space.domains and study.base.transformer.num_encoder_layers == 3
    assert study.space.sample(random.Random(0), study.base).keys() == {"transformer.dropout_rate"}


@pytest.mark.heavy
def test_name_of_a_study(load: Callable[..., Study]) -> None:
    assert (load().name, load().space_name) == ("mine", "mine")
    assert (load(name="other").name, load(name="other").space_name) == ("other", "mine")


@pytest.mark.heavy
def test_unknown_space_is_an_error_with_a_suggestion() -> None:
    assert load_study(Request("hamnosys")).name == "hamnosys"
    with pytest.raises(ConfigError, match=r"--space hamnosis: unknown space; .*did you mean 'hamnosys'"):
        load_study(Request("hamnosis"))


@pytest.mark.heavy
@pytest.mark.parametrize(("written", "epochs"), [("true", 10), ("{epochs: 2}", 2), ("false", None)])
def test_pretrain_option(load: Callable[..., Study], written: str, epochs: int | None) -> None:
    study = load(TEXT + f"pretrain: {written}\n")
    assert (study.settings.pretrain and study.settings.pretrain.epochs) == epochs
    assert Study.from_dict(study.to_dict(), "f").settings.pretrain == study.settings.pretrain


# -- configs of trials ----------------------------------------------------------------------------


def test_config_of_a_trial(load: Callable[..., Study]) -> None:
    config = load().config_of({LAYERS: 4}, seed=11)
    assert config.transformer.num_encoder_layers == 4 and config.general_parameters.seed == 11
    assert config.train_parameters.lr == 2e-3


def test_base_params_are_base_values_in_the_space(load: Callable[..., Study]) -> None:
    text = """
config: {train_parameters: {lr: 0.5, warmup_steps: 0.1}}
space:
  train_parameters.lr: {float: [1.0e-4, 1.0e-2]}
  train_parameters.warmup_steps: {int: [0, 100]}
  transformer.num_encoder_layers: {int: [1, 4]}
"""
    study = load(text)
    assert study.base_params() == {LAYERS: 2}  # neither the learning rate 0.5 nor the fraction 0.1 is in the space
    assert study.config_of(study.base_params()) == study.base


def test_base_params_include_active_conditional_parameters(load: Callable[..., Study]) -> None:
    text = f"""
space:
  {HEADS}: {{choice: [2, 4], when: {{{NAME}: sign_language_transformer}}}}
  {LAYERS}: {{int: [1, 4], when: {{{NAME}: lstm}}}}
  {NAME}: {{choice: [lstm, sign_language_transformer]}}
"""
    assert load(text).base_params() == {NAME: "sign_language_transformer", HEADS: 4}


@pytest.mark.heavy
def test_round_trip(load: Callable[..., Study]) -> None:
    study = load(changes={"train_parameters.batch_size": 9}, settings={"seed": 3}, name="x")
    again = Study.from_dict(yaml.safe_load(study.to_yaml()), "study.yaml")
    assert again.to_dict() == study.to_dict()
    assert (again.name, again.space_name, again.base) == ("x", "mine", study.base)
    assert again.space.domains == study.space.domains


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("description: nothing to search", "space: missing; give {dotted path: domain}"),
        ("space: [train_parameters.lr]", "space: got ['train_parameters.lr']; must be a mapping"),
        ("config: x\nspace: {train_parameters.lr: 0.1}", "config: got 'x'; must be a mapping"),
        ("demo: x\nspace: {train_parameters.lr: 0.1}", "demo: got 'x'; must be a mapping"),
        ("demo: {space: x}\nspace: {train_parameters.lr: 0.1}", "demo.space: got 'x'; must be a mapping"),
        ("budgets: {trials: 3}\nspace: {train_parameters.lr: 0.1}", "(did you mean 'budget'?)"),
        ("budget: {trials: 0}\nspace: {train_parameters.lr: 0.1}", "budget.trials: got 0"),
        (
            "sampler: {name: tpee}\nspace: {train_parameters.lr: 0.1}",
            "sampler.name: got 'tpee'; must be 'tpe', ",
        ),
        (
            "budget: {stop_when: 2}\nspace: {train_parameters.lr: 0.1}",
            "stop_when: got 2; must be less",
        ),
        ("budget: {stop_when: flat}\nspace: {train_parameters.lr: 0.1}", "a number or 'plateau'"),
        (
            "budget: {stop_when: plateau}\nconfig: {train_parameters: {epochs: 4}}\nspace: {train_parameters.lr: 0.1}",
            "budget.stop_when: got 'plateau' with 4 epochs per run; must be a score",
        ),
        ("early_stopping: {name: autos}\nspace: {train_parameters.lr: 0.1}", "must be 'asha', 'auto', "),
        ("config: {train_parameters: {lr: x}}\nspace: {train_parameters.lr: 0.1}", "config: train_parameters.lr"),
        ("space: {train_parameters.lr: {float: [1, 0]}}", "space: train_parameters.lr: float: low 1"),
        ("space: {train_parameters.lrr: 0.1}", "space: train_parameters.lrr: no 'lrr' in train_parameters"),
        ("space: {general_parameters.split_seed: {int: [0, 9]}}", "split_seed: must be the same in all trials"),
        ("space: {train_parameters.classification_mode: gloss}", "classification_mode: must be the same in all trials"),
    ],
)
def test_invalid_study_is_an_error_with_file_and_path(load: Callable[..., Study], text: str, words: str) -> None:
    (problem,) = problems_of(load, text)
    assert "mine.yaml: " in problem and words in problem


def test_invalid_option_is_an_error_with_its_name(load: Callable[..., Study]) -> None:
    assert problems_of(load, changes={"train_parameters.lrr": 1})[0].startswith("--set: train_parameters.lrr: no 'lrr'")
    assert problems_of(load, settings={"finalists": {"count": -1}})[0].startswith("given finalists.count: got -1")
    given = {"space": {"train_parameters.lr": {"float": [1, 0]}}, "objective": {"heads": ["foo"]}, "metric": ["bar"]}
    places = ("given metric: ", "given objective: ", "given space: train_parameters.lr: ")
    problems = problems_of(load, settings=given)
    assert all(any(problem.startswith(place) for problem in problems) for place in places), problems
    assert "No such file" in problems_of(lambda: load_study(Request("hamnosys", base_config="none.yml")))[0]


MANY_MISTAKES = """
budgets: {trials: 3}
sampler: {name: tpee}
config: {train_parameters: {epochs: -1, batch_sise: 3}}
rules: [{divide: [a, b]}]
space:
  train_parameters.lr: {float: [1, 0]}
  train_parameters.lrr: {float: [0.1, 0.2]}
  train_parameters.weight_decay: {float: [-2, 1]}
  transformer.dropout_rate: {float: [0, 0.5], when: {transformer.nam: lstm}}
  transformer.pooling: {choice: [mean, nonsense], when: {transformer.name: lstmm}}
  transformer.feedforward_size: {int: [64, 128], when: {train_parameters.lr: 0.5}}
  extractor: {choice: {a: {feature_extractor.nam: x}, b: {feature_extractor.model_path: resnet18}}}
demo: []
"""


def test_all_mistakes_of_a_file_are_reported_at_once(load: Callable[..., Study]) -> None:
    problems = problems_of(load, MANY_MISTAKES, changes={"train_parameters.seed": 1}, settings={"seed": "x"}, name="..")
    places = (
        *("--name: got '..'", "demo: got []", "budgets: unknown key", "sampler.name: got 'tpee'", "seed: got 'x'"),
        *("config: train_parameters.epochs: got -1", "config: train_parameters.batch_sise: unknown key"),
        *("--set: train_parameters.seed: no 'seed'", "rules: divide: unknown rule"),
        *("space: train_parameters.lr: float: low 1", "space: train_parameters.lrr: no 'lrr'"),
        *("space: train_parameters.weight_decay: got -2", "transformer.dropout_rate: when: transformer.nam: no 'nam'"),
        *("transformer.pooling: when: transformer.name: got 'lstmm'", "space: transformer.pooling: got 'nonsense'"),
        "space: feature_extractor.nam: no 'nam'",
    )
    missing = [place for place in places if not any(place in problem for problem in problems)]
    assert not missing, "\n".join(problems)
    assert all("mine.yaml: " in problem or problem.startswith(("--", "given seed: ")) for problem in problems)
    assert len(problems) == len(places), "\n".join(problems)


@pytest.mark.parametrize("typo", ["transformer.nam: lstm", "transformer.name: lstmm"])
def test_a_typo_in_a_condition_hides_no_other_mistake(load: Callable[..., Study], typo: str) -> None:
    text = (
        f"space:\n  transformer.pooling: {{choice: [mean, attention], when: {{{typo}}}}}\n"
        "  train_parameters.lr: {float: [-1, 1]}\n  train_parameters.lrr: 1\n"
    )
    problems = problems_of(load, text)
    assert len(problems) == 3 and all("mine.yaml: space: " in problem for problem in problems), problems


@pytest.mark.heavy
@pytest.mark.parametrize(
    "file", ["...yaml", "..yml", " .yaml", "a;b.yaml", "a b.yaml", "-rf.yaml", f"{'x' * 240}.yaml"]
)
def test_a_file_name_that_cannot_name_a_study_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(TEXT)
    with pytest.raises(ConfigError, match="or give another --name"):
        load_study(Request(str(tmp_path / file)))
    assert load_study(Request(str(tmp_path / file), name="mine")).name == "mine"


@pytest.mark.parametrize("name", ["..", "a/b", "/tmp/x", "", "a\\b", "\x1b[31m", "x" * 300])
def test_a_name_given_in_code_is_checked_as_well(load: Callable[..., Study], name: str) -> None:
    if name:
        assert "--name: got" in problems_of(load, name=name)[0]
    else:
        assert load(name=name).name == "mine"
