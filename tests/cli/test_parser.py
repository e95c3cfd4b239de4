"""The parser of the scripts: usage, rare options, examples, subcommands."""

import pytest

from hearai.cli.parser import ScriptParser, examples_of

TEXT = """
Does one thing,
and does it well.

    python experiments/x.py DIR
    python experiments/x.py DIR \\
        --size 3          # smaller

Exit codes: 0 done.
"""


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> ScriptParser:
    monkeypatch.setenv("COLUMNS", "60")
    parser = ScriptParser(TEXT, rare=("--seed",), prog="x.py")
    parser.add_argument("folder", metavar="DIR", help="a folder")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="a format")
    group = parser.add_argument_group("numbers")
    group.add_argument("--size", type=int, metavar="N", help="side in pixels")
    group.add_argument("--seed", type=int, metavar="N", help="another seed")
    return parser


def test_help_has_usage_groups_and_examples(parser: ScriptParser) -> None:
    assert parser.format_help() == (
        "usage: x.py --to FORMAT [options] DIR\n\nDoes one thing, and does it well.\n\n"
        "positional arguments:\n  DIR          a folder\n\noptions:\n  --to FORMAT  a format\n\n"
        "numbers:\n  --size N     side in pixels\n\n--help-all explains also: --seed.\n\n"
        "examples:\n  python experiments/x.py DIR\n"
        "  python experiments/x.py DIR \\\n      --size 3          # smaller\n\n"
        "Exit codes: 0 done.\n"
    )


@pytest.mark.parametrize(("option", "is_explained"), [("--help", False), ("-h", False), ("--help-all", True)])
def test_rare_options_are_explained_by_help_all(
    option: str, is_explained: bool, parser: ScriptParser, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse_args([option])
    assert end.value.code == 0
    assert ("another seed" in capsys.readouterr().out) == is_explained


def test_rare_options_are_parsed_as_any_other(parser: ScriptParser) -> None:
    args = parser.parse_args(["d", "--to", "onnx", "--seed", "3"])
    assert vars(args) == {"folder": "d", "to": "onnx", "size": None, "seed": 3}


def test_without_rare_options_there_is_no_help_all(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        ScriptParser("Text.").parse_args(["--help-all"])
    assert "unrecognized arguments: --help-all" in capsys.readouterr().err


def test_options_cannot_be_abbreviated(parser: ScriptParser, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["d", "--to", "onnx", "--siz", "3"])
    assert end.value.code == 2 and "--siz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "ending"),
    [("--sede=3", "--sede=3 (did you mean --seed?)\n"), ("--zzz", "unrecognized arguments: --zzz\n")],
)
def test_an_unknown_option_gets_a_suggestion(
    option: str, ending: str, parser: ScriptParser, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["d", "--to", "onnx", option])
    assert end.value.code == 2 and capsys.readouterr().err.endswith(ending)


def test_subcommands_are_listed_and_have_their_own_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    parser = ScriptParser("Many things.", prog="x.py")
    verbs = parser.add_subparsers(required=True, title="commands", metavar="COMMAND")
    verbs.add_parser("one", text="Does one.\n\n    python x.py one", help="do one")
    assert parser.format_help() == "usage: x.py COMMAND ...\n\nMany things.\n\ncommands:\n  one         do one\n"
    assert parser.commands()["one"].format_help() == "usage: x.py one\n\nDoes one.\n\nexamples:\n  python x.py one\n"


def test_examples_are_commands_without_comments(parser: ScriptParser) -> None:
    assert examples_of(parser) == ["python experiments/x.py DIR", "python experiments/x.py DIR --size 3"]


def test_a_script_without_docstring_still_parses() -> None:
    assert ScriptParser(None).parse_args([])  # python -OO removes docstrings
