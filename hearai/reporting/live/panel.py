"""The live view's text: a snapshot of a search as lines that fit a terminal of any size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import OverflowMethod
from rich.text import Text

from hearai.cli.progress import events
from hearai.cli.progress.names import short_names
from hearai.cli.progress.snapshot import ACTIVE, DONE, Budget, Phase, Running, Snapshot
from hearai.cli.progress.time_left import rough_time
from hearai.errors import printable
from hearai.reporting.text import plain, score

NAME_WIDTH = 14
"""Columns of the first column."""
BAR_WIDTH, SPARK_WIDTH, EPOCH_BAR = 24, 32, 10
WIDE = 130
"""From this width on, the trials are beside the rest."""
GAP = 3
STATE_STYLES = {
    events.RUNNING: "bold",
    events.PAUSED: "yellow",
    events.COMPLETE: "green",
    events.STOPPED: "",
    events.FAILED: "red",
}
LABEL, FAINT, STRONG = "cyan", "dim", "bold"


@dataclass(frozen=True)
class Glyphs:
    """Characters that bars are made of."""

    full: str = "━"
    empty: str = "─"
    spark: str = "▁▂▃▄▅▆▇█"
    done: str = "✓"
    rule: str = "─"
    overflow: OverflowMethod = "ellipsis"
    """How a line that is too long ends."""
    arrow: str = "→"
    dot: str = "·"


UNICODE, ASCII = Glyphs(), Glyphs("#", "-", "_.-:=+*#", "ok", "-", "crop", "->", "|")


def panel_lines(
    snapshot: Snapshot, width: int, height: int, *, extra: Sequence[str] = (), glyphs: Glyphs = UNICODE
) -> list[Text]:
    """At most `height` lines of at most `width` columns. extra: lines for the end, such as names of log files."""
    is_wide = width >= WIDE
    left = (width - GAP) // 2 if is_wide else width
    head = _phases(snapshot, left, glyphs)
    if snapshot.study:
        head += [_states(snapshot), _budgets(snapshot, glyphs), *_best(snapshot, glyphs)]
    tail = [*_promising(snapshot), *[Text(printable(line), style=FAINT) for line in extra], *_interrupted(snapshot)]
    if is_wide:
        trials = _trials(snapshot, width - left - GAP, max(len(head) + len(tail), height - 2), glyphs)
        lines = _beside(_fitted([*head, *tail], left, glyphs), _fitted(trials, width - left - GAP, glyphs), left)
    else:
        room = max(height - 1 - len(head) - len(tail), 1)
        lines = _fitted([*head, *_trials(snapshot, width, room, glyphs), *tail], width, glyphs)
    title = _fitted([_title(snapshot, width, glyphs)], width, glyphs)
    lines = [*title, *lines]
    return lines if len(lines) <= height else [*lines[: max(height - 1, 0)], *lines[-1:]][:height]


def clock(seconds: float) -> str:
    """`0:07`, `12:30` or `3:05:00`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def sparkline(values: Sequence[float], width: int, glyphs: Glyphs = UNICODE) -> str:
    """Values as characters of rising height; of more than `width` values the last ones of equal parts."""
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    top = len(glyphs.spark) - 1
    return "".join(glyphs.spark[round((value - low) / (high - low) * top) if high > low else top] for value in values)


def bar(share: float, width: int, glyphs: Glyphs = UNICODE) -> str:
    """A progress bar. share: in [0, 1]."""
    full = int(share * width + 1e-9)
    return glyphs.full * full + glyphs.empty * (width - full)


def _line(name: str, *parts: str | tuple[str, str]) -> Text:
    return Text.assemble((f"{name:<{NAME_WIDTH}}", LABEL), *parts)


