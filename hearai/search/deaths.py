"""Why a trial failed, in words for a person, and whose fault it was."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayError
from ray.tune.experiment import Trial

from hearai.search.trial_folder import failure_of

AGAIN = 3
"""How often a trial is run again that its machine took down with it."""

ASK_SECONDS = 60.0
"""How long Ray may need to find out whether a machine is gone: it misses five heartbeats, 15 s."""


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
    if _UNREACHABLE in text:
        text = f"{text}\n{_last_word(trial.temporary_state.ray_actor)}"
    return explain(text, trial.config)


LEFT = "leaving.Leaving: "
_NO_ROOM = re.compile(r"DiskFull: |StoreLost: |(?=\[Errno (?:5|28|30|116)\])")
_UNREACHABLE = "The actor is temporarily unavailable"
_GONE = "its node has died"


def explain(text: str, payload: dict[str, Any]) -> Death:
    """text: Ray's error. payload: what the trial got, see `hearai.search.trial`."""
    if LEFT in text:
        return Death("its machine is being taken away", "notice")
    if _GONE in text:
        return Death("its machine died, or was taken away", "machine")
    if full := [line for line in text.splitlines() if _NO_ROOM.search(line)]:
        return Death(_NO_ROOM.split(full[-1])[-1] or full[-1], "disk")
    log = Path(payload["folder"])
    if "killed by `ray.kill`" in text:  # by HangWatch, nobody else
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


def _last_word(actor: Any) -> str:
    """What Ray says of an actor that cannot be reached, as soon as it knows."""
    until = time.monotonic() + ASK_SECONDS
    while actor is not None and time.monotonic() < until:
        try:
            ray.get(actor.__ray_ready__.remote(), timeout=max(0.0, until - time.monotonic()))
            break  # it is there again, but what it had to say is lost
        except ActorUnavailableError:
            time.sleep(0.5)
        except ActorDiedError as error:
            return str(error)
        except (GetTimeoutError, RayError):
            break
    return f"{_GONE}, or cannot be reached"
