"""Writes the tree of packages and modules into docs/architecture.md, each with the first sentence of its docstring."""

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
WIDTH = 120
START, END = "```text\nhearai/", "```"


def first_sentence(module: Path) -> str:
    """The first sentence of a module's docstring, on one line; empty without any."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    summary = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", summary)[0]


def tree(package: Path, indent: int = 0) -> Iterator[str]:
    """The lines about a package, its modules and its packages in alphabetical order."""
    yield from _entry(indent, f"{package.name}/", first_sentence(package / "__init__.py"))
    modules = sorted(path for path in package.glob("*.py") if path.name != "__init__.py")
    longest = max((len(path.name) for path in modules), default=0)
    for module in modules:
        yield from _entry(indent + 2, module.name.ljust(longest), first_sentence(module))
    for folder in sorted(path for path in package.iterdir() if (path / "__init__.py").is_file()):
        yield from tree(folder, indent + 2)


def _entry(indent: int, name: str, text: str) -> Iterator[str]:
    head = f"{' ' * indent}{name}  "
    first, *others = textwrap.wrap(text, WIDTH - len(head)) or [""]
    yield (head + first).rstrip()
    yield from (" " * len(head) + line for line in others)


def with_tree(page: str, lines: list[str]) -> str:
    """The page with another tree in its block of text that begins with `hearai/`."""
    start = page.index(START)
    end = page.index(END, start + len(START))
    return "\n".join([f"{page[:start]}```text", *lines, page[end:]])


def architecture_page() -> str:
    """docs/architecture.md with the present tree."""
    return with_tree(PAGE.read_text(encoding="utf-8"), list(tree(ROOT / "hearai")))


if __name__ == "__main__":
    PAGE.write_text(architecture_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
