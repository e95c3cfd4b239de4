"""Writes a study folder as a long search leaves it: thousands of trials over a shipped space, with curves of all kinds.

The scores follow a formula with noise, so that the page shows what a real one would: a parameter that decides, a range
that should be widened, trials that stopped early, paused, failed and diverged.
"""

import json
import math
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from hearai.config.search_space.domains import Value
from hearai.config.study import Request, Study, load_study
from hearai.data.annotations.load import load_data
from hearai.search.sampling.samplers import build_sampler
from hearai.search.sampling.space_sampler import distribution_of
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore

START = datetime(2026, 1, 5, 9, 0)
EPOCHS, SLOTS = 10, 8
HEADS = ("symmetry_operator", "hand_shape_base_form", "hand_location_x")


def write_long_study(
    folder: Path, dataset: Path, trials: int, *, space: str = "hamnosys", seed: int = 0, finished: bool = True
) -> Path:
    """Of `trials` trials about half stop early, and one in fifty fails, one diverges; the best three are retrained."""
    study = load_study(Request(space, folder.name, data_paths=(str(dataset),)))
    data, rng = load_data(study.base), random.Random(seed)
    with open_journal(folder) as storage:
        sampler = build_sampler(study.settings.sampler, 0)
        finals = TrialStore(storage, FINALS, sampler, unique=False)
        search = TrialStore(storage, SEARCH, sampler, unique=True, metrics=study.settings.metric)
        plain = {**study.to_dict(), "data": data.fingerprints.as_dict()}
        (folder / "study.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
        made = [_trial(study, folder, number, rng) for number in range(trials)]
        search.optuna_study.add_trials(made)
        search.add_wall_time(40.0 * trials / SLOTS, slots=SLOTS)
        search.optuna_study.set_user_attr("total_seconds", 42.0 * trials / SLOTS)
        search.optuna_study.set_user_attr("memory_pss_gb", 3.2)
        complete = sorted((t for t in made if t.state is TrialState.COMPLETE), key=lambda t: -t.values[0])
        if finished and complete:
            _retrain(finals, folder, complete, rng)
    return folder


def _trial(study: Study, folder: Path, number: int, rng: random.Random) -> FrozenTrial:
    params = dict(study.base_params()) if number == 0 else _point(study, rng)
    best = _score(study, params, rng)
    fate = rng.random()
    stopped, failed, diverged = fate < 0.5, 0.5 < fate < 0.52, 0.52 < fate < 0.54
    if number == 0:
        stopped = failed = diverged = False
    epochs = rng.choice((2, 4, 6)) if stopped or failed or diverged else EPOCHS
    best -= 0.08 if stopped else 0.0
    scores = [max(0.0, best * (1 - math.exp(-0.45 * e)) + rng.gauss(0, 0.008)) for e in range(1, epochs + 1)]
    _write_metrics(folder / "trials" / f"{number:04d}", scores)
    begun = START + timedelta(seconds=40 * (number // SLOTS) + rng.uniform(0, 3))
    notes: dict[str, Any] = {"kind": "base"} if number == 0 else {}
    notes |= {"epochs": epochs, "best_epoch": scores.index(max(scores)) + 1, "seconds": 3.5 * epochs}
    notes |= {"diverged": True, "reason": "loss is NaN in epoch 3"} if diverged else {}
    notes |= {"reason": "torch.OutOfMemoryError: CUDA out of memory"} if failed else {}
    notes |= {"costs": {"seconds_per_clip": rng.uniform(0.002, 0.02), "parameters": 4e6, "size_mb": 16.0}}
    state = TrialState.FAIL if failed else TrialState.PRUNED if stopped or diverged else TrialState.COMPLETE
    values = [max(scores), *(notes["costs"][name] for name in study.settings.metric[1:])]
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=None,
        values=values if state is TrialState.COMPLETE else None,
        datetime_start=begun,
        datetime_complete=begun + timedelta(seconds=3.6 * epochs),
        params=params,
        distributions={path: distribution_of(study.space.domains[path]) for path in params},
        user_attrs=notes,
        system_attrs={},
        intermediate_values={e: max(scores[:e]) for e in range(1, epochs + 1)},
    )


def _point(study: Study, rng: random.Random) -> dict[str, Value]:
    """Uniform over each domain; parameters whose condition does not hold are left out."""
    params: dict[str, Value] = {}
    for path, domain in study.space.domains.items():
        if not all(params.get(other) in values for other, values in domain.when.items()):
            continue
        if domain.kind == "choice":
            params[path] = rng.choice(domain.values)
            continue
        scale, back = (math.log, math.exp) if domain.log else (float, float)
        value = back(rng.uniform(scale(domain.low), scale(domain.high)))
        if domain.step or domain.kind == "int":
            step = domain.step or 1
            value = domain.low + step * round((value - domain.low) / step)
        params[path] = int(value) if domain.kind == "int" else round(value, 10)
    return params


def _score(study: Study, params: Mapping[str, Value], rng: random.Random) -> float:
    """Better towards the upper end of the learning rate, and with a medium dropout."""
    domain = study.space.domains["train_parameters.lr"]
    share = math.log(params["train_parameters.lr"] / domain.low) / math.log(domain.high / domain.low)
    dropout = float(params.get("transformer.dropout_rate", 0.25))
    return 0.35 + 0.3 * share - 0.5 * (dropout - 0.25) ** 2 + rng.gauss(0, 0.03)


def _write_metrics(folder: Path, scores: list[float]) -> None:
    folder.mkdir(parents=True)
    rows = [
        {
            "epoch": epoch,
            "objective": max(scores[:epoch]),
            "val/macro_f1": value,
            **{f"val/hamnosys/{head}/macro_f1": value for head in HEADS},
        }
        for epoch, value in enumerate(scores, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _retrain(finals: TrialStore, folder: Path, complete: list[FrozenTrial], rng: random.Random) -> None:
    """The base config and the best three, each with three seeds; test.json has the first of them as the winner."""
    winner = complete[0]
    for source in dict.fromkeys((0, *(trial.number for trial in complete[:3]))):
        centre = 0.52 if source == 0 else 0.66
        for seed in (1, 2, 3):
            finals.enqueue({}, {"kind": "final", "source": source, "seed": seed})
            number = finals.propose(lambda _: {}).number
            finals.set_user_attrs(number, {"seconds": 35.0})
            finals.finish(number, TrialState.COMPLETE, centre + rng.gauss(0, 0.01))
    scores = {}
    for name, trial, mean in (("base", 0, 0.5), ("winner", winner.number, 0.63)):
        heads = {head: {"accuracy": mean + 0.1, "macro_f1": mean + 0.02 * i} for i, head in enumerate(HEADS)}
        scores[name] = {
            "trial": trial,
            "seeds": [1, 2, 3],
            "mean_macro_f1": mean + 0.02,
            "std": 0.01,
            "per_seed": [mean + 0.01, mean + 0.02, mean + 0.03],
            "heads": heads,
        }
    (folder / "test.json").write_text(json.dumps(scores))
    (folder / "best.yaml").write_text("train_parameters: {lr: 0.01}\n")
