"""Warns of ranges that end where the best values begin, such as "lr: 5 of the best 6 trials are at the upper end".

A random search over 20 parameters always has some whose best values lie at an end by chance. A warning therefore
needs three things: most of the best trials in the last tenth of the range, more of them than chance puts there, and
better scores there than elsewhere (a sampler that settled near an end by accident has put good and bad trials there
alike).
"""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import yaml

from hearai.config.search_space.domains import Domain, Value
from hearai.errors import ConfigError
from hearai.reporting.study_report.findings.importance import MIN_COMPLETE
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
from hearai.reporting.text import plain, short_names

TOP_SHARE, MIN_TOP = 0.1, 5
"""The best trials: this share of the complete ones, and at least so many. The share is no larger than END, the share
of the range that is its end: of the best fifth, half would have to lie elsewhere however strong the trend is."""
END = 0.1
"""This share of the range (of its logarithm, for a log scale) counts as its end."""
FALSE_ALARMS = 0.05
"""Probability of any warning in a search in which no parameter matters, however many parameters it has."""


@dataclass(frozen=True)
class _End:
    """The upper or lower end of a range."""

    name: str
    """"upper" or "lower"."""
    value: float
    """The bound of the range."""
    edge: float
    """Where the end begins."""
    chance: float
    """Share of random values in it."""

    def holds(self, value: Value) -> bool:
        assert isinstance(value, int | float)
        slack = 1e-9 * max(1.0, abs(self.edge))
        return value >= self.edge - slack if self.name == "upper" else value <= self.edge + slack


@dataclass(frozen=True)
class Boundary:
    """A range whose best values are at an end beyond which the config accepts values."""

    path: str
    is_upper: bool
    edge: float
    """Where the end begins, in which the best values lie."""
    finding: str
    """How many of the best trials lie there."""
    advice: str
    """What to do: an example, and the option that widens the range."""
    option: str
    """That option, as one word of the shell."""


def boundary_warnings(record: StudyRecord) -> list[str]:
    """One line for each range that should be widened."""
    names = short_names(record.study.space.domains)
    return [f"{names[end.path]}: {end.finding}; {end.advice}" for end in ends_to_widen(record)]


def ends_to_widen(record: StudyRecord) -> list[Boundary]:
    """The ranges whose best values are at an end, in the order of the space."""
    domains = {path: domain for path, domain in record.study.space.domains.items() if domain.kind != "choice"}
    limit = FALSE_ALARMS / max(1, 2 * len(domains))
    return [end for path, domain in domains.items() for end in _ends_to_widen(record, path, domain, limit)]


def _ends_to_widen(record: StudyRecord, path: str, domain: Domain, limit: float) -> list[Boundary]:
    judged = [t for t in record.inside if t.state in ("COMPLETE", "PRUNED") and path in t.params and not t.over_budget]
    complete = sorted((trial for trial in judged if trial.state == "COMPLETE"), key=_rank)
    if len(complete) < MIN_COMPLETE:
        return []
    top = complete[: max(MIN_TOP, math.ceil(TOP_SHARE * len(complete)))]
    found = []
    for end in _ends(domain):
        hits = sum(end.holds(trial.params[path]) for trial in top)
        if not _exceeds_chance(hits, len(top), end.chance, limit) or not _scores_better(judged, path, end, limit):
            continue
        wider = next((value for value in _beyond(domain, end) if _is_valid(record, path, value, top)), None)
        if wider is not None:
            where = f"are at the {end.name} end of the range, {plain(end.value)}"
            option = _option(path, domain, end, wider)
            advice = f"widen it, e.g. to {plain(wider)}: the same command with more --trials and {option}"
            finding = f"{hits} of the best {len(top)} trials {where}"
            found.append(Boundary(path, end.name == "upper", end.edge, finding, advice, option))
    return found


def _rank(trial: TrialRecord) -> tuple[float, int]:
    """Complete trials by their score, followed by the stopped ones, which the scheduler judged to be worse."""
    return (-trial.value if trial.state == "COMPLETE" and trial.value is not None else math.inf, trial.number)


