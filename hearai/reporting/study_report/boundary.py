"""Ranges that end where the best values begin: "lr: the best sit at the upper end, widen it".

A random search over 20 parameters always has some whose best values lie at an end by chance. A warning therefore
needs three things: most of the best trials in the last tenth of the range, more than chance puts there, and scores
that are better there than elsewhere (a sampler that settled near an end by accident has put good and bad trials there
alike).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from hearai.config.domains import Domain, Value
from hearai.errors import ConfigError
from hearai.reporting.study_report.importance import FEWEST
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
from hearai.reporting.study_report.tables import plain, short_names

BEST_SHARE, BEST_FEWEST = 0.1, 5
"""No more than the share of a range that is its end: random values put no more there, and of the best fifth half would
have to lie elsewhere however strong the trend is."""
END = 0.1
"""This share of the range (of its logarithm, for a log scale) counts as its end."""
FALSE_ALARMS = 0.05
"""A search in which no parameter matters warns this often at most, however many parameters it has."""


@dataclass(frozen=True)
class _End:
    """The upper or lower end of a range."""

    name: str
    """"upper" or "lower"."""
    value: float
    edge: float
    """Where it begins."""
    chance: float
    """Share of random values in it."""

    def holds(self, value: float) -> bool:
        slack = 1e-9 * max(1.0, abs(self.edge))
        return value >= self.edge - slack if self.name == "upper" else value <= self.edge + slack


def boundary_warnings(record: StudyRecord) -> list[str]:
    """One line for each range whose best values sit at an end that the config would let be widened."""
    domains = {path: d for path, d in record.study.space.domains.items() if d.kind != "choice"}
    names = short_names(record.study.space.domains)
    limit = FALSE_ALARMS / max(1, 2 * len(domains))
    lines = []
    for path, domain in domains.items():
        judged = [t for t in record.trials if t.state in ("COMPLETE", "PRUNED") and path in t.params and not t.cut]
        complete = sorted((t for t in judged if t.state == "COMPLETE"), key=_rank)
        if len(complete) < FEWEST:
            continue
        best = complete[: max(BEST_FEWEST, math.ceil(BEST_SHARE * len(complete)))]
        for end in _ends(domain):
            inside = [end.holds(t.params[path]) for t in best]
            if not _stands_out(inside, end.chance, limit) or not _is_better(judged, path, end, limit):
                continue
            wider = _wider(domain, end, lambda value, path=path, best=best: _accepted(record, path, value, best))
            if wider is not None:
                lines.append(_line(names[path], end, sum(inside), len(best), wider))
    return lines


def _line(name: str, end: _End, count: int, best: int, wider: Value) -> str:
    where = f"sit at the {end.name} end {plain(end.value)}"
    return f"{name}: {count} of the best {best} trials {where}: widen it, e.g. to {plain(wider)}"


def _rank(trial: TrialRecord) -> tuple[float, int]:
    """Complete trials by their score, then the stopped ones, which the scheduler judged to be worse."""
    return (-trial.value if trial.state == "COMPLETE" and trial.value is not None else math.inf, trial.number)


def _ends(domain: Domain) -> list[_End]:
    """Both ends; none where there are fewer than three values: each would be an end."""
    step = domain.step or (1 if domain.kind == "int" else 0)
    low, high = domain.low, domain.high
    if step:
        high = low + step * math.floor((high - low) / step + 1e-9)
        if round((high - low) / step) < 2:
            return []
    elif low == high:
        return []
    scale, back = (math.log, math.exp) if domain.log else (float, float)
    tenth = END * (scale(high) - scale(low))
    upper, lower = back(scale(high) - tenth), back(scale(low) + tenth)
    if step:  # the outermost value, and those within the last tenth
        upper = high - step * math.floor((high - upper) / step + 1e-9)
        lower = low + step * math.floor((lower - low) / step + 1e-9)
    half = step / 2
    whole = scale(high + half) - scale(low - half)
    return [
        _End("lower", low, lower, (scale(lower + half) - scale(low - half)) / whole),
        _End("upper", high, upper, (scale(high + half) - scale(upper - half)) / whole),
    ]


def _stands_out(inside: Sequence[bool], chance: float, limit: float) -> bool:
    """Most of the best lie there, and random values would do so in fewer than `limit` of the cases (binomial)."""
    count, hits = len(inside), sum(inside)
    tail = sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))
    return hits > count / 2 and tail < limit


def _is_better(judged: Sequence[TrialRecord], path: str, end: _End, limit: float) -> bool:
    """Whether the scores at the end are above the others, more than chance does in `limit` of the cases.

    Mann-Whitney's U test, one-sided, by its normal approximation.
    """
    ranks = _mean_ranks([_rank(trial)[0] for trial in judged])
    inside = [end.holds(trial.params[path]) for trial in judged]
    here, count = sum(inside), len(judged)
    there = count - here
    if not there:
        return False  # nothing to compare with
    spread = here * there / 12 * (count + 1 - sum(t**3 - t for t in _ties(ranks)) / (count * (count - 1)))
    surplus = here * (count + 1) / 2 - sum(rank for rank, is_in in zip(ranks, inside, strict=True) if is_in)
    return spread > 0 and surplus / math.sqrt(spread) > NormalDist().inv_cdf(1 - limit)


def _mean_ranks(values: Sequence[float]) -> list[float]:
    """1 for the smallest; equal values share their mean rank."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    for place, value in enumerate(ordered, start=1):
        first.setdefault(value, place)
    counts = {value: 0 for value in first}
    for value in ordered:
        counts[value] += 1
    return [first[value] + (counts[value] - 1) / 2 for value in values]


def _ties(ranks: Sequence[float]) -> list[int]:
    counts: dict[float, int] = {}
    for rank in ranks:
        counts[rank] = counts.get(rank, 0) + 1
    return list(counts.values())


def _wider(domain: Domain, end: _End, accepts: Callable[[Value], bool]) -> Value:
    """A value beyond the end that the config accepts: well beyond it, else just beyond; None at a natural limit."""
    sign = 1 if end.name == "upper" else -1
    if domain.log:
        beyond = [end.value * factor**sign for factor in (3.0, 1.1)]
    else:
        beyond = [end.value + sign * share * (domain.high - domain.low) for share in (0.25, 0.02)]
    step = domain.step or (1 if domain.kind == "int" else None)
    if step:
        beyond = [end.value + sign * step * max(1, round(abs(value - end.value) / step)) for value in beyond]
    digits = 2 if domain.log else 4
    rounded = [round(value) if domain.kind == "int" else float(f"{value:.{digits}g}") for value in beyond]
    return next((value for value in rounded if sign * (value - end.value) > 0 and accepts(value)), None)


def _accepted(record: StudyRecord, path: str, value: Value, best: Sequence[TrialRecord]) -> bool:
    """Whether the config takes the value in one of the best trials."""
    return any(_fits(record, {**trial.params, path: value}) for trial in best)


def _fits(record: StudyRecord, params: dict[str, Value]) -> bool:
    try:
        record.study.config_of(params)
    except ConfigError:
        return False
    return True
