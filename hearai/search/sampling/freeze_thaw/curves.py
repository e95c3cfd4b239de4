"""What the engine sees of a trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hearai.config.search_space.domains import Value

State = Literal["running", "paused", "complete", "stopped"]


@dataclass(frozen=True)
class Curve:
    """A trial's parameters and what it has reported so far."""

    number: int
    params: Mapping[str, Value]
    values: Mapping[int, float]
    """{epoch, from 1: best objective so far, larger is better}"""
    state: State
    """stopped: it has ended before its last epoch, and will not train on."""
    diverged: bool = False
    is_prior: bool = False
    """Whether it is of another search: it is data, but not a trial of this one."""

    @property
    def last_epoch(self) -> int:
        """The last epoch with a report; 0 before the first."""
        return max(self.values, default=0)
