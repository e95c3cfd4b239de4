"""What Ray says of a process that could not be reached, as soon as it knows: it died, or its machine did.

A broken connection is all that is heard at first. Ray misses five heartbeats of a machine, 15 s, before it gives it up.
"""

import re
import time
from typing import Any

import ray
from ray._private.state import state  # no public call tells why an actor died without the dashboard
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayError

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
