"""The freeze schedule: which parts of the model are frozen, as a pure function of progress.

Frozen means: no gradient, and eval mode, so that batch statistics stay as they are too.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from torch import nn

from hearai.config.model_schema import FreezeScheduler
from hearai.errors import ConfigError, choices

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FreezeSchedule:
    """For each part a pattern of frozen (True) and training (False) phases, all of equal length."""

    patterns: Mapping[str, tuple[bool, ...]]
    repeats: int | tuple[int, ...]
    """(5, 3) = 5 units of the first phase, 3 of the second; 4 = the pattern four times, one unit per phase."""
    mode: str
    """The unit: "epoch" or "step"."""

    @classmethod
    def build(cls, config: FreezeScheduler) -> "FreezeSchedule":
        return cls(config.model_params, config.freeze_pattern_repeats, config.freeze_mode)

    def frozen_parts(self, done: int) -> frozenset[str]:
        """Parts frozen after `done` finished units (epochs or steps); none after the pattern's end."""
        phase = self._phase(done)
        return frozenset(part for part, pattern in self.patterns.items() if phase is not None and pattern[phase])

    def phases(self) -> Iterator[frozenset[str]]:
        """The frozen parts of each phase that the schedule reaches."""
        length = max((len(pattern) for pattern in self.patterns.values()), default=0)
        counts = self.repeats if isinstance(self.repeats, tuple) else (self.repeats,) * length
        for phase in range(length):
            if counts[phase]:
                yield frozenset(part for part, pattern in self.patterns.items() if pattern[phase])

    def frozen_shares(self, epoch: int, steps_per_epoch: int) -> dict[str, float]:
        """{scheduled part: share of the steps of `epoch` (0-based) in which it is frozen}, each in [0, 1]."""
        steps = range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch)
        frozen = [self.frozen_parts(done) for done in (steps if self.mode == "step" else [epoch])]
        return {part: sum(_covers(parts, part) for parts in frozen) / len(frozen) for part in self.patterns}

    def frozen_lead(self, part: str, total: int) -> int:
        """Number of leading units, out of `total`, in which `part` or a part that contains it is frozen."""
        return next((done for done in range(total) if not _covers(self.frozen_parts(done), part)), total)

    def _phase(self, done: int) -> int | None:
        if isinstance(self.repeats, tuple):
            boundaries = list(accumulate(self.repeats))
            return bisect_right(boundaries, done) if boundaries and done < boundaries[-1] else None
        length = max((len(pattern) for pattern in self.patterns.values()), default=0)
        return done % length if done < length * self.repeats else None


def check_parts(model: nn.Module, schedule: FreezeSchedule) -> None:
    """Refuses a schedule that does not fit the model, before anything is trained.

    Raises:
        ConfigError: a part that the model does not have, or a phase in which everything is frozen.
    """
    known = {name for name, _ in model.named_modules() if name}
    short = [name for name in known if name.count(".") < 2 and not name.rpartition(".")[2].isdigit()]
    problems = [
        f"freeze_scheduler.model_params: the model has no part {part!r}; {choices(part, short)}"
        for part in schedule.patterns
        if part not in known
    ]
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    problems += [
        f"freeze_scheduler: nothing is left to train while {sorted(frozen)} are frozen; leave a part out"
        for frozen in schedule.phases()
        if all(_covers(frozen, name) for name in trainable)
    ]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def apply_freeze(model: nn.Module, schedule: FreezeSchedule, frozen: frozenset[str]) -> None:
    """Sets the scheduled parts to frozen or training; call it after `model.train()`.

    Of two parts one inside the other, the frozen one wins: a part is frozen with all it contains.
    """
    for part in schedule.patterns:
        model.get_submodule(part).requires_grad_(True).train(model.training)
    for part in frozen:
        model.get_submodule(part).requires_grad_(False).eval()


def _covers(parts: Iterable[str], name: str) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)
