"""The report of `check_data` as text for a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import Problems
from hearai.data.tools.check_data import CheckResult, DatasetReport
from hearai.data.tools.check_splits import split_sizes
from hearai.sign.hamnosys import MISSING

WIDTH = 80


def format_report(result: CheckResult) -> str:
    """Each folder, then what concerns all of them, then a summary in one line."""
    lines: list[str] = []
    for report in result.reports:
        lines += [str(report.folder), *_contents(report)]
        lines += _groups("problems", report.problems, report.folder) or ["  no problems"]
        lines += [*_groups("warnings", report.warnings, report.folder), ""]
    overall = [*_groups("problems", result.problems), *_groups("warnings", result.warnings)]
    if overall:
        title = "all folders together" if len(result.reports) > 1 else "all clips together"
        lines += [title, *overall, ""]
    summary = f"{_count(result.problem_count, 'problem')}, {_count(result.warning_count, 'warning')}"
    return "\n".join([*lines, summary])


def _contents(report: DatasetReport) -> Iterator[str]:
    for name, rows in report.files.items():
        heads = list(rows.clips[0].labels) if rows.clips else []
        yield f"  {name}: {_count(rows.count, 'row')}{_labels(heads, rows.clips)}"
    clips = report.clips.values()
    signers = {clip.signer for clip in clips} - {None}
    landmarks = f", {_count(report.landmarks, 'landmark file')} read" if report.landmarks else ""
    yield f"  {_count(len(clips), 'clip')}, {_count(report.images, 'image')} decoded{landmarks}"
    yield f"  {_count(len(signers), 'signer')}" if signers else "  signers unknown (no signers.csv)"
    if sizes := split_sizes(clips):
        yield f"  given splits: {sizes}"
    for head, names in report.class_names.items():
        yield f"  class list: {_count(len(names), 'name')} of {head}"


def _labels(heads: Sequence[str], clips: Sequence[Clip]) -> str:
    if len(heads) != 1:
        return f", {len(heads)} heads" if heads else ""
    labels = {clip.labels[heads[0]] for clip in clips} - {MISSING}
    return f", {heads[0]} {min(labels)}..{max(labels)} ({_count(len(labels), 'class')})" if labels else ""


def _groups(title: str, problems: Problems, folder: Path | None = None) -> list[str]:
    """Each kind with its count and first examples; paths are relative to the folder."""
    if not len(problems):
        return []
    lines = [f"  {title}: {len(problems)}"]
    for kind, group in problems.groups.items():
        lines.append(f"    {kind}: {group.count}")
        for message in group.examples:
            relative = message.replace(f"{folder}/", "") if folder else message
            lines += textwrap.wrap(
                relative, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False
            )
        if (more := group.count - len(group.examples)) > 0:
            lines.append(f"      ... and {more} more")
    return lines


def _count(count: int, unit: str) -> str:
    plural = f"{unit}es" if unit.endswith("s") else f"{unit}s"
    return f"{count} {unit if count == 1 else plural}"
