"""What a check of dataset folders found, as text that fits a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import Problems
from hearai.data.tools.check_data import Findings, Report
from hearai.sign.hamnosys import MISSING

WIDTH = 80


def as_text(findings: Findings) -> str:
    """The whole report: each folder, then what concerns them together, then one line that sums up."""
    lines: list[str] = []
    for report in findings.reports:
        lines += [str(report.folder), *_contents(report)]
        lines += _groups("wrong", report.problems, report.folder) or ["  nothing is wrong"]
        lines += [*_groups("remarks", report.remarks, report.folder), ""]
    together = [*_groups("wrong", findings.problems), *_groups("remarks", findings.remarks)]
    if together:
        title = "all folders together" if len(findings.reports) > 1 else "the clips together"
        lines += [title, *together, ""]
    noted = len(findings.remarks) + sum(len(report.remarks) for report in findings.reports)
    return "\n".join([*lines, f"{_number(findings.wrong, 'problem')}, {_number(noted, 'remark')}"])


def _contents(report: Report) -> Iterator[str]:
    for name, rows in report.files.items():
        heads = list(rows.clips[0].labels) if rows.clips else []
        yield f"  {name}: {_number(rows.count, 'row')}{_labels(heads, rows.clips)}"
    clips = report.clips.values()
    signers = {clip.signer for clip in clips} - {None}
    landmarks = f", {_number(report.landmarks, 'landmark file')} read" if report.landmarks else ""
    yield f"  {_number(len(clips), 'clip')}, {_number(report.pictures, 'picture')} decoded{landmarks}"
    yield f"  {_number(len(signers), 'signer')}" if signers else "  signers unknown (no signers.csv)"
    for head, names in report.lists.items():
        yield f"  class list: {_number(len(names), 'name')} of {head}"


def _labels(heads: Sequence[str], clips: Sequence[Clip]) -> str:
    if len(heads) != 1:
        return f", {len(heads)} heads" if heads else ""
    labels = {clip.labels[heads[0]] for clip in clips} - {MISSING}
    return f", {heads[0]} {min(labels)}..{max(labels)} ({_number(len(labels), 'class')})" if labels else ""


def _groups(title: str, problems: Problems, folder: Path | None = None) -> list[str]:
    """Each kind with its number and first examples; paths begin inside the folder."""
    if not len(problems):
        return []
    lines = [f"  {title}: {len(problems)}"]
    for kind, group in problems.groups.items():
        lines.append(f"    {kind}: {group.count}")
        for text in group.examples:
            inside = text.replace(f"{folder}/", "") if folder else text
            lines += textwrap.wrap(
                inside, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False
            )
        if (more := group.count - len(group.examples)) > 0:
            lines.append(f"      ... and {more} more")
    return lines


def _number(count: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"
