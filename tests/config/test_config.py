"""The config: strict validation, immutability, round trips through YAML and pickle."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearai.config.config import Config, build_config, load_config, to_dict, to_yaml
from hearai.config.yaml_io import parse_yaml
from hearai.errors import ConfigError
from hearai.sign.hamnosys import HEADS

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # do not fail on a busy machine

OLD_FILE = """
general_parameters:
    data_paths: ["assets/sanity_check_data"]
    ratio_train_test: 0.8
    workers: 0
    gpu: -1
    path_to_save: "saved_model.pth"
    seed: 2021
    neptune: False
augmentations_parameters:
    apply_random_rotation: False
    apply_color_jitter: False
    apply_rgb_shift: False
    apply_blur: False
    resize_size: 256
    center_crop_size: 256
    random_rotation_degree: 5
    color_jitter_brightness: 0.1
    rgb_shift_r_shift_limit: 0.2
    rgb_shift_g_shift_limit: 0.2
    rgb_shift_b_shift_limit: 0.2
    blur_limit: 1
train_parameters:
    classification_mode: "gloss"
    epochs: 10
    batch_size: 4
    lr: 0.001
    num_segments: 8
    fast_dev_run: True
    pre_training: False
    use_frames: True
    use_landmarks: False
    time: null
    warmup_steps: 20.0
    multiply_lr_step: 0.95
feature_extractor: {name: "cnn_extractor", model_path: "efficientnet_b1", representation_size: 512}
transformer:
    name: "sign_language_transformer"
    feedforward_size: 1024
    num_attention_heads: 4
    num_encoder_layers: 2
    output_size: 1024
    dropout_rate: 0.1
heads:
    model: {additional_layers: 1, dropout_rate: 0.1}
    gloss: {gloss: {num_class: 2400, loss_weight: 1}}
    hamnosys:
        symmetry_operator: {num_class: 9, loss_weight: 0}
        hand_shape_base_form: {num_class: 12, loss_weight: 0.5}
freeze_scheduler:
    model_params:
        feature_extractor: [True, False]
        transformer: [False, True]
    freeze_pattern_repeats: [5, 3]
    freeze_mode: "epoch"
    verbose: True
