"""Importing and making parts of a user's own; errors name the file and line of their code."""

from pathlib import Path

import pytest

from hearai.config.model_parts.code_folder import use_code
from hearai.config.model_parts.load_part import load_class, make_part, width_of
from hearai.config.model_parts.part_names import ENCODER, EXTRACTOR
from hearai.errors import ConfigError
from tests.helpers.text_files import write_text

CODE = """
VALUE = 3
class Own:
    def __init__(self, size, depth=1):
        self.size = size
        if depth > 9:
            raise ValueError("too deep")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_text(tmp_path / "mine.py", CODE)
    write_text(tmp_path / "package" / "parts.py", "from mine import Own\nclass Other(Own): pass")
    write_text(tmp_path / "broken.py", "x = 1\nimport not_installed_anywhere\n")
    write_text(tmp_path / "syntax.py", "x = (\n")
    write_text(tmp_path / "exits.py", "import sys\nsys.exit(3)\n")
    write_text(tmp_path / "json.py", "class A: pass")
    use_code(tmp_path)
    return tmp_path


@pytest.mark.heavy
def test_modules_of_packages_are_found(folder: Path) -> None:
    assert load_class(EXTRACTOR, "package.parts:Other").__name__ == "Other"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing:A", "has neither missing.py nor a folder missing"),
        ("package.missing:A", "no module 'package.missing'"),
        ("mine:Owl", "has no class 'Owl'; it has Own"),
        ("mine:VALUE", "VALUE in .*mine.py is a int; expected a class"),
        ("broken:A", r"broken.py, line 2 \(import not_installed_anywhere\): ModuleNotFoundError"),
        ("syntax:A", "syntax.py, line 1: SyntaxError"),
        ("exits:A", "exits.py, line 2 .*SystemExit: 3"),
        ("json:A", "has the name of another module of Python's path .*rename yours"),
        ("os:PathLike", "has neither os.py nor a folder os"),
    ],
)
def test_unusable_name_ends_in_a_message(name: str, message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"feature_extractor.name: {name}: .*{message}"):
        load_class(EXTRACTOR, name)


def test_without_a_folder_nothing_is_imported() -> None:
    with pytest.raises(ConfigError, match=r"its code is not known; add --code DIR, the folder with subprocess.py"):
        load_class(EXTRACTOR, "subprocess:Popen")


@pytest.mark.heavy
def test_offered_arguments_are_given_where_the_class_takes_them(folder: Path) -> None:
    own = make_part(ENCODER, "mine:Own", {"depth": 2}, offered={"size": 4, "pooling": "mean"})
    assert own.size == 4


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": 1, "wide": 2}, r"transformer.kwargs: Own\(size, depth=1\) .*unexpected keyword argument 'wide'"),
        ({}, "missing a required argument: 'size'"),
        ({"size": 1, "depth": 10}, r"Own\(size=1, depth=10\) failed: .*mine.py, line 7 .*ValueError: too deep"),
    ],
)
def test_wrong_arguments_end_in_a_message(kwargs: dict, message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        make_part(ENCODER, "mine:Own", kwargs)


@pytest.mark.heavy
def test_base_class_and_width_are_required(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is no subclass of builtins.dict"):
        make_part(ENCODER, "mine:Own", {"size": 1}, base=dict)
    own = make_part(ENCODER, "mine:Own", {"size": 1})
    for width, found in ((None, "is missing"), (0, "is 0"), ("8", "is '8'")):
        own.width = width
        with pytest.raises(ConfigError, match=f"the attribute `width` {found}"):
            width_of(ENCODER, "mine:Own", own)
