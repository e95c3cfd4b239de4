"""The benchmarks' tables for the terminal, no wider than 80 columns."""

from collections.abc import Sequence

from hearai.benchmarks.cluster_scale import NodesScale
from hearai.benchmarks.engine_comparison import REFERENCE, Trace, summarise
from hearai.benchmarks.scale import Scale


def engine_table(traces: Sequence[Trace], epoch_budget: int, *, what: str) -> str:
    """One line an engine: medians over cost, and what it needs to reach the reference's last median."""
    rows = summarise(traces, epoch_budget)
    seeds = len({trace.seed for trace in traces})
    marks = list(rows[0].at)
    lines = [
        f"{what}: {seeds} searches an engine, {epoch_budget} trial-epochs each; medians",
        f"{'':<22}" + "".join(f"{mark:>7}" for mark in marks) + f"{'quartiles':>15}{'epochs':>8}{'time':>7}",
    ]
    for row in rows:
        values = "".join(f"{value:>7.3f}" for value in row.at.values())
        quartiles = f"{row.quartiles[0]:.3f}-{row.quartiles[1]:.3f}"
        lines.append(f"{row.engine:<22}{values}{quartiles:>15}{_share(row.cost):>8}{_share(row.seconds):>7}")
    lines.append(f"epochs, time: to reach the last value of {REFERENCE}, as a share of what it had")
    finals = ", ".join(f"{row.engine} {row.final:.4f}" for row in rows)
    return "\n".join([*lines, f"what the last config is worth: {finals}"])


def scale_table(scale: Scale) -> str:
    """What a suggestion costs as the journal grows, and what is left at the end."""
    lines = [f"{'one suggestion':<24}{'median':>10}{'95th percentile':>18}"]
    for cost in scale.costs:
        lines.append(f"{f'at {cost.trials:,} trials':<24}{cost.median_ms:>7.1f} ms{cost.p95_ms:>15.1f} ms")
    return "\n".join(
        [
            *lines,
            f"{scale.trials:,} trials, {scale.epochs:,} trial-epochs",
            f"driver memory +{scale.driver_mb:.0f} MB, journal {scale.journal_mb:.1f} MB",
            f"checkpoints on disk: of {scale.held} trials at most, of {scale.left} at the end",
            f"continued from the journal in {scale.continue_seconds:.2f} s",
        ]
    )


def nodes_table(found: NodesScale) -> str:
    """How busy the slots were, how long it took to fill them, and what the head held in memory."""
    head = [f"  {name:<22}{size:>8,.0f} MB" for name, size in found.head_mb.items()]
    torch = f"{found.with_torch or 'no'} {'trial' if found.with_torch < 2 else 'trials'} with torch"
    return "\n".join(
        [
            f"{found.nodes} nodes, {found.slots} slots: {found.complete:,} of {found.trials:,} trials complete in "
            f"{found.seconds:.0f} s",
            *_phase_lines(found),
            f"{'memory of the head (PSS)':<24}{sum(found.head_mb.values()):>8,.0f} MB",
            *head,
            f"{'memory of a trial':<24}{found.trial_mb:>8,.0f} MB; {found.processes} processes in all, {torch}",
        ]
    )


def _phase_lines(found: NodesScale) -> list[str]:
    phases = found.phases
    if phases is None:
        return ["never were all slots busy before the last trial began: give more --trials, or longer --seconds"]
    return [
        f"first trial after {phases.first_trial:.1f} s, all slots busy after {phases.ramp_up:.1f} s",
        f"steady state: {phases.steady:.1f} s, then {phases.drain:.1f} s until the last trial had ended",
        f"utilisation in steady state: slots held by a trial {phases.held:.1%}, trials at work {phases.at_work:.1%}",
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
