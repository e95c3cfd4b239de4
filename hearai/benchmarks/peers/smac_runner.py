"""SMAC3's multi-fidelity facade (Hyperband with a random forest, as in BOHB) behind lines of JSON: see `peer_engine`.

Runs on its own in a Python that has `smac`; it imports nothing of this project.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIRST_SHARE, ETA = 0.1, 3
"""The lowest budget of a configuration, as a share of a complete training; SMAC's own reduction factor."""


class Runner:
    """One search. Keys are SMAC's numbers of configurations, so that a promoted one trains on."""

    def __init__(self, folder: Path, request: Mapping[str, Any]):
        from ConfigSpace import ConfigurationSpace
        from smac import MultiFidelityFacade, Scenario

        self._space = ConfigurationSpace(seed=request["seed"])
        self._space.add([_parameter(entry, request["base"]) for entry in request["domains"]])
        epochs = request["epochs"]
        scenario = Scenario(
            self._space,
            deterministic=True,
            n_trials=1_000_000,
            min_budget=max(1, round(FIRST_SHARE * epochs)),
            max_budget=epochs,
            seed=request["seed"],
            output_directory=folder,
        )
        first = self._space.get_default_configuration()
        design = MultiFidelityFacade.get_initial_design(scenario, n_configs=5, additional_configs=[first])
        self._smac = MultiFidelityFacade(
            scenario,
            lambda config, seed=0, budget=0: 0.0,  # never called: values are reported with `tell`
            initial_design=design,
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=ETA),
            logging_level=False,
            overwrite=True,
        )
        self._asked: dict[tuple[str, int], Any] = {}
        self._keys: dict[Any, str] = {}

    def ask(self) -> dict[str, Any]:
        info = self._smac.ask()
        key = self._keys.setdefault(info.config, str(len(self._keys)))
        epochs = round(info.budget)
        self._asked[key, epochs] = info
        return {"key": key, "params": {name: _plain(value) for name, value in info.config.items()}, "epochs": epochs}

    def tell(self, key: str, epochs: int, value: float) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self._smac.tell(self._asked.pop((key, epochs)), TrialValue(cost=-value))


def _parameter(entry: Mapping[str, Any], base: Mapping[str, Any]) -> Any:
    from ConfigSpace import Categorical, Float, Integer

    name, bounds = entry["name"], (entry["low"], entry["high"])
    if entry["kind"] == "choice":
        return Categorical(name, entry["values"], default=base.get(name))
    if entry["kind"] == "int":
        return Integer(name, (int(bounds[0]), int(bounds[1])), log=entry["log"], default=base.get(name))
    return Float(name, bounds, log=entry["log"], default=base.get(name))


def _plain(value: Any) -> Any:
    """A numpy scalar as a plain one."""
    return value.item() if hasattr(value, "item") else value


def main() -> None:
    """Answers every line of standard input."""
    logging.disable(logging.CRITICAL)
    runner: Runner | None = None
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        for line in sys.stdin:
            request = json.loads(line)
            answer: dict[str, Any] = {}
            if request["op"] == "start":
                runner = Runner(Path(folder), request)
            elif runner and request["op"] == "ask":
                answer = runner.ask()
            elif runner:
                runner.tell(request["key"], request["epochs"], request["value"])
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
