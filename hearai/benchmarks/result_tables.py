"""Text tables of benchmark results for the terminal, at most 80 columns wide."""

from collections.abc import Sequence

from hearai.benchmarks.engine_comparison import REFERENCE, Trace, summarise
from hearai.benchmarks.scale.cluster_scale import ClusterScaleResult
from hearai.benchmarks.scale.search_scale import SearchScaleResult


def engine_table(traces: Sequence[Trace], epoch_budget: int, *, task: str) -> str:
    """One line per engine: medians at shares of the budget, and the cost of reaching the reference's final median."""
    rows = summarise(traces, epoch_budget)
    seeds = len({trace.seed for trace in traces})
    marks = list(rows[0].at)
    lines = [
        f"{task}: {seeds} searches per engine, {epoch_budget} trial-epochs each; medians",
        f"{'':<22}" + "".join(f"{mark:>7}" for mark in marks) + f"{'quartiles':>15}{'epochs':>8}{'time':>7}",
    ]
    for row in rows:
        values = "".join(f"{value:>7.3f}" for value in row.at.values())
        quartiles = f"{row.quartiles[0]:.3f}-{row.quartiles[1]:.3f}"
        lines.append(f"{row.engine:<22}{values}{quartiles:>15}{_share(row.cost):>8}{_share(row.seconds):>7}")
    lines.append(f"epochs, time: to reach the final value of {REFERENCE}, as a share of its own")
    finals = ", ".join(f"{row.engine} {row.final:.4f}" for row in rows)
    return "\n".join([*lines, f"value of the last config: {finals}"])


def search_scale_table(result: SearchScaleResult) -> str:
    """Cost of a suggestion as the journal grows, and what the search leaves on disk."""
    lines = [f"{'one suggestion':<24}{'median':>10}{'95th percentile':>18}"]
    for cost in result.costs:
        lines.append(f"{f'at {cost.trials:,} trials':<24}{cost.median_ms:>7.1f} ms{cost.p95_ms:>15.1f} ms")
    return "\n".join(
        [
            *lines,
            f"{result.trials:,} trials, {result.epochs:,} trial-epochs",
            f"driver memory +{result.driver_mb:.0f} MB, journal {result.journal_mb:.1f} MB",
            f"trials with checkpoints: {result.most_with_checkpoints} at most, {result.with_checkpoints} at the end",
            f"continued from the journal in {result.continue_seconds:.2f} s",
        ]
    )


def cluster_scale_table(result: ClusterScaleResult) -> str:
    """Utilisation of the slots, time to fill them, and memory of the head node."""
    head = [f"  {name:<22}{size:>8,.0f} MB" for name, size in result.head_mb.items()]
    torch = f"{result.with_torch or 'no'} {'trial' if result.with_torch < 2 else 'trials'} with torch"
    return "\n".join(
        [
            f"{result.nodes} nodes, {result.slots} slots: {result.complete:,} of {result.trials:,} trials complete in "
            f"{result.seconds:.0f} s",
            *_phase_lines(result),
            f"{'memory of the head (PSS)':<24}{sum(result.head_mb.values()):>8,.0f} MB",
            *head,
            f"{'memory of a trial':<24}{result.trial_mb:>8,.0f} MB; {result.processes} processes, {torch}",
        ]
    )


def _phase_lines(result: ClusterScaleResult) -> list[str]:
    phases = result.phases
    if phases is None:
        return ["the slots were never all busy before the last trial: raise --trials or --seconds"]
    return [
        f"first trial after {phases.first_trial:.1f} s, all slots busy after {phases.ramp_up:.1f} s",
        f"steady state: {phases.steady:.1f} s, then {phases.drain:.1f} s until the last trial had ended",
        f"utilisation in steady state: slots occupied {phases.occupied:.1%}, training {phases.training:.1%}",
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
