"""`run_study`: starts, continues and finishes a search. All it knows lies in the study's folder."""

import difflib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
import yaml
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from hearai.config import Config, to_yaml
from hearai.data.folders import Data
from hearai.data.landmarks import check_all_landmarks
from hearai.data.split import write_split
from hearai.errors import ConfigError
from hearai.files import write_whole
from hearai.overrides import override
from hearai.search.cluster import Cluster, PerTrial, connect, login_hint
from hearai.search.finals import base_stage, finals_stage, score_test, winner
from hearai.search.journal import FINALS, SEARCH, Ledger, build_sampler, open_journal, suggest
from hearai.search.live import Say
from hearai.search.memory import MemoryMeter
from hearai.search.scheduler import Asha, build_asha
from hearai.search.searcher import Stage
from hearai.search.stages import Place, run_stages
from hearai.search.trial_folder import TRIALS, label_of
from hearai.study import Pretrain, Study
from hearai.training.checkpoint import BEST
from hearai.training.features import ensure_features
from hearai.training.prepare import BACKBONE, provide_backbone, wants_pretraining, with_data, with_weights


@dataclass(frozen=True)
class Options:
    """How a study is run; what is searched is the study's business."""

    storage: Path = Path("runs")
    address: str | None = None
    workers: int = 1
    cpus: float = 1
    gpus: float | None = None
    """Per worker; None = one where the cluster has any and `gpu` is not -1."""
    max_concurrent: int | None = None


@dataclass(frozen=True)
class Outcome:
    """Where the results lie, and whether any trial succeeded."""

    folder: Path
    succeeded: bool


def run_study(study: Study, options: Options, say: Say) -> Outcome:
    """The whole search; the same call again continues, or shows what is finished.

    Raises:
        UserError: input that cannot be used; nothing was written for it.
        KeyboardInterrupt: interrupted; the journal holds everything.
    """
    folder, started = options.storage / study.name, time.monotonic()
    plan = _decided(study, folder)
    with MemoryMeter() as memory, open_journal(folder) as storage:
        _claim(plan, folder)
        search, finals = _ledgers(storage, plan.study)
        connecting = _Connecting(options.address)
        try:
            search.optuna.set_user_attr("pretraining_seconds", _provide(plan, folder))
            place = _place(plan.study, folder, options, connecting.join(), say)
            search.optuna.set_user_attr("threads", place.per_trial.threads)
            run_stages(_stages(plan.study, search, finals, place), place, _asha(plan.study, search))
            succeeded = bool(search.trials(TrialState.COMPLETE))
            if succeeded:
                score_test(plan.study, search, finals, folder)
                _keep_winner(plan.study, folder, search, winner(search, finals))
        finally:
            _record(search, memory, time.monotonic() - started)
            connecting.close()
    return Outcome(folder, succeeded)


@dataclass(frozen=True)
class _Plan:
    """A study with its data and starting weights decided; nothing is written yet."""

    study: Study
    data: Data
    start: Config
    """The base config before pre-training."""
    pretrain: Pretrain | None


def _decided(study: Study, folder: Path) -> _Plan:
    """Checks all input and decides data, weights and pre-training.

    Raises:
        UserError: every problem of the data, or weights that cannot be had.
    """
    start, data = with_data(study.base, study.settings.demo_clips)
    landmarks = study.space.domains.get("train_parameters.landmarks")
    if landmarks and landmarks.contains(True):  # not read by the base config, but by trials
        check_all_landmarks(data.clips)
    start = with_weights(start, pretraining_follows=study.settings.pretrain is not None)
    if problems := study.space.problems(start):  # published weights that one extractor has and another has not
        raise ConfigError(problems)
    pretrain = wants_pretraining(start, study.settings.pretrain)
    searched = [
        path for path in ("feature_extractor.name", "feature_extractor.model_path") if path in study.space.domains
    ]
    if pretrain and searched:
        raise ConfigError(
            f"space: {' and '.join(searched)}: searched, but one extractor is pre-trained for all trials; "
            "give feature_extractor.pretrained: true, or pretrain: false"
        )
    base = start
    if pretrain:
        checkpoint = str((folder / BACKBONE).absolute())
        base = override(start, {"feature_extractor.checkpoint": checkpoint, "feature_extractor.pretrained": False})
    return _Plan(replace(study, base=base), data, start, pretrain)


def _provide(plan: _Plan, folder: Path) -> float:
    """Pre-trains if the plan says so, computes what all trials look up; the seconds it took."""
    started = time.monotonic()
    if plan.pretrain:
        provide_backbone(plan.start, plan.data, plan.pretrain, folder / BACKBONE)
    ensure_features(plan.study.base)
    return round(time.monotonic() - started, 3)


class _Connecting:
    """Ray starts (8 s and more on two cores) in a thread, while this process pre-trains.

    The thread lives on: Ray's processes are bound to the thread that started them and die with it.
    """

    def __init__(self, address: str | None):
        self.address = address
        self._ours = not ray.is_initialized()
        self._outcome: Cluster | Exception | None = None
        self._answered, self._never = threading.Event(), threading.Event()
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self) -> None:
        try:
            self._outcome = connect(self.address)
        except Exception as error:  # noqa: BLE001  (raised again by join, in the caller's thread)
            self._outcome = error
        self._answered.set()
        self._never.wait()

    def join(self) -> Cluster:
        self._answered.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def close(self) -> None:
        """Ends what was started here. Left to the interpreter's exit, Ray waits a minute for its dead parts."""
        self._answered.wait()
        if self._ours:
            ray.shutdown()