def _ends(domain: Domain) -> list[_End]:
    """Both ends; none where there are fewer than three values, of which each would be an end."""
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
    if step:  # whole steps: the bound itself, and the values in its tenth
        upper = high - step * math.floor((high - upper) / step + 1e-9)
        lower = low + step * math.floor((lower - low) / step + 1e-9)
    half = step / 2
    total = scale(high + half) - scale(low - half)
    return [
        _End("lower", low, lower, (scale(lower + half) - scale(low - half)) / total),
        _End("upper", high, upper, (scale(high + half) - scale(upper - half)) / total),
    ]


def _exceeds_chance(hits: int, count: int, chance: float, limit: float) -> bool:
    """Whether most of `count` values are hits, and random values would be as often with probability < `limit`.

    Binomial test, one-sided.
    """
    tail = sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))
    return hits > count / 2 and tail < limit


def _scores_better(judged: Sequence[TrialRecord], path: str, end: _End, limit: float) -> bool:
    """Whether trials with values at the end score better than the others, at significance level `limit`.

    Mann-Whitney U test, one-sided, in its normal approximation.
    """
    ranks = _mean_ranks([_rank(trial)[0] for trial in judged])
    inside = [end.holds(trial.params[path]) for trial in judged]
    here, count = sum(inside), len(judged)
    there = count - here
    if not there:
        return False
    variance = here * there / 12 * (count + 1 - sum(t**3 - t for t in _ties(ranks)) / (count * (count - 1)))
    surplus = here * (count + 1) / 2 - sum(rank for rank, is_in in zip(ranks, inside, strict=True) if is_in)
    return variance > 0 and surplus / math.sqrt(variance) > NormalDist().inv_cdf(1 - limit)


def _mean_ranks(values: Sequence[float]) -> list[float]:
    """1 for the smallest; equal values share their mean rank."""
    first: dict[float, int] = {}
    for rank, value in enumerate(sorted(values), start=1):
        first.setdefault(value, rank)
    counts = Counter(values)
    return [first[value] + (counts[value] - 1) / 2 for value in values]


def _ties(ranks: Sequence[float]) -> list[int]:
    """How often each rank occurs."""
    return list(Counter(ranks).values())


def _beyond(domain: Domain, end: _End) -> list[float]:
    """Candidates for a wider range: a value well beyond the end, and one just beyond it."""
    sign = 1 if end.name == "upper" else -1
    if domain.log:
        values = [end.value * factor**sign for factor in (3.0, 1.1)]
    else:
        values = [end.value + sign * share * (domain.high - domain.low) for share in (0.25, 0.02)]
    step = domain.step or (1 if domain.kind == "int" else None)
    if step:
        values = [end.value + sign * step * max(1, round(abs(value - end.value) / step)) for value in values]
    digits = 2 if domain.log else 10 if step else 4  # a wider range has the steps of the old one
    rounded = [round(value) if domain.kind == "int" else float(f"{value:.{digits}g}") for value in values]
    return [value for value in rounded if sign * (value - end.value) > 0]


def _option(path: str, domain: Domain, end: _End, value: float) -> str:
    """The option of `tune.py` that widens a range; in one word of the shell, wherever a terminal breaks the line."""
    low, high = (value, domain.high) if end.name == "lower" else (domain.low, value)
    number = int if domain.kind == "int" else float
    spec: dict[str, Any] = {domain.kind: [number(low), number(high)]}
    spec |= {"log": True} if domain.log else {}
    spec |= {"step": number(domain.step)} if domain.step else {}
    spec |= {"when": {other: list(values) for other, values in domain.when.items()}} if domain.when else {}
    text = yaml.safe_dump(spec, default_flow_style=True, sort_keys=False, width=math.inf).strip()
    return f"--space-set={shlex.quote(f'{path}={text}')}"


def _is_valid(record: StudyRecord, path: str, value: float, trials: Sequence[TrialRecord]) -> bool:
    """Whether the config accepts the value in one of the trials."""
    return any(_is_valid_point(record, {**trial.params, path: value}) for trial in trials)


def _is_valid_point(record: StudyRecord, params: dict[str, Value]) -> bool:
    try:
        record.study.config_of(params)
    except ConfigError:
        return False
    return True