"""


def problems_of(raw: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build_config(raw)
    return caught.value.problems


def train(**values: Any) -> dict[str, Any]:
    return {"train_parameters": values}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("lr", True, "must be a number"),
        ("lr", float("inf"), "must be a finite number"),
        ("lr", "nan", "must be a finite number"),
        ("lr", ".inf", "must be a number"),
        ("lr", "quick", "must be a number"),
        ("lr", 0, "must be greater than 0"),
        ("epochs", 1.5, "must be an integer"),
        ("epochs", "1.5", "must be an integer"),
        ("epochs", True, "must be an integer"),
        ("epochs", 0, "must be greater than or equal to 1"),
        ("frames", "no", "must be true or false"),
        ("frames", 1, "must be true or false"),
        ("loss", "hinge", "choose from bce, cross_entropy"),
        ("classification_mode", 3, "must be a string or a list"),
        ("classification_mode", [], "must be a string or a list of at least one entry"),
    ],
)
def test_invalid_value_is_an_error_with_path_and_allowed_values(key: str, value: Any, words: str) -> None:
    (problem,) = problems_of(train(**{key: value}))
    assert problem.startswith(f"config: train_parameters.{key}: got ") and words in problem


@pytest.mark.parametrize(("text", "number"), [("1e-3", 0.001), ("1e-4", 1e-4), ("2", 2.0), (3, 3.0)])
def test_numeric_strings_are_numbers(text: Any, number: float) -> None:
    lr = build_config(train(lr=text)).train_parameters.lr
    assert lr == number and isinstance(lr, float)


def test_number_that_yaml_reads_as_a_string_is_a_number() -> None:
    assert build_config(parse_yaml("train_parameters: {lr: 1e-4}", "f")).train_parameters.lr == 1e-4


def test_unknown_key_is_an_error_with_known_keys_and_suggestion() -> None:
    (problem,) = problems_of(train(epoch=3))
    assert problem.startswith("config: train_parameters.epoch: unknown key; choose from batch_size, ")
    assert problem.endswith("(did you mean 'epochs'?)")
    (problem,) = problems_of({"heads": {"mine": {"left": {"num_classes": 2}}}})
    assert "heads.mine.left.num_classes: unknown key; choose from loss_weight, num_class (did" in problem


def test_all_problems_are_reported_at_once() -> None:
    problems = problems_of(
        {"train_parameters": {"lr": "x", "epochs": 0}, "transfomer": {}, "transformer": {"dropout_rate": 1.0}}
    )
    assert len(problems) == 4
    assert {problem.split(": ")[1] for problem in problems} == {
        "train_parameters.lr",
        "train_parameters.epochs",
        "transfomer",
        "transformer.dropout_rate",
    }


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"transformer": {"num_attention_heads": 3}}, "3 does not divide feature_extractor.representation_size 512"),
        (
            {"transformer": {"name": "fake_transformer", "pooling": "attention"}},
            "transformer.pooling: got 'attention', but fake_transformer always takes the mean",
        ),
        ({"transformer": {"pooling": "max"}}, "transformer.pooling: got 'max'; must be 'mean' or 'attention'"),
        (train(classification_mode="glos"), "(did you mean 'gloss'?)"),
        (train(classification_mode=["hamnosys", "glos"]), "unknown 'glos'; choose from"),
        (train(classification_mode=["gloss", "gloss"]), "'gloss' is listed twice"),
        (
            {"heads": {"mine": {"gloss": {}}}, **train(classification_mode=["gloss", "mine"])},
            "the groups gloss and mine both have a head 'gloss'",
        ),
        (
            {"heads": {"gloss": {"gloss": {"loss_weight": 0}}}, **train(classification_mode="gloss")},
            "every loss_weight",
        ),
        ({"heads": {"mine": {}}}, "must be a mapping with at least one entry"),
        ({"augmentations_parameters": {"resize_size": 100, "center_crop_size": 101}}, "101 is larger than"),
        (train(frames=False), "frames and landmarks are both false"),
        ({"freeze_scheduler": {"model_params": {"a": [True], "b": [True, False]}}}, "unequal length"),
        (
            {"freeze_scheduler": {"model_params": {"a": [True]}, "freeze_pattern_repeats": [1, 2]}},
            "unequal length {'a': 1, 'freeze_pattern_repeats': 2}",
        ),
        ({"general_parameters": {"data_path": []}}, "must be a list of at least one entry"),
        (train(frames=True, use_frames=True), "both 'frames' and its old name 'use_frames'"),
        ({"transformer": None}, "transformer: got None; must be a mapping"),
        ([1], "got [1]; must be a mapping"),
    ],
)
def test_incompatible_values_are_errors(raw: Any, words: str) -> None:
    (problem,) = problems_of(raw)
    assert words in problem


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("name", ["sign_language_transformer", "sign_language_cnn_transformer", "hubert_transformer"])
def test_attention_heads_must_divide_the_width(name: str, pooling: str) -> None:
    transformer = {"name": name, "num_attention_heads": 3, "pooling": pooling}
    (problem,) = problems_of({"transformer": transformer})
    assert "transformer.num_attention_heads: 3 does not divide feature_extractor.representation_size 512" in problem
    assert build_config({"transformer": transformer, "feature_extractor": {"representation_size": 513}})


@pytest.mark.parametrize("name", ["lstm", "fake_transformer"])
def test_attention_heads_are_ignored_without_attention(name: str) -> None:
    assert build_config({"transformer": {"name": name, "num_attention_heads": 3}})


def test_invalid_data_folder_is_named_by_its_index() -> None:
    problems = problems_of({"general_parameters": {"data_path": [{"path": "a", "annotation": "b"}]}})
    assert any("data_path.0.annotation: unknown key" in problem for problem in problems)
    assert not any("at least" in problem for problem in problems)


def test_some_loss_weights_may_be_zero() -> None:
    heads = {"hamnosys": {"hand_location_x": {"num_class": 5, "loss_weight": 0}, "hand_location_y": {"num_class": 37}}}
    assert set(build_config({"heads": heads}).active_heads) == {"hand_location_x", "hand_location_y"}


def test_custom_group_of_heads_needs_only_the_config() -> None:
    raw = {**train(classification_mode="mood"), "heads": {"mood": {"eyebrows": {"num_class": 3}, "mouth": {}}}}
    config = build_config(raw)
    assert [(name, head.num_class) for name, head in config.active_heads.items()] == [
        ("eyebrows", 3),
        ("mouth", "auto"),
    ]
    assert build_config(parse_yaml(to_yaml(config), "f")) == config


def test_several_groups_of_heads_are_trained_together() -> None:
    config = build_config(train(classification_mode=["gloss", "hamnosys"]))
    assert list(config.active_heads) == ["gloss", *HEADS]
    assert config.active_heads["gloss"].loss_weight == sum(config.active_heads[head].loss_weight for head in HEADS)
    assert build_config(parse_yaml(to_yaml(config), "f")) == config


def test_list_of_one_group_is_that_group() -> None:
    assert build_config(train(classification_mode=["gloss"])) == build_config(train(classification_mode="gloss"))


def test_default_heads_have_equal_weights() -> None:
    assert {head.loss_weight for head in build_config({}).active_heads.values()} == {0.125}
    assert len(build_config({}).active_heads) == 8


# -- frozen --------------------------------------------------------------------------------------


def test_config_is_immutable() -> None:
    config = build_config({})
    with pytest.raises(ValueError, match="frozen"):
        config.train_parameters.lr = 1.0
    for change in (
        lambda: config.heads.hamnosys.update(x=1),
        lambda: config.heads.hamnosys.pop("hand_location_x"),
        lambda: config.heads.hamnosys.__setitem__("x", 1),
        lambda: config.freeze_scheduler.model_params.clear(),
        lambda: config.freeze_scheduler.model_params.setdefault("a", ()),
    ):
        with pytest.raises(TypeError, match="frozen"):
            change()


def test_config_can_be_pickled_and_hashed() -> None:
    config = build_config({"general_parameters": {"data_path": ["a", {"path": "b", "annotation_file": "c"}]}})
    again = pickle.loads(pickle.dumps(config))
    assert again == config and hash(again) == hash(config)
    with pytest.raises(TypeError, match="frozen"):
        again.heads.gloss.clear()


# -- YAML ----------------------------------------------------------------------------------------


@pytest.mark.heavy
@settings(relaxed, max_examples=50)
@given(
    lr=st.floats(1e-12, 10, exclude_min=True),
    warmup=st.one_of(st.floats(0, 1e6), st.integers(0, 10**6)),
    seed=st.integers(-(2**63), 2**63),
    batch=st.integers(1, 2**40),
    decay=st.floats(0, 1e300),
)
def test_yaml_round_trip(lr: float, warmup: float, seed: int, batch: int, decay: float) -> None:
    config = build_config(
        {
            "train_parameters": {"lr": lr, "warmup_steps": warmup, "batch_size": batch, "weight_decay": decay},
            "general_parameters": {"seed": seed},
        }
    )
    assert build_config(parse_yaml(to_yaml(config), "f")) == config


def test_yaml_file_round_trip(tmp_path: Path) -> None:
    raw = {
        "general_parameters": {"data_path": [{"path": "a", "annotation_file": "b.txt"}, "c"], "path_to_save": "no"},
        "freeze_scheduler": {"model_params": {"feature_extractor": [True, False]}, "freeze_pattern_repeats": [5, 3]},
    }
    config = build_config(raw)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config


def test_checkpoint_path_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "best.yaml").write_text("feature_extractor: {checkpoint: backbone.pt}\n")
    assert load_config(tmp_path / "best.yaml").feature_extractor.checkpoint == "backbone.pt"
    (tmp_path / "backbone.pt").write_bytes(b"weights")
    assert load_config(tmp_path / "best.yaml").feature_extractor.checkpoint == str(tmp_path / "backbone.pt")


def test_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert load_config(tmp_path / "empty.yaml") == build_config({}) == Config()


# -- older files ---------------------------------------------------------------------------------


def test_keys_of_the_older_pipeline_are_accepted() -> None:
    config = build_config(parse_yaml(OLD_FILE, "old.yml"))
    assert config.general_parameters.data_path == ("assets/sanity_check_data",)
    assert config.train_parameters.frames and not config.train_parameters.landmarks
    assert config.train_parameters.warmup_steps == 20.0
    assert config.heads.model.additional_layers == 1
    assert config.active_heads["gloss"].num_class == 2400
    assert config.freeze_scheduler.model_params["transformer"] == (False, True)
    assert config.augmentations_parameters.blur_limit == 1


@pytest.mark.parametrize("name", ["train_config_sanity_gloss.yml", "train_config_sanity_hamnosys.yml"])
def test_files_of_the_older_pipeline_load(real_data: Path, name: str) -> None:
    config = load_config(real_data / "hearai_sanity" / name)
    assert config.train_parameters.classification_mode in name
    assert build_config(to_dict(config)) == config


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "/etc/x", "..", "a.b", "", "a\\b", "a\nb", "\x1b[2J", "a\0", "x" * 101]
)
@pytest.mark.parametrize("group", ["hamnosys", "gloss", "own"])
def test_a_head_whose_name_cannot_be_a_file_name_is_refused(group: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"heads.{group}.* a name has 1 to 100 letters") as caught:
        build_config({"heads": {group: {name: {}, "kształt dłoni-2": {}}}})
    assert len(caught.value.problems) == 1 and "\x1b" not in str(caught.value)
