"""Strict YAML reading: ambiguous or malformed input is an error with its line."""

from pathlib import Path

import pytest

from hearai.config.yaml_io import parse_yaml, read_yaml
from hearai.errors import ConfigError


def test_duplicate_key_is_an_error_with_both_lines() -> None:
    with pytest.raises(ConfigError, match=r"^f\.yml:4: key 'lr' is given twice, first in line 2$"):
        parse_yaml("train_parameters:\n  lr: 1\n  epochs: 3\n  lr: 2\n", "f.yml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "f.yml:1: "),
        ("a:\n\t- b", "f.yml:2: "),
        ("1: a", "key 1 is not a string"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_invalid_yaml_is_an_error_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="^f.yml") as caught:
        parse_yaml(text, "f.yml")
    assert words in str(caught.value)


def test_anchors_and_merge_keys() -> None:
    text = "base: &base {lr: 1, epochs: 2}\ntrain_parameters:\n  <<: *base\n  epochs: 3\n"
    assert parse_yaml(text, "f")["train_parameters"] == {"lr": 1, "epochs": 3}


def test_unreadable_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    for name, words in (
        ("list.yaml", "contains a list"),
        ("image.yaml", "not a text file"),
        ("none.yaml", "No such file"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_yaml(tmp_path / name)
