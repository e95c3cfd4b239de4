"""Which values of the parameters the best trials share: shown only where chance is an unlikely explanation."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

FEWEST_TRIALS = 8
"""With fewer trials with a score nothing is said."""
TOP_SHARE = 0.25
"""The best trials: this share of those with a score."""
CHANCE = 0.1
"""How often chance may name any parameter: shared by all of them, so that many parameters do not name more."""


def promising_values(trials: Sequence[tuple[float, Mapping[str, Any]]], most: int = 3) -> tuple[str, ...]:
    """Such as `lr 0.0012 .. 0.0031` and `name = lstm (4 of the best 5)`: the clearest first.

    trials: (objective, {parameter: value}) of the trials with a score. Values are compared with those that were
    tried, not with the space, so that a sampler that prefers a region does not make it look better.
    """
    if len(trials) < FEWEST_TRIALS:
        return ()
    ranked = sorted(trials, key=lambda trial: -trial[0])
    count = max(3, round(TOP_SHARE * len(trials)))
    best = [params for _, params in ranked[:count]]
    names = dict.fromkeys(name for params in best for name in params)
    found = []
    for name in names:
        top = [params[name] for params in best if name in params]
        tried = [params[name] for _, params in ranked if name in params]
        if len(top) == count and (pattern := _pattern(name, top, tried))[0] < CHANCE / len(names):
            found.append(pattern)
    return tuple(text for _, text in sorted(found)[:most])


def _pattern(name: str, top: Sequence[Any], tried: Sequence[Any]) -> tuple[float, str]:
    """(how likely it is by chance, the text)."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in tried)
    if numbers and len(set(tried)) > len(top):
        return _common_range(name, top, tried)
    return _common_choice(name, top, tried)


def _common_range(name: str, top: Sequence[float], tried: Sequence[float]) -> tuple[float, str]:
    low, high, count = min(top), max(top), len(top)
    share = sum(low <= value <= high for value in tried) / len(tried)
    chance = count * share ** (count - 1) - (count - 1) * share**count  # that all of the best are so close
    return chance, f"{name} {_text(low)} .. {_text(high)}"


def _common_choice(name: str, top: Sequence[Any], tried: Sequence[Any]) -> tuple[float, str]:
    (value, hits), *_ = Counter(map(repr, top)).most_common(1)
    known, total, count = sum(repr(one) == value for one in tried), len(tried), len(top)
    ways = sum(math.comb(known, k) * math.comb(total - known, count - k) for k in range(hits, min(known, count) + 1))
    chance = ways / math.comb(total, count)
    shown = next(one for one in top if repr(one) == value)
    return chance, f"{name} = {_text(shown)} ({hits} of the best {count})"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