def _claim(plan: _Plan, folder: Path) -> None:
    """Writes the study's files, or checks that what lies here is the same study.

    Raises:
        ConfigError: another space, base config or dataset; with the difference.
    """
    path, split = folder / "study.yaml", plan.data.split
    sizes = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
    ours = {**plan.study.to_dict(), "data": {"fingerprint": plan.data.fingerprint, **sizes}}
    if path.exists():
        if difference := _difference(yaml.safe_load(path.read_text(encoding="utf-8")), ours):
            raise ConfigError(
                [f"{folder}: holds another study; continue it unchanged, or give a new --name. The difference:"]
                + [f"  {line}" for line in difference]
            )
    write_split(split, folder / "split.csv")
    write_whole(path, yaml.safe_dump(ours, sort_keys=False))
    with (folder / "command.txt").open("a", encoding="utf-8") as file:
        file.write(_command())


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Changed lines, but for the budget: raising it extends a search."""
    before, after = (
        yaml.safe_dump({k: v for k, v in study.items() if k not in ("budget", "finalists")}, sort_keys=True)
        for study in (theirs, ours)
    )
    changed = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "now", n=0, lineterm="")
    return [line for line in changed if not line.startswith(("---", "+++", "@@"))]


def _command() -> str:
    """What was asked, of which code, where: one paragraph for `command.txt`."""
    where = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=where, check=False)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "ray", "optuna"))
    return (
        f"{time.strftime('%F %T')}  python {shlex.join(sys.argv)}\n"
        f"  commit {git.stdout.strip() or 'unknown'}\n"
        f"  {os.cpu_count()} cores, {platform.platform()}, python {platform.python_version()}, {libraries}\n"
    )


def _place(study: Study, folder: Path, options: Options, cluster: Cluster, say: Say) -> Place:
    gpus = options.gpus
    if gpus is None:
        gpus = 1 if cluster.gpus and study.base.general_parameters.gpu >= 0 else 0
    per_trial = PerTrial(options.workers, options.cpus, gpus)
    slots = cluster.slots(per_trial, options.max_concurrent)
    say(f"cluster: {cluster.cpus:g} CPUs, {cluster.gpus:g} GPUs; {slots} trials at a time")
    say(f"Ray dashboard: {cluster.dashboard or 'not running'} ({login_hint()})")
    return Place(study.name, folder, per_trial, slots, say)


def _ledgers(storage: JournalStorage, study: Study) -> tuple[Ledger, Ledger]:
    """The two studies of the journal. A continued search draws on, it does not repeat its first draws."""
    settings, seed = study.settings.sampler, study.settings.seed
    conditional = any(domain.when for domain in study.space.domains.values())
    finals = Ledger(storage, FINALS, RandomSampler(seed), unique=False)  # never asked: finals have no parameters
    search = Ledger(storage, SEARCH, build_sampler(settings, seed, conditional=conditional), unique=True)
    if known := len(search.trials()):
        search.optuna.sampler = build_sampler(settings, seed + known, conditional=conditional)
    return search, finals


def _stages(study: Study, search: Ledger, finals: Ledger, place: Place) -> Iterator[Stage]:
    """The search; the base config with new seeds, as slots fall free; then the finalists, if there are any."""
    if not search.trials():
        search.enqueue(study.base_params(), {"kind": "base"})
    seed, budget = study.settings.seed, study.settings.budget
    yield Stage(
        search,
        choose=lambda trial: suggest(trial, study),
        config_of=lambda proposal: study.config_of(proposal.params, seed),
        limit=budget.trials,
        slots=place.slots,
        seconds=None if budget.seconds is None else budget.seconds - search.wall_seconds,
        joins=not study.settings.finalists.count,
    )
    if not study.settings.finalists.count:
        return
    yield _announced(base_stage(study, search, finals, place.slots), "the base config again, with new seeds", place.say)
    if search.trials(TrialState.COMPLETE):
        yield _announced(finals_stage(study, search, finals, place.slots), "the finalists, with these seeds", place.say)


def _announced(stage: Stage, text: str, say: Say) -> Stage:
    if not stage.is_full:
        say(text)
    return stage


def _asha(study: Study, search: Ledger) -> Asha | None:
    """Early stopping that knows what earlier calls saw."""
    asha = build_asha(study.settings.early_stopping, study.max_epochs)
    if asha:
        asha.replay((trial.number, _sound_values(trial)) for trial in search.trials())
    return asha


def _sound_values(trial: FrozenTrial) -> dict[int, float]:
    """{epoch: value} without the epoch in which the trial diverged."""
    values = trial.intermediate_values
    return {e: v for e, v in values.items() if not (trial.user_attrs.get("diverged") and e == max(values))}


def _keep_winner(study: Study, folder: Path, search: Ledger, number: int) -> None:
    """`best.yaml` and `best/`: the winner as the search ran it; its backbone lies beside them."""
    config = study.config_of(search[number].params, study.settings.seed)
    if config.feature_extractor.checkpoint == str((folder / BACKBONE).absolute()):
        config = override(config, {"feature_extractor.checkpoint": BACKBONE})  # beside best.yaml
    write_whole(folder / "best.yaml", to_yaml(config))
    shutil.rmtree(folder / BEST, ignore_errors=True)
    shutil.copytree(folder / TRIALS / label_of(number, {}) / BEST, folder / BEST)


def _record(search: Ledger, memory: MemoryMeter, seconds: float) -> None:
    """Adds this call's wall time and peak memory to the journal."""
    known = search.optuna.user_attrs
    search.optuna.set_user_attr("total_seconds", round(known.get("total_seconds", 0.0) + seconds, 3))
    search.optuna.set_user_attr("memory_pss_gb", round(max(known.get("memory_pss_gb", 0), memory.peak / 1e9), 3))
