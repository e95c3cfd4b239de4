"""Docstrings, comments, messages and pages are written in standard technical English: no private idioms.

docs/glossary.md has the words of this project.
"""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT

IDIOMS = {
    r"\b(is|are|was|were) due\b": "expected, required",
    r"\b(is|are|was|were|be|been|being) told\b": "is reported to, receives, is asked to",
    r"\b(go|goes|going|went|gone) on\b": "continue, resume",
    r"\banew\b": "again",
    r"\bin words\b": "as text, readable",
    r"\b(nobody|somebody|whoever)\b": "no one, the process that",
    r"\bseparate ways\b": "diverged",
    r"\bput(s|ting)? (aside|away)\b": "rejected, saved, stopped",
    r"\btaken for dead\b": "considered dead",
    r"\bat the door\b": "before anything starts, pre-flight",
    r"\bis no (folder|file|text|whole|trial|checkpoint|json|image|clip|video|number|directory)\b": "is not a ...",
    r"\bhas (a|no) say\b": "is used, has no influence",
    r"\bpass(ed)? over\b": "ignored, skipped",
    r"\bpictures?\b": "image, frame, figure, plot",
    r"\bmachines? (is|was) (taken|told|gone)\b": "the node is preempted",
    r"\b(leaves?|left) its (machine|node)\b": "is preempted",
    r"\bhand(s|ed)? out\b": "start, assign",
    r"\bgood for nothing\b": "unusable",
    r"\bso far as\b": "as far as",
    r"\ball (of )?that is\b": "everything",
    r"\bwhat is (left|to be had|worth)\b": "the rest, available, useful",
    r"\bone'?s own\b": "your own",
    r"\btake(n|s)? up again\b": "requeued, resumed",
    r"\btake(n|s)? back\b": "requeued",
    r"\bwaits? for ever\b": "never returns, blocks forever",
    r"\bfor ever\b": "forever",
    r"\bthe house\b": "the code base, the architecture",
    r"\b(upper|lower|ground|its own) floor\b": "layer",
}
"""{what is not to be written: what to write}."""

STORED = {("hearai/training/setup/backbone_cache.py", "pictures")}
"""Keys that caches of older versions are found by."""

FOLDERS = ("hearai", "experiments", "tests", "cluster", "docs", "search_spaces")
PAGES = sorted(
    path for suffix in ("*.md", "*.yaml", "*.j2") for folder in FOLDERS for path in (ROOT / folder).rglob(suffix)
)
PAGES += sorted(ROOT.glob("*.md"))
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != Path(__file__))
TEXT_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and string of a module, or of every line of a page."""
    if path.suffix == ".py":
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type in TEXT_TOKENS:
                    for offset, line in enumerate(token.string.splitlines()):
                        yield token.start[0] + offset, line
    else:
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)


ANY_IDIOM = re.compile("|".join(IDIOMS), re.IGNORECASE)


def idioms_in(path: Path) -> Iterator[str]:
    """One entry `path:line: words; write OTHER WORDS` for every banned idiom of a file."""
    name = path.relative_to(ROOT).as_posix()
    for number, line in texts_of(path):
        if ANY_IDIOM.search(line):
            for idiom, better in IDIOMS.items():
                match = re.search(idiom, line, re.IGNORECASE)
                if match and (name, match[0]) not in STORED:
                    yield f"{name}:{number}: {match[0]!r}; write {better}"


def test_no_private_idioms() -> None:
    found = [entry for path in (*SOURCES, *PAGES) for entry in idioms_in(path)]
    assert not found, "\n".join(found)


def test_an_idiom_is_found_in_comments_strings_and_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    module, page = tmp_path / "module.py", tmp_path / "page.md"
    module.write_text("due = 1  # the report was due\ntext = f'{due} goes on'\n")
    page.write_text("Nothing.\nThe node was told.\n")
    assert list(idioms_in(module)) == [
        "module.py:1: 'was due'; write expected, required",
        "module.py:2: 'goes on'; write continue, resume",
    ]
    assert list(idioms_in(page)) == ["page.md:2: 'was told'; write is reported to, receives, is asked to"]


def test_names_of_tests_are_short() -> None:
    for path in SOURCES:
        names = re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not [name for name in names if len(name) > 60], path
