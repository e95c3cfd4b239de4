"""The search engine on a Ray cluster of many nodes, simulated on one machine, with trials that sleep.

Everything except the training is real: Ray nodes (each with its own raylet and processes), Tune, searcher, scheduler,
journal, progress lines and checkpoint cleanup. As on a real cluster the head node runs no trials, and the driver runs
on the same machine as the head.
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

from hearai.benchmarks.scale.sleeper import RECORD, sleep_trial
from hearai.benchmarks.scale.utilisation import Phases, phases_of
from hearai.cli import Print
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.search.budget import BudgetTracker
from hearai.search.cluster.connect import connect
from hearai.search.cluster.memory import pss_of
from hearai.search.cluster.resources import TrialResources
from hearai.search.sampling.policies import build_policy
from hearai.search.sampling.samplers import build_finals_store, build_search_store, suggest_params
from hearai.search.stage import Stage
from hearai.search.storage.attributes import BASE_KIND, KIND
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.layout import TRIALS
from hearai.search.storage.study_sync import StudySync
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup
from hearai.search.tune.tuner import SearchContext, run_stages

EPOCHS_PER_TRIAL = 5
SHOWN_LINES = 10
"""How many of the trials' progress lines are printed."""
OBJECT_STORE = 80 * 2**20
"""Bytes of each node's object store, near the minimum that Ray accepts: trials store nothing there."""
HEAD_PROCESSES = {
    "driver": "driver",
    "gcs_server": "GCS",
    "dashboard": "dashboard",
    "raylet": "raylet and agents",
    "monitor": "autoscaler",
    "log_monitor": "log monitor",
}
"""{Ray's name of a process of the head node: label}; child processes are included."""


@dataclass(frozen=True)
class ClusterScaleResult:
    """Utilisation, speed and memory of a search over many nodes."""

    nodes: int
    slots: int
    trials: int
    complete: int
    """Trials that completed."""
    processes: int
    """Distinct processes that ran trials."""
    with_torch: int
    """Number of trials whose process had imported torch."""
    phases: Phases | None
    """None if the slots were never all busy."""
    seconds: float
    """Wall time of the search, once the cluster had started."""
    head_mb: Mapping[str, float]
    """{label in HEAD_PROCESSES: PSS at the end of the search}"""
    trial_mb: float
    """Median PSS of a trial's process."""


def measure_cluster_scale(
    study: Study, folder: Path, *, nodes: int, cpus: int, trials: int, seconds: float, print_line: Print
) -> ClusterScaleResult:
    """Runs a search of sleeping trials of `seconds` each on `nodes` x `cpus` slots; its journal is written to `folder`.

    Raises:
        UserError: not all nodes started.
    """
    with simulated_nodes(nodes, cpus) as cluster:
        slots, ready, head = connect(cluster.address).slots(TrialResources()), time.time(), _HeadMemory(cluster)
        print_line(f"{nodes} nodes, {slots} slots; {trials:,} trials of {seconds:g} s")
        sleeping_trial = functools.partial(sleep_trial, epoch_seconds=seconds / EPOCHS_PER_TRIAL)
        lines = every_nth_line(print_line, max(1, trials // SHOWN_LINES))
        context = SearchContext(
            study.name,
            StudySync(folder),
            TrialResources(),
            slots,
            lines,
            study.settings.hang_seconds,
            trial_function=sleeping_trial,
        )
        complete = search_without_finals(with_short_trials(study, trials), context, head)
        took = time.time() - ready
    records = [json.loads(path.read_text()) for path in sorted((folder / TRIALS).glob(f"*/{RECORD}"))]
    return ClusterScaleResult(
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


def search_without_finals(study: Study, context: SearchContext, *callbacks: ray.tune.Callback) -> int:
    """Runs a search like `hearai.search.run`, without data, finals and test. Returns the number of completed trials."""
    settings = study.settings
    with open_journal(context.folder) as storage:
        search, finals = build_search_store(storage, study), build_finals_store(storage)
        search.enqueue(study.base_params(), {KIND: BASE_KIND})
        stage = Stage(
            search,
            suggest=lambda trial: suggest_params(trial, study),
            config_of=lambda proposal: study.config_of(proposal.params, settings.seed),
            limit=settings.budget.trials,
            slots=context.slots,
            budget_tracker=BudgetTracker(settings.budget, search),
            policy=build_policy(study, search, context.slots),
        )
        cleanup = CheckpointCleanup(context.sync, search, finals, keep=settings.finalists.count, slots=context.slots)
        run_stages(iter([stage]), context, [cleanup, *callbacks])
        return len(search.trials(TrialState.COMPLETE))


def with_short_trials(study: Study, trials: int) -> Study:
    """The study with short trials. Early stopping is asked after each epoch, but its grace period covers them all."""
    settings = study.settings
    return replace(
        study,
        base=override(study.base, {"train_parameters.epochs": EPOCHS_PER_TRIAL}),
        settings=settings.model_copy(
            update={
                "budget": settings.budget.model_copy(update={"trials": trials}),
                "early_stopping": settings.early_stopping.model_copy(update={"grace_epochs": EPOCHS_PER_TRIAL}),
            }
        ),
    )


def every_nth_line(print_line: Print, n: int) -> Print:
    """Prints every n-th line of a completed trial, and all other lines, such as failures."""
    count = itertools.count(1)

    def print_some(line: str) -> None:
        if "complete" not in line or next(count) % n == 0:
            print_line(line)

    return print_some


@contextmanager
def simulated_nodes(nodes: int, cpus: int) -> Iterator[Nodes]:
    """A head node without CPUs for trials, and `nodes` nodes, all on this machine.

    Raises:
        UserError: not all nodes started.
    """
    assert not ray.is_initialized(), "connect() would use the cluster that this process is connected to"
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
        raise UserError(f"--nodes {nodes}: not all nodes started within {seconds} s; use fewer nodes") from error


class _HeadMemory(ray.tune.Callback):
    """Measures the processes of the head node when the last trial has ended: later they have exited."""

    def __init__(self, cluster: Nodes):
        self._cluster = cluster
        self.megabytes: dict[str, float] = {}

    def __getstate__(self) -> dict:
        """No state: Tune pickles its callbacks."""
        return {}

    def on_experiment_end(self, trials: list, **info: object) -> None:
        processes = {name: infos[0].process.pid for name, infos in self._cluster.head_node.all_processes.items()}
        processes["driver"] = psutil.Process().pid
        self.megabytes = {
            label: _tree_pss(processes[name]) / 1e6 for name, label in HEAD_PROCESSES.items() if name in processes
        }


def _tree_pss(pid: int) -> int:
    """PSS in bytes of a process and its children; the driver alone, whose children are the cluster."""
    process = psutil.Process(pid)
    return pss_of([process] if process == psutil.Process() else [process, *process.children(recursive=True)])