def _title(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    """A rule with the study's name, its folder and the time."""
    name, time = printable(snapshot.study) or "starting", clock(snapshot.seconds)
    search, finals = snapshot.search_seconds_left, snapshot.finals_seconds_left
    if search is not None and finals is not None and search + finals > 0:
        time = f"{time}, {_bound(snapshot)} {rough_time(search + finals)} left"
    rest = max(width - len(name) - len(time) - 9, 0)
    where = printable(snapshot.folder)
    where = f"{where} " if where and len(where) < rest else ""
    line = glyphs.rule * (rest - len(where))
    return Text.assemble(
        (glyphs.rule * 2, FAINT),
        (f" {name} ", STRONG),
        (where, FAINT),
        (f"{line} {time} ", FAINT),
        (glyphs.rule * 2, FAINT),
    )


def _phases(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """One line for those that are done, one for each other."""
    done = [phase for phase in snapshot.phases if phase.state == DONE]
    lines = _done_phases(done, width, glyphs)
    for phase in snapshot.phases:
        if phase.state == ACTIVE:
            lines.append(_active_phase(phase, snapshot, glyphs))
            if snapshot.note and phase.name not in (events.SEARCH, events.FINALS):
                lines.append(_line("", (printable(snapshot.note), FAINT)))
    waiting = [phase for phase in snapshot.phases if phase.state not in (ACTIVE, DONE)]
    if waiting:
        finals = snapshot.finals_seconds_left
        times = {events.FINALS: f" (about {rough_time(finals)})" if finals else ""}
        text = ", ".join(f"{phase.name}{times.get(phase.name, '')}" for phase in waiting)
        lines.append(_line("then", (text, FAINT)))
    return lines


def _done_phases(done: Sequence[Phase], width: int, glyphs: Glyphs) -> list[Text]:
    """Wrapped between phases."""
    lines: list[Text] = []
    for phase in done:
        text = f"{phase.name} {glyphs.done} {clock(phase.seconds)}"
        if lines and lines[-1].cell_len + 2 + len(text) <= width:
            lines[-1].append(f"  {text}", FAINT)
        else:
            lines.append(_line("" if lines else "done", (text, FAINT)))
    return lines


def _active_phase(phase: Phase, snapshot: Snapshot, glyphs: Glyphs) -> Text:
    parts = []
    if phase.share is not None:
        parts.append(f"{bar(phase.share, BAR_WIDTH, glyphs)} {phase.share:4.0%}")
    left = "" if phase.seconds_left is None else f"about {rough_time(phase.seconds_left)} left"
    if phase.name == events.SEARCH:
        left = _search_left(phase, snapshot)
    elif phase.name == events.FINALS and snapshot.finals_total:
        parts.append(f"{snapshot.finals_done}/{snapshot.finals_total} runs")
    return _line(phase.name, "  ".join(part for part in (*parts, left or clock(phase.seconds)) if part))


def _search_left(phase: Phase, snapshot: Snapshot) -> str:
    if phase.seconds_left is None:
        has_begun = snapshot.running or any(snapshot.counts.values())
        return "time left: after a few trials" if has_begun else "the processes of the first trials start"
    if phase.seconds_left <= 0:
        return "the last trials run"
    return f"{_bound(snapshot)} {rough_time(phase.seconds_left)} left"


def _bound(snapshot: Snapshot) -> str:
    return "at most" if snapshot.may_end_early else "about"


def _states(snapshot: Snapshot) -> Text:
    parts: list[str | tuple[str, str]] = []
    for state, count in snapshot.counts.items():
        parts += [("  " if parts else ""), (f"{count} {state}", STATE_STYLES[state] if count else FAINT)]
    return _line("trials", *parts)


def _budgets(snapshot: Snapshot, glyphs: Glyphs) -> Text:
    return _line("budget", f" {glyphs.dot} ".join(map(_budget, snapshot.budgets)) or "-")


def _budget(budget: Budget) -> str:
    if budget.unit == "seconds":
        return f"{clock(min(budget.used, budget.limit))} of {clock(budget.limit)}"
    return f"{budget.used:,.0f} of {budget.limit:,.0f} {budget.unit}"


def _best(snapshot: Snapshot, glyphs: Glyphs) -> list[Text]:
    if snapshot.best is None:
        return [_line(f"best {snapshot.score}"[:NAME_WIDTH], ("no complete trial yet", FAINT))]
    curve = sparkline(snapshot.best_so_far, SPARK_WIDTH, glyphs)
    value = (f"{score(snapshot.best_objective)} ", STRONG)
    lines = [_line("best", value, f"{snapshot.score}, trial {snapshot.best}  ", (curve, "green"))]
    changes = [f"{name} {plain(old)} {glyphs.arrow} {plain(new)}" for name, old, new in snapshot.differences]
    return [
        *lines,
        _line("  its changes", printable(", ".join(changes)) if changes else ("none: the base config", FAINT)),
    ]


def _promising(snapshot: Snapshot) -> list[Text]:
    return [_line("promising", printable("; ".join(snapshot.promising)))] if snapshot.promising else []


def _interrupted(snapshot: Snapshot) -> list[Text]:
    return [Text(snapshot.interrupted, style="bold yellow")] if snapshot.interrupted else []


def _trials(snapshot: Snapshot, width: int, room: int, glyphs: Glyphs) -> list[Text]:
    """Running trials, and the latest that ended, in at most `room` lines."""
    if not snapshot.slots:
        return []
    gpus = f", {snapshot.gpus * len(snapshot.running):g} GPUs in use" if snapshot.gpus else ""
    lines = [_line("slots", f"{snapshot.busy} of {snapshot.slots} busy{gpus}, each {snapshot.resources}")]
    shown = max(min(len(snapshot.running), room - 1 - min(len(snapshot.latest), 2)), 0)
    shown -= 0 < shown < len(snapshot.running)  # the line that counts the others
    names = short_names(dict.fromkeys(path for trial in snapshot.running for path in trial.params))
    lines += [_running(trial, names, glyphs) for trial in snapshot.running[:shown]]
    if hidden := len(snapshot.running) - shown:
        lines.append(Text(f"  and {hidden} more", style=FAINT))
    return [*lines, *(_ended(one) for one in snapshot.latest[: max(room - len(lines), 0)])]


def _running(trial: Running, names: Mapping[str, str], glyphs: Glyphs) -> Text:
    share = trial.epoch / trial.epochs if trial.epochs else 0.0
    epochs = f"{trial.epoch:>3}/{trial.epochs}" if trial.epochs else f"{trial.epoch:>3}"
    params = "  ".join(f"{names[path]}={plain(value)}" for path, value in trial.params.items())
    what = f"{bar(share, EPOCH_BAR, glyphs)} epoch {epochs:<7} {score(trial.objective):>5}  {clock(trial.seconds):>5}  "
    return Text.assemble((f"  {trial.label:<12}", STRONG), what, (printable(params), FAINT))


def _ended(trial: Any) -> Text:
    seconds = "" if trial.seconds is None else f"{trial.seconds:.1f} s"
    what = printable(trial.reason) if trial.state == events.FAILED else f"{score(trial.objective):>5}  {seconds}"
    state = (f"{trial.state:<{EPOCH_BAR}} ", STATE_STYLES[trial.state])
    return Text.assemble(f"  {trial.label:<12}", state, (f"epoch {trial.epoch:>3}     {what}", FAINT))


def _fitted(lines: Iterable[Text], width: int, glyphs: Glyphs) -> list[Text]:
    found = []
    for line in lines:
        line.truncate(width, overflow=glyphs.overflow)
        found.append(line)
    return found


def _beside(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    """Two columns; the left one has so many columns."""
    lines = []
    for i in range(max(len(left), len(right))):
        line = left[i].copy() if i < len(left) else Text()
        if i < len(right):
            line.append(" " * (width - line.cell_len + GAP))
            line.append_text(right[i])
        lines.append(line)
    return lines
