"""Builds study folders as a search writes them, with a real journal and numbers that are easy to check."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import Trial, TrialState
from PIL import Image

from hearai.config.search_space.domains import Value
from hearai.config.study import Request, Study, load_study
from hearai.data.annotations.load import load_data
from hearai.data.annotations.split import write_split
from hearai.search.sampling.samplers import build_sampler
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore

SPACE = """
description: tiny & <small>
sampler: {name: random}
config:
  train_parameters: {classification_mode: gloss, epochs: 3, lr: 1.0e-3}
  feature_extractor: {representation_size: 16}
  transformer: {num_attention_heads: 2, dropout_rate: 0.1}
space:
  train_parameters.lr: {float: [1.0e-4, 1.0e-1], log: true}
  transformer.dropout_rate: {float: [0.0, 0.5]}
  augmentations_parameters.apply_blur: {choice: [true, false]}
  augmentations_parameters.blur_limit: {int: [1, 5], when: {augmentations_parameters.apply_blur: true}}
"""
LR = "train_parameters.lr"
SHARP = {LR: 0.01, "transformer.dropout_rate": 0.25, "augmentations_parameters.apply_blur": False}


class StudyBuilder:
    """Writes trials into a study folder as a search would."""

    def __init__(self, folder: Path, study: Study, search: TrialStore, finals: TrialStore):
        self.folder, self.study, self.search, self.finals = folder, study, search, finals

    def run(
        self,
        params: Mapping[str, Value],
        scores: list[float],
        state: str,
        *,
        seconds: float = 1.0,
        diverged: bool = False,
        reason: str = "",
        costs: Mapping[str, float] | None = None,
        over_all: float = 0.0,
    ) -> int:
        """A trial with one validation score per epoch, and its files; a FAIL or RUNNING trial has no attributes.

        over_all: if the objective is limited to some heads, the mean over all heads in every epoch.
        """
        notes = {"kind": "base"} if not self.search.trials() else {"wish": str(params)}
        self.search.enqueue(params, notes)
        number = self.search.propose(lambda trial: self.ask(trial, params)).number
        for epoch in range(1, len(scores) + 1):
            self.search.observe(number, epoch, max(scores[:epoch]))
        named = self.study.base.train_parameters.objective_heads
        _write_metrics(self.folder / "trials" / f"{number:04d}", scores, over_all if named else None)
        if state in ("COMPLETE", "PRUNED"):
            best_epoch = 1 + scores.index(max(scores))
            self.search.set_user_attrs(
                number, {"epochs": len(scores), "best_epoch": best_epoch, "seconds": seconds, "diverged": diverged}
            )
            self.search.set_user_attrs(number, {"costs": dict(costs or {})})
        if state == "FAIL":
            self.search.set_user_attrs(number, {"reason": reason})
        if state != "RUNNING":
            values = [max(scores, default=0), *((costs or {}).get(metric) for metric in self.search.metrics[1:])]
            self.search.finish(number, TrialState[state], values if state == "COMPLETE" else None)
        return number

    def ask(self, trial: Trial, paths: Mapping[str, Value]) -> dict[str, Value]:
        """Optuna's values for these paths: the enqueued ones, else sampled ones."""
        found: dict[str, Value] = {}
        for path in paths:
            domain = self.study.space.domains[path]
            if domain.kind == "choice":
                found[path] = trial.suggest_categorical(path, domain.values)
            else:
                draw = trial.suggest_int if domain.kind == "int" else trial.suggest_float
                found[path] = draw(path, domain.low, domain.high, log=domain.log)
        return found

    def retrain(self, source: int, seed: int, value: float) -> None:
        """A retraining of a finalist."""
        self.finals.enqueue({}, {"kind": "final", "source": source, "seed": seed})
        number = self.finals.propose(lambda _: {}).number
        self.finals.set_user_attrs(number, {"seconds": 1.0})
        self.finals.finish(number, TrialState.COMPLETE, value)


