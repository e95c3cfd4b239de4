"""The search engine on a cluster of many nodes, simulated on one machine, with trials that sleep.

Everything but the training is real: Ray's nodes (each with its own raylet and processes), Tune, searcher, scheduler,
journal, live lines and sweeper. The head runs no trials, as on a cluster; the driver runs beside it.
"""

import functools
import itertools
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import ray
import ray.tune
from optuna.trial import TrialState
from ray.cluster_utils import Cluster as Nodes

from hearai.benchmarks.sleeper import RECORD, sleep_trial
from hearai.benchmarks.utilisation import Phases, phases_of
from hearai.cli import Print
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.search.budget import BudgetTracker
from hearai.search.cluster.connect import connect
from hearai.search.cluster.memory import pss_of
from hearai.search.cluster.resources import TrialResources
from hearai.search.early_stopping import build_stopper
from hearai.search.sampling.samplers import build_finals_store, build_search_store, suggest
from hearai.search.stage import Stage
from hearai.search.storage.layout import TRIALS
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import open_journal
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup
from hearai.search.tune.tuner import SearchContext, run_stages

EPOCHS, SAID = 5, 10
"""Of each trial; and how many of the trials' lines are shown."""
OBJECT_STORE = 80 * 2**20
"""Bytes of each node's object store, near the least that Ray takes: trials keep nothing there."""
HEAD = {
    "driver": "driver",
    "gcs_server": "GCS",
    "dashboard": "dashboard",
    "raylet": "raylet and agents",
    "monitor": "autoscaler",
    "log_monitor": "log monitor",
}
"""{process of the head node, as Ray calls it: in our words}, each with the processes that it has started."""


@dataclass(frozen=True)
class NodesScale:
    """What a search over many nodes came to."""

    nodes: int
    slots: int
    trials: int
    complete: int
    """Trials that ended well."""
    processes: int
    """That trials ran in, one after another."""
    with_torch: int
    """Trials whose process had imported torch."""
    phases: Phases | None
    """None: the slots were never all busy."""
    seconds: float
    """Of the whole search, once the cluster was there."""
    head_mb: Mapping[str, float]
    """{process: PSS at the end of the search}, in the words of `HEAD`."""
    trial_mb: float
    """PSS of a trial's process, median."""


def measure_nodes(
    study: Study, folder: Path, *, nodes: int, cpus: int, trials: int, seconds: float, print_line: Print
) -> NodesScale:
    """Runs a search of sleeping trials over `nodes` x `cpus` slots; `folder` gets its journal.

    seconds: of each trial.

    Raises:
        UserError: not all of the nodes started.
    """
    with simulated_nodes(nodes, cpus) as cluster:
        slots, ready, head = connect(cluster.address).slots(TrialResources()), time.time(), _HeadMemory(cluster)
        print_line(f"{nodes} nodes, {slots} slots; {trials:,} trials of {seconds:g} s")
        asleep = functools.partial(sleep_trial, epoch_seconds=seconds / EPOCHS)
        lines = sparsely(print_line, max(1, trials // SAID))
        place = SearchContext(
            study.name, StudySync(folder), TrialResources(), slots, lines, study.settings.hang_seconds, trial=asleep
        )
        complete = _search(sleeping(study, trials), place, head)
        took = time.time() - ready
    records = [json.loads(path.read_text()) for path in sorted((folder / TRIALS).glob(f"*/{RECORD}"))]
    return NodesScale(
        nodes,
        slots,
        trials,
        complete,
        processes=len({record["pid"] for record in records}),
        with_torch=sum(record["torch"] for record in records),
        phases=phases_of(
            [(record["start"], record["end"]) for record in records],
            [tuple(span) for record in records for span in record["spans"]],
            slots,
            ready,
        ),
        seconds=took,
        head_mb=head.megabytes,
        trial_mb=statistics.median(record["pss"] for record in records) / 1e6 if records else 0.0,
    )


def _search(study: Study, place: SearchContext, head: ray.tune.Callback) -> int:
    """The search as `hearai.search.run` has it, without data, finals and test; how many of its trials are complete."""
    settings = study.settings
    with open_journal(place.folder) as storage:
        search, finals = build_search_store(storage, study), build_finals_store(storage)
        search.enqueue(study.base_params(), {"kind": "base"})
        stage = Stage(
            search,
            choose=lambda trial: suggest(trial, study),
            config_of=lambda proposal: study.config_of(proposal.params, settings.seed),
            limit=settings.budget.trials,
            slots=place.slots,
            budget_tracker=BudgetTracker(settings.budget, search),
        )
        cleanup = CheckpointCleanup(place.sync, search, finals, keep=settings.finalists.count, slots=place.slots)
        run_stages(iter([stage]), place, build_stopper(settings.early_stopping, study.max_epochs), [cleanup, head])
        return len(search.trials(TrialState.COMPLETE))


def sleeping(study: Study, trials: int) -> Study:
    """The study with short trials. Its stopper is asked after each of their epochs, and lets them run to their end."""
    settings = study.settings
    return replace(
        study,
        base=override(study.base, {"train_parameters.epochs": EPOCHS}),
        settings=settings.model_copy(
            update={
                "budget": settings.budget.model_copy(update={"trials": trials}),
                "early_stopping": settings.early_stopping.model_copy(update={"grace_epochs": EPOCHS}),
            }
        ),
    )


def sparsely(print_line: Print, every: int) -> Print:
    """Says one of so many lines, and all that tell of a trial in trouble."""
    count = itertools.count(1)

    def said(line: str) -> None:
        if "complete" not in line or next(count) % every == 0:
            print_line(line)

    return said


@contextmanager
def simulated_nodes(nodes: int, cpus: int) -> Iterator[Nodes]:
    """A head without CPUs for trials, and so many nodes beside it, all on this machine.

    Raises:
        UserError: not all of them started.
    """
    assert not ray.is_initialized(), "connect() would stay with the cluster that this process is part of"
    store = {"object_store_memory": OBJECT_STORE}
    cluster = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": True, **store})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, wait=False, **store)
        _wait_for(cluster, nodes)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def _wait_for(cluster: Nodes, nodes: int) -> None:
    seconds = 60 + 10 * nodes
    try:
        cluster.wait_for_nodes(timeout=seconds)
    except TimeoutError as error:
        raise UserError(f"--nodes {nodes}: not all of them started within {seconds} s; give fewer") from error


class _HeadMemory(ray.tune.Callback):
    """Looks at the head's processes when the last trial has ended: later they are gone, and reading costs time."""

    def __init__(self, cluster: Nodes):
        self._cluster = cluster
        self.megabytes: dict[str, float] = {}

    def __getstate__(self) -> dict:
        """Nothing: Tune pickles its callbacks."""
        return {}

    def on_experiment_end(self, trials: list, **info: object) -> None:
        processes = {name: infos[0].process.pid for name, infos in self._cluster.head_node.all_processes.items()}
        processes["driver"] = psutil.Process().pid
        self.megabytes = {word: _tree_pss(processes[name]) / 1e6 for name, word in HEAD.items() if name in processes}


def _tree_pss(pid: int) -> int:
    """Bytes of a process and of what it started; a driver's children are the cluster."""
    process = psutil.Process(pid)
    return pss_of([process] if process == psutil.Process() else [process, *process.children(recursive=True)])
