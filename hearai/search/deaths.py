"""Why a trial failed, in words for a person, and whose fault it was."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ray.tune.experiment import Trial

from hearai.search.last_word import GONE, KILLED, UNREACHABLE, last_word
from hearai.search.trial_folder import failure_of

AGAIN = 3
"""How often a trial is run again that its machine took down with it."""


@dataclass(frozen=True)
class Death:
    """Why, and whose fault: what a trial did itself is a result, what happened to its machine or a disk is none.

    After a notice the trial is saved as of its last step; where its machine dies without one, as of its last epoch.
    """

    reason: str
    fault: Literal["trial", "machine", "notice", "disk"] = "trial"


def death_of(trial: Trial) -> Death:
    """Why Tune's trial failed, as Ray and its log tell it. May wait until Ray knows whether a machine is gone."""
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").rpartition("Failure # ")[2]
    if UNREACHABLE in text:
        text = f"{text}\n{last_word(text, trial.temporary_state.ray_actor)}"
    return explain(text, trial.config)


LEFT = "leaving.Leaving: "
_NO_ROOM = re.compile(r"DiskFull: |StoreLost: |(?=\[Errno (?:5|28|30|116)\])")


def explain(text: str, payload: dict[str, Any]) -> Death:
    """text: Ray's error. payload: what the trial got, see `hearai.search.trial`."""
    if LEFT in text:
        return Death("its machine is being taken away", "notice")
    if GONE in text:
        return Death("its machine died, or was taken away", "machine")
    if full := [line for line in text.splitlines() if _NO_ROOM.search(line)]:
        return Death(_NO_ROOM.split(full[-1])[-1] or full[-1], "disk")
    log = Path(payload["folder"])
    if KILLED in text:  # by HangWatch, nobody else
        return Death(failure_of(log, payload["log_from"], f"no report for {payload['hang_seconds']:g} s: hung"))
    return Death(failure_of(log, payload["log_from"], _killed(text)))


def _killed(text: str) -> str:
    """Of a process that could not say why."""
    if "running low on memory" in text:
        return "killed by Ray: its machine ran out of memory"
    if "receives a SIGTERM" in text:
        return "terminated by SIGTERM"
    if "End of file" in text:
        return "killed by SIGKILL (out of memory?), or left by os._exit"
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "the process died")
