"""Dotted paths into a config, and merging of mappings."""

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearai.config.config import build_config
from hearai.config.overrides import get_path, leaves, merge, override
from hearai.errors import ConfigError

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # do not fail on a busy machine


def test_override_returns_a_changed_copy() -> None:
    config = build_config({})
    changed = override(
        config,
        {
            "train_parameters.lr": "1e-2",
            "heads.hamnosys.hand_location_x.loss_weight": 0.3,
            "freeze_scheduler.model_params.feature_extractor.backbone": [False],
            "general_parameters.data_path": ["a"],
        },
    )
    assert get_path(changed, "train_parameters.lr") == 0.01
    assert get_path(changed, "heads.hamnosys.hand_location_x.loss_weight") == 0.3
    assert changed.freeze_scheduler.model_params == {"feature_extractor.backbone": (False,)}
    assert config == build_config({})


def test_leaves_are_all_values_by_dotted_path() -> None:
    tree = {"a": {"b": 1, "c": {"d": [2]}}, "e": None}
    assert list(leaves(tree)) == [("a.b", 1), ("a.c.d", [2]), ("e", None)]


def test_unknown_path_is_an_error_with_its_last_known_section() -> None:
    with pytest.raises(ConfigError) as caught:
        override(build_config({}), {"train_parameters.lrr": 1, "transformer.name.x": 1, "nowhere": 1}, "--set")
    lrr, inside, nowhere = caught.value.problems
    assert lrr.startswith("--set: train_parameters.lrr: no 'lrr' in train_parameters; choose from")
    assert "did you mean 'lr'?" in lrr
    assert inside == "--set: transformer.name.x: no such path; transformer.name is a single value"
    assert nowhere.startswith("--set: nowhere: no 'nowhere' at the top level")
    with pytest.raises(ConfigError, match="no 'lrr'"):
        get_path(build_config({}), "train_parameters.lrr")


def test_override_is_validated_like_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^--set: train_parameters\.lr: got 'no'; must be a number$"):
        override(build_config({}), {"train_parameters.lr": "no"}, "--set")


@pytest.mark.heavy
@relaxed
@given(st.dictionaries(st.sampled_from("abc"), st.integers() | st.dictionaries(st.sampled_from("ab"), st.integers())))
def test_merge_keeps_values_that_the_diff_does_not_have(diff: Mapping) -> None:
    base = {"a": {"a": 1, "b": 2}, "b": 3}
    merged = merge(base, diff)
    assert merge(base, {}) == base and merge(merged, diff) == merged
    for key, value in diff.items():
        if isinstance(value, dict) and key == "a":
            assert merged["a"] == {**base["a"], **value}
        else:
            assert merged[key] == value
