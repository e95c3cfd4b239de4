"""Classifies trial failures: a readable reason, and the cause: trial, node, preemption or disk."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
from ray._private.state import state
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayError
from ray.tune.experiment import Trial

from hearai.errors import DiskFull, Preempted, StoreLost
from hearai.files import UNWRITABLE
from hearai.search.trial.log import failure_of
from hearai.search.trial.spec import TrialSpec


@dataclass(frozen=True)
class Failure:
    """Why a trial failed. Only what the trial did itself is a result; after any other cause it can run again.

    A preempted trial is saved as of its last step; one whose node dies, as of its last epoch.
    """

    reason: str
    cause: Literal["trial", "node", "preemption", "disk"] = "trial"


def _raised(error: type[Exception]) -> str:
    """What precedes the message of such an error in a traceback."""
    return f"{error.__module__}.{error.__qualname__}: "


PREEMPTED = _raised(Preempted)
NO_ROOM = re.compile(rf"{_raised(DiskFull)}|{_raised(StoreLost)}|(?=\[Errno (?:{'|'.join(map(str, UNWRITABLE))})\])")
"""What precedes the message of an error that says that files cannot be written."""

# What Ray writes:
UNREACHABLE = "The actor is temporarily unavailable"
NODE_DIED = "its node has died"
KILLED_BY_DRIVER = "killed by `ray.kill`"
LOW_MEMORY = "running low on memory"
SIGTERM = "receives a SIGTERM"
PROCESS_GONE = "End of file"
WORKER_ACTOR = re.compile(r"Actor\(RayTrainWorker, ([0-9a-f]+)\)")

CAUSE_WAIT_S = 60.0
"""How long Ray may take to learn whether a node has died."""


def classify_failure(trial: Trial) -> Failure:
    """Why Tune's trial failed, from Ray's error and the trial's log. May wait until Ray knows whether a node died."""
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").rpartition("Failure # ")[2]
    if UNREACHABLE in text:
        text = f"{text}\n{cause_of_death(text, trial.temporary_state.ray_actor)}"
    return explain(text, TrialSpec.of(trial))


def explain(text: str, spec: TrialSpec) -> Failure:
    """text: Ray's error."""
    if PREEMPTED in text:
        return Failure("its node is being preempted", "preemption")
    if NODE_DIED in text:
        return Failure("its node died or became unreachable", "node")
    if no_room := [line for line in text.splitlines() if NO_ROOM.search(line)]:
        return Failure(NO_ROOM.split(no_room[-1])[-1] or no_room[-1], "disk")
    if KILLED_BY_DRIVER in text:  # by HangDetector, nothing else
        killed = f"no report for {spec.hang_seconds:g} s: hung"
    else:
        killed = _how_killed(text)
    return Failure(failure_of(Path(spec.folder), spec.log_start, killed))


def _how_killed(text: str) -> str:
    """What ended a process that could not log the reason itself."""
    if LOW_MEMORY in text:
        return "killed by Ray: its node ran out of memory"
    if SIGTERM in text:
        return "terminated by SIGTERM"
    if PROCESS_GONE in text:
        return "killed by SIGKILL (out of memory?), or ended by os._exit"
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "the process died")


def cause_of_death(text: str, trial_actor: Any) -> str:
    """What Ray learns later about an actor that could not be reached.

    Args:
        text: Ray's error, which only says that an actor could not be reached.
        trial_actor: the trial's own, which is meant if the text names no worker of a group.
    """
    workers = WORKER_ACTOR.findall(text)
    return _cause_of_worker(workers[0]) if workers else _cause_of_actor(trial_actor)


def _cause_of_worker(actor_id: str) -> str:
    """The group kills a worker that it cannot reach after 5 s; had only its process died, Ray would know by then."""
    until = time.monotonic() + CAUSE_WAIT_S
    while time.monotonic() < until:
        actor = state.actor_table(actor_id)
        if actor and actor["State"] == "DEAD":
            message = actor["DeathCause"].actor_died_error_context.error_message
            return NODE_DIED if KILLED_BY_DRIVER in message else message
        time.sleep(0.5)
    return f"{NODE_DIED}, or cannot be reached"


def _cause_of_actor(actor: Any) -> str:
    until = time.monotonic() + CAUSE_WAIT_S
    while actor is not None and time.monotonic() < until:
        try:
            ray.get(actor.__ray_ready__.remote(), timeout=max(0.0, until - time.monotonic()))
            break  # it can be reached again, but its result is lost
        except ActorUnavailableError:
            time.sleep(0.5)
        except ActorDiedError as error:
            return str(error)
        except (GetTimeoutError, RayError):
            break
    return f"{NODE_DIED}, or cannot be reached"
