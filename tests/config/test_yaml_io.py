"""Strict YAML reading: ambiguous or malformed input is an error with its line."""

import os
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


def _alias_bomb(line: str) -> str:
    """Nine levels of ten aliases each: a thousand million values in 300 bytes."""
    return "a0: &a0 {x: 1}\n" + "".join(line.format(n=n, below=", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 10))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_alias_bomb("a{n}: &a{n} [{below}]\n"), "more than 100,000 values with every alias"),
        (_alias_bomb("a{n}: &a{n} {{<<: [{below}]}}\n"), "more than 100,000 values with every alias"),
        (_alias_bomb("a{n}: &a{n} {{k: [{below}]}}\n"), "more than 100,000 values with every alias"),
        ("a: &a [1, *a]", "f.yml:1: an alias (*) refers to the value that contains it"),
        ("a: &a {<<: *a}", "f.yml:1: an alias (*) refers to the value that contains it"),
        ("a: " + ":".join(["1"] * 40_000), "f.yml:1: a number of 79,999 characters"),
        ("a: " + "9" * 5000, "f.yml:1: a number of 5,000 characters"),
        ("a: " + "[" * 1000, "too many levels of brackets"),
    ],
    ids=["sequences", "merge keys", "mappings", "itself", "merged into itself", "base 60", "digits", "deep"],
)
def test_small_text_with_a_huge_value_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yml")
    assert words in str(caught.value) and len(str(caught.value)) < 200


def test_only_small_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "big.yml").write_bytes(b"# " + bytes(2_000_000))
    for path, words in (
        (tmp_path / "pipe.yml", "pipe"),
        (Path("/dev/zero"), "device"),
        (tmp_path / "big.yml", "2.0 MB"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_yaml(path)
