"""How the space of a study may change while it continues: ranges and choices may be widened or narrowed.

Everything else makes another study: parameters added or removed, another kind, scale or condition, a coarser step, a
tied option that sets other values.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space, parse_space
from hearai.config.study import EARLIER_SPACES, Study
from hearai.config.study_schema import EarlierSpace


@dataclass(frozen=True)
class SpaceChange:
    """What differs between two spaces of a study."""

    lines: tuple[str, ...] = ()
    """`space widened: train_parameters.lr float 0.0005 .. 0.01, log (was 0.0005 .. 0.005)`, one per parameter."""
    refused: tuple[str, ...] = ()
    """Why they are not spaces of one study, one line per parameter."""


def compare_spaces(before: Space, now: Space) -> SpaceChange:
    """How the space of a study has changed. The order of parameters and choices does not matter."""
    lines, refused = [], []
    for name in dict.fromkeys([*before.domains, *now.domains]):
        old, new = before.domains.get(name), now.domains.get(name)
        if old is None or new is None:
            refused.append(f"space.{name}: the parameter was {'added' if old is None else 'removed'}")
        elif reason := _refusal(old, new):
            refused.append(f"space.{name}: {reason}")
        elif how := _direction(old, new):
            lines.append(f"space {how}: {name} {_describe(old, new)}")
    return SpaceChange(tuple(lines), tuple(refused))


def is_in_space(space: Space, params: Mapping[str, Value]) -> bool:
    """Whether every parameter of an earlier trial has a value that the space contains."""
    return all(name in space.domains and space.domains[name].contains(value) for name, value in params.items())


def history_of(study: Study) -> list[str]:
    """What changed in the space since the study began: `from trial 12 on: space widened: ...`."""
    spaces = [*(parse_space(entry.space, EARLIER_SPACES) for entry in study.earlier_spaces), study.space]
    return [
        f"from trial {entry.before_trial} on: {line}"
        for entry, (before, now) in zip(study.earlier_spaces, itertools.pairwise(spaces), strict=True)
        for line in compare_spaces(before, now).lines
    ]


def with_history(study: Study, known: Study, trials: int) -> Study:
    """A study that continues the known one, with the spaces from which earlier trials were proposed.

    trials: how many numbers of trials are taken; a space from which none was proposed is not kept.
    """
    earlier = known.earlier_spaces
    last = earlier[-1].before_trial if earlier else 0
    if trials > last and known.space.domains != study.space.domains:
        earlier = (*earlier, EarlierSpace(before_trial=trials, space=known.settings.space))
    return study.continuing(earlier)


def _refusal(old: Domain, new: Domain) -> str | None:
    """Why a domain cannot take the place of another one; None if it can."""
    if old.kind != new.kind or bool(old.options) != bool(new.options):
        return f"another kind ({_kind(old)}, now {_kind(new)})"
    if _conditions(old) != _conditions(new):
        return "another condition (`when`)"
    if old.kind == "choice":
        changed = [label for label in old.options if label in new.options and old.options[label] != new.options[label]]
        if changed:
            return f"the option {changed[0]} sets other values"
        return None if any(new.contains(value) for value in old.values) else "no value in common"
    if old.log != new.log:
        return "another scale (`log`)"
    if not _is_on_steps_of(old, new):
        return "another step: values of earlier trials are not among the new ones"
    return None if old.low <= new.high and new.low <= old.high else "no value in common"


def _kind(domain: Domain) -> str:
    return "tied choice" if domain.options else domain.kind


def _conditions(domain: Domain) -> dict[str, set[tuple[bool, Value]]]:
    """The conditions, with their values in no order; `true` is not 1."""
    return {path: {(isinstance(value, bool), value) for value in values} for path, values in domain.when.items()}


def _is_on_steps_of(old: Domain, new: Domain) -> bool:
    """Whether the values of a range are among those of the other one, apart from its bounds."""
    step = _step(new)
    if step is None:
        return True
    old_step = _step(old)
    return old_step is not None and _is_whole(old_step / step) and _is_whole((old.low - new.low) / step)


def _step(domain: Domain) -> float | None:
    return domain.step or (1 if domain.kind == "int" and not domain.log else None)


def _is_whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=1e-9)


def _direction(old: Domain, new: Domain) -> str | None:
    """Whether a domain is "widened", "narrowed" or, if both, "changed"; None if it has the same values."""
    if old.kind == "choice":
        wider = any(not old.contains(value) for value in new.values)
        narrower = any(not new.contains(value) for value in old.values)
    else:
        wider = new.low < old.low or new.high > old.high or _step(new) != _step(old)
        narrower = new.low > old.low or new.high < old.high
    return "changed" if wider and narrower else "widened" if wider else "narrowed" if narrower else None


def _describe(old: Domain, new: Domain) -> str:
    """`float 0.0005 .. 0.01, log (was 0.0005 .. 0.005)`, `choice a | b | c (was a | b)`."""
    if old.kind == "choice":
        return f"choice {new} (was {old})"
    return f"{new} (was {str(old).removeprefix(f'{old.kind} ').removesuffix(', log')})"