@contextmanager
def open_study(folder: Path, dataset: Path, **settings: Any) -> Iterator[StudyBuilder]:
    """Starts or continues a study in `folder`, within a with block; `settings` as in the study's YAML."""
    (dataset.parent / "space.yaml").write_text(SPACE)
    study = load_study(
        Request(str(dataset.parent / "space.yaml"), "tiny", data_paths=(str(dataset),), settings=settings)
    )
    data = load_data(study.base)
    with open_journal(folder) as storage:
        sampler = build_sampler(study.settings.sampler, 0)
        finals = TrialStore(storage, FINALS, sampler, unique=False)
        search = TrialStore(storage, SEARCH, sampler, unique=True, metrics=study.settings.metric)
        plain = {**study.to_dict(), "data": data.fingerprints.as_dict()}
        (folder / "study.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
        write_split(data.split, folder / "split.csv")
        yield StudyBuilder(folder, study, search, finals)


def write_finished_search(folder: Path, dataset: Path) -> None:
    """Five trials: base config, winner, one stopped early, one failed, one diverged; two finalists with two seeds."""
    with open_study(folder, dataset) as search:
        search.run(search.study.base_params(), [0.2, 0.4, 0.3], "COMPLETE", seconds=2.0)
        search.run(SHARP, [0.3, 0.6, 0.5], "COMPLETE", seconds=2.5)
        search.run({**SHARP, LR: 0.02}, [0.1], "PRUNED", seconds=0.5)
        search.run({**SHARP, LR: 0.03}, [0.2], "FAIL", reason='ValueError: <b>no, "such"</b>')
        search.run({**SHARP, LR: 0.1}, [0.15, 0.05], "PRUNED", seconds=1.0, diverged=True)
        for seed, base, best in ((1, 0.40, 0.55), (2, 0.44, 0.61)):
            search.retrain(0, seed, base)
            search.retrain(1, seed, best)
        search.search.add_wall_time(4.0, slots=2)
        search.finals.add_wall_time(3.0, slots=2)
        search.search.optuna_study.set_user_attr("total_seconds", 30.0)
        search.search.optuna_study.set_user_attr("memory_pss_gb", 1.234)
    write_test_scores(folder, winner=1, base=[0.40, 0.42], best=[0.50, 0.54])
    (folder / "best.yaml").write_text("train_parameters: {lr: 0.01}\n")


def write_test_scores(folder: Path, *, winner: int, base: list[float], best: list[float]) -> None:
    """test.json with one head; `base` and `best` are the macro-F1 of two seeds."""
    scores = {
        name: {
            "trial": trial,
            "seeds": [1, 2],
            "mean_macro_f1": sum(values) / 2,
            "std": abs(values[0] - values[1]) / 2**0.5,
            "per_seed": values,
            "heads": {"gloss": {"accuracy": 0.5, "macro_f1": sum(values) / 2}},
        }
        for name, trial, values in (("base", 0, base), ("winner", winner, best))
    }
    (folder / "test.json").write_text(json.dumps(scores))


def write_dataset(folder: Path) -> Path:
    """12 clips c0, c1, ... of one frame each; clip cN has gloss N % 3, signer N % 4, and class N % 2 of each head."""
    for i in range(12):
        (folder / f"c{i}").mkdir(parents=True)
        Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(folder / f"c{i}" / f"c{i}_0.jpg")
    (folder / "test_gloss.txt").write_text("".join(f"c{i} 0 0 {i % 3}\n" for i in range(12)))
    (folder / "test_hamnosys.txt").write_text("".join(f"c{i} 0 0 {' '.join([str(i % 2)] * 8)}\n" for i in range(12)))
    (folder / "signers.csv").write_text("name,signer\n" + "".join(f"c{i},s{i % 4}\n" for i in range(12)))
    return folder


def _write_metrics(folder: Path, scores: list[float], over_all: float | None) -> None:
    folder.mkdir(parents=True)
    rows = [
        {"epoch": i, "objective": max(scores[:i]), "val/macro_f1": value, "val/gloss/macro_f1": value + 0.01}
        for i, value in enumerate(scores, start=1)
    ]
    if over_all is not None:
        rows = [{**row, "val/objective": row["val/macro_f1"], "val/macro_f1": over_all} for row in rows]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
