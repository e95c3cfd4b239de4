"""YAML the way a user means it: what is ambiguous or broken is refused with its line."""

from pathlib import Path

import pytest

from hearai.config.yaml_io import parse_yaml, read_yaml
from hearai.errors import ConfigError


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    with pytest.raises(ConfigError, match=r"^f\.yml:4: key 'lr' is given twice, first in line 2$"):
        parse_yaml("train_parameters:\n  lr: 1\n  epochs: 3\n  lr: 2\n", "f.yml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "f.yml:1: "),
        ("a:\n\t- b", "f.yml:2: "),
        ("1: a", "key 1 is no text"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="^f.yml") as caught:
        parse_yaml(text, "f.yml")
    assert words in str(caught.value)


def test_sections_can_be_shared_with_yaml_anchors() -> None:
    text = "base: &base {lr: 1, epochs: 2}\ntrain_parameters:\n  <<: *base\n  epochs: 3\n"
    assert parse_yaml(text, "f")["train_parameters"] == {"lr": 1, "epochs": 3}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    for name, words in (("list.yaml", "holds list"), ("picture.yaml", "no text file"), ("none.yaml", "No such file")):
        with pytest.raises(ConfigError, match=words):
            read_yaml(tmp_path / name)
