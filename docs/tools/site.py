"""Builds the documentation as a site without requests to other servers: `make docs` writes site/index.html.

All pages of the repository are copied into a temporary folder with the same tree, so that a link means the same there
as on GitHub. A link or an anchor that leads nowhere ends the build with exit code 1.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("mkdocs.yml")
SITE = ROOT / "site"
VARIABLES = {"NO_MKDOCS_2_WARNING": "1"}
"""Material for MkDocs gets security updates until May 2027; its successor, Zensical, reads the same mkdocs.yml."""
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
BADGE = re.compile(r"^\[!\[ci\].*\n\n?", re.MULTILINE)
"""Its image and link exist on GitHub only."""


def pages() -> Iterator[Path]:
    """All pages: at the root, in docs/ and in cluster/."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("docs", "cluster"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def copy_pages(target: Path) -> None:
    """Copies the pages, and the images and other files that they link to, with their paths."""
    for page in pages():
        text = BADGE.sub("", page.read_text(encoding="utf-8"))
        copy = target / page.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
        for link in LINK.findall(text):
            linked = (page.parent / link).resolve()
            if linked.is_file() and linked.suffix != ".md" and linked.is_relative_to(ROOT):
                place = target / linked.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(linked, place)


def build(site: Path = SITE) -> int:
    """Builds the site; returns the exit code of mkdocs, 1 if a link or anchor leads nowhere."""
    with tempfile.TemporaryDirectory(prefix="hearai-docs-") as folder:
        copy_pages(Path(folder))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(site)]
        return subprocess.run(command, env={**os.environ, **VARIABLES, "HEARAI_DOCS": folder}, check=False).returncode


if __name__ == "__main__":
    code = build()
    if code == 0:
        name = SITE.relative_to(ROOT)
        sys.stdout.write(f"open {name}/index.html, or with search: python -m http.server --directory {name}\n")
    sys.exit(code)
