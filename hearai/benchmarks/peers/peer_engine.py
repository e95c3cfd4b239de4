"""A search engine in another Python, which answers one line of JSON with one line of JSON.

    {"op": "start", "domains": [...], "base": {...}, "epochs": 52, "workers": 8, "seed": 0, "budget": 25}  ->  {}
    {"op": "ask"}                                        ->  {"key": "3", "params": {...}, "epochs": 6}, or {} for none
    {"op": "tell", "key": "3", "epochs": 6, "value": 0.71}  ->  {}

`epochs` is how far the run is to train before the engine hears of it. Asked again with the same key, it trains on.
"""

import json
import math
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hearai.benchmarks.engines import WorstSoFar
from hearai.benchmarks.simulation import Run
from hearai.config.search_space.domains import Domain
from hearai.config.study import Study
from hearai.errors import UserError

RUNNERS = {"SMAC3": Path(__file__).with_name("smac_runner.py")}
MODULES = {"SMAC3": "smac"}
"""The module that each peer's Python must have."""


def missing_peer(name: str, python: Path | None) -> str | None:
    """Why a peer cannot run, or None."""
    if python is None:
        return "no --peer-python: give a Python that has it, see docs/benchmarks.md"
    try:
        done = subprocess.run([python, "-c", f"import {MODULES[name]}"], capture_output=True, check=False)
    except OSError as error:
        return f"--peer-python {python}: cannot be run ({error.strerror}); give the path of a Python"
    return f"--peer-python {python}: has no module {MODULES[name]}; install it there" if done.returncode else None


class PeerEngine:
    """One search of a peer; its process ends with the stack."""

    def __init__(self, name: str, python: Path, study: Study, workers: int, budget: int, stack: ExitStack):
        """budget: of the whole search, in complete trainings."""
        self._name, self._worst = name, WorstSoFar()
        self._process = stack.enter_context(
            subprocess.Popen(
                [python, RUNNERS[name]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(self._process.kill)
        self._goals: dict[str, int] = {}
        self._curves: dict[str, dict[int, float]] = {}
        """{key: {epoch: best value so far}}"""
        self._call(
            op="start",
            domains=[_described(path, domain) for path, domain in study.space.domains.items()],
            base=study.base_params(),
            epochs=study.max_epochs,
            workers=workers,
            seed=study.settings.seed,
            budget=budget,
        )

    def ask(self) -> Run | None:
        while answer := self._call(op="ask"):
            key, epochs = answer["key"], int(answer["epochs"])
            curve = self._curves.setdefault(key, {})
            if epochs not in curve:
                self._goals[key] = epochs
                return Run(key, answer["params"])
            self._call(op="tell", key=key, epochs=epochs, value=curve[epochs])  # it has been trained that far
        return None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        curve, goal = self._curves[key], self._goals[key]
        diverged, value = math.isnan(value), self._worst.of(value)
        curve[epoch] = value
        if diverged:
            curve |= {later: value for later in range(epoch, goal + 1)}
        if epoch < goal and not last:
            return True
        self._call(op="tell", key=key, epochs=goal, value=value)
        return False

    def _call(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise UserError(
                f"{self._name}: {RUNNERS[self._name].name} has ended; run it with --peer-python on a line of its "
                "protocol to see why"
            )
        return json.loads(line)


def _described(path: str, domain: Domain) -> Mapping[str, Any]:
    bounds = {"low": domain.low, "high": domain.high, "log": domain.log, "step": domain.step}
    return {"name": path, "kind": domain.kind, "values": list(domain.values), **bounds}
