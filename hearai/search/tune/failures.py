"""Why a trial failed, in words for a person, and whose fault it was."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
from ray._private.state import state
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayError
from ray.tune.experiment import Trial

from hearai.search.trial.log import failure_of

AGAIN = 3
"""How often a trial is run again that its machine took down with it."""


@dataclass(frozen=True)
class Failure:
    """Why, and whose fault: what a trial did itself is a result, what happened to its machine or a disk is none.

    After a notice the trial is saved as of its last step; where its machine dies without one, as of its last epoch.
    """

    reason: str
    cause: Literal["trial", "machine", "notice", "disk"] = "trial"


def classify_failure(trial: Trial) -> Failure:
    """Why Tune's trial failed, as Ray and its log tell it. May wait until Ray knows whether a machine is gone."""
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").rpartition("Failure # ")[2]
    if UNREACHABLE in text:
        text = f"{text}\n{last_word(text, trial.temporary_state.ray_actor)}"
    return explain(text, trial.config)


LEFT = "errors.Preempted: "
_NO_ROOM = re.compile(r"DiskFull: |StoreLost: |(?=\[Errno (?:5|28|30|116)\])")


def explain(text: str, payload: dict[str, Any]) -> Failure:
    """text: Ray's error. payload: what the trial got, see `hearai.search.trial.one_worker`."""
    if LEFT in text:
        return Failure("its machine is being taken away", "notice")
    if GONE in text:
        return Failure("its machine died, or was taken away", "machine")
    if full := [line for line in text.splitlines() if _NO_ROOM.search(line)]:
        return Failure(_NO_ROOM.split(full[-1])[-1] or full[-1], "disk")
    log = Path(payload["folder"])
    if KILLED in text:  # by HangWatch, nobody else
        return Failure(failure_of(log, payload["log_from"], f"no report for {payload['hang_seconds']:g} s: hung"))
    return Failure(failure_of(log, payload["log_from"], _killed(text)))


def _killed(text: str) -> str:
    """Of a process that could not say why."""
    if "running low on memory" in text:
        return "killed by Ray: its machine ran out of memory"
    if "receives a SIGTERM" in text:
        return "terminated by SIGTERM"
    if "End of file" in text:
        return "killed by SIGKILL (out of memory?), or left by os._exit"
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "the process died")


UNREACHABLE = "The actor is temporarily unavailable"


GONE = "its node has died"


KILLED = "killed by `ray.kill`"


ASK_SECONDS = 60.0


_WORKER = re.compile(r"Actor\(RayTrainWorker, ([0-9a-f]+)\)")


def last_word(text: str, trial_actor: Any) -> str:
    """text: Ray's error, which only says that something could not be reached.

    trial_actor: the trial's own, which is meant if the text names no worker of a group.
    """
    workers = _WORKER.findall(text)
    return _of_worker(workers[0]) if workers else _of_actor(trial_actor)


def _of_worker(actor_id: str) -> str:
    """Of a worker of a group, which ends it after five seconds: were only its process dead, Ray would know by then."""
    until = time.monotonic() + ASK_SECONDS
    while time.monotonic() < until:
        known = state.actor_table(actor_id)
        if known and known["State"] == "DEAD":
            said = known["DeathCause"].actor_died_error_context.error_message
            return GONE if KILLED in said else said
        time.sleep(0.5)
    return f"{GONE}, or cannot be reached"


def _of_actor(actor: Any) -> str:
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
    return f"{GONE}, or cannot be reached"
