"""`run_study`: starts, continues and finishes a search. All it knows lies in the study's folder."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hearai.cli import Print
from hearai.config.config import to_yaml
from hearai.config.study import Study
from hearai.files import write_whole
from hearai.search.budget import BudgetTracker
from hearai.search.cluster.connect import RayConnection, login_hint
from hearai.search.cluster.memory import MemoryMeter
from hearai.search.cluster.node_checks import prepare_inputs_everywhere, train_on
from hearai.search.cluster.resources import Cluster, TrialResources, some, wait_for_room
from hearai.search.early_stopping import Stopper, build_stopper
from hearai.search.finals import (
    aim_note,
    base_stage,
    finals_stage,
    keep_front,
    require_winner,
    score_test,
    winner,
    with_near_backbone,
)
from hearai.search.plan import Plan, make_plan, prepare_inputs
from hearai.search.retrain import Train, retrain_winner, train_here
from hearai.search.sampling.samplers import build_finals_store, build_search_store, sampler_note, suggest
from hearai.search.sampling.warm_start import WarmStart, apply_warm_start, read_warm_start
from hearai.search.stage import Stage
from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.lock import is_overtaken
from hearai.search.storage.study_folder import claim, note_code
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import TrialStore, open_journal
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup
from hearai.search.tune.study_metrics import StudyMetrics
from hearai.search.tune.tuner import SearchContext, run_stages
from hearai.training.outputs.checkpoint import copy_checkpoint
from hearai.training.outputs.layout import BACKBONE_FILE, BEST, run_folders


@dataclass(frozen=True)
class Options:
    """How a study is run; what is searched is the study's business."""

    storage: Path = Path("runs")
    """Folder of the studies: shared by all nodes, or this machine's mirror of `store`."""
    address: str | None = None
    workers: int = 1
    cpus: float = 1
    gpus: float | None = None
    """Per worker; None = one where the cluster has any and `gpu` is not -1."""
    max_concurrent: int | None = None
    store: str | None = None
    """Address of an object store, see `hearai.search.storage.object_store`."""


@dataclass(frozen=True)
class Outcome:
    """Where the results lie, and whether any trial succeeded."""

    folder: Path
    succeeded: bool
    sync: StudySync
    """Sends the folder to the store, if there is one."""


def run_study(study: Study, options: Options, print_line: Print) -> Outcome:
    """The whole search; the same call again continues, or shows what is finished.

    Raises:
        UserError: input that cannot be used; nothing was written for it.
        KeyboardInterrupt: interrupted; the journal holds everything.
    """
    folder, started = options.storage / study.name, time.monotonic()
    sync = StudySync(folder, options.store)
    plan = make_plan(study, folder)
    warm = read_warm_start(plan)
    with MemoryMeter() as memory, open_journal(folder, sync.synced()) as storage:
        claim(plan, folder)
        search, finals = build_search_store(storage, plan.study), build_finals_store(storage)
        note_code(search, print_line)
        _begin(plan.study, search, warm, print_line)
        connection = RayConnection(options.address)
        try:
            context, seconds = _prepare(plan, sync, options, connection, print_line)
            search.optuna.set_user_attr("pretraining_seconds", seconds)
            search.optuna.set_user_attr("threads", context.resources.threads)
            for note in filter(None, (aim_note(plan.study), sampler_note(plan.study))):
                print_line(note)
            keep = plan.study.settings.finalists.count
            cleanup = CheckpointCleanup(sync, search, finals, keep=keep, slots=context.slots, splits=context.splits)
            cleanup.clean()
            with closing(StudyMetrics(context.name, search, finals)) as gauges:
                watching = [cleanup, gauges]
                run_stages(
                    _stages(plan.study, search, finals, context), context, _stopper(plan.study, search), watching
                )
            succeeded = bool(search.trials(TrialState.COMPLETE))
            if succeeded:
                sync.fetch_best()
                train = train_on(sync, context.resources, print_line) if options.address else train_here
                _conclude(plan.study, folder, search, finals, print_line, train)
            cleanup.clean()
        finally:
            if not is_overtaken(folder):
                _record(search, memory, time.monotonic() - started)
            connection.close()
    return Outcome(folder, succeeded, sync)


def _prepare(
    plan: Plan, sync: StudySync, options: Options, connection: RayConnection, print_line: Print
) -> tuple[SearchContext, float]:
    """Where trials run, and the seconds of what comes before them: here, while Ray starts, or on a cluster's nodes."""
    if options.address is None:
        seconds = prepare_inputs(plan, sync.folder)
        sync.publish()
        return _search_context(plan.study, sync, options, connection.join(), print_line), seconds
    context = _search_context(plan.study, sync, options, connection.join(), print_line)
    return context, prepare_inputs_everywhere(plan, sync, context.resources, print_line)


def _search_context(
    study: Study, sync: StudySync, options: Options, cluster: Cluster, print_line: Print
) -> SearchContext:
    gpus = options.gpus
    if gpus is None:
        gpus = 1 if cluster.gpus and study.base.general_parameters.gpu >= 0 else 0
    resources = TrialResources(options.workers, options.cpus, gpus)
    cluster, slots = wait_for_room(cluster, resources, options.max_concurrent)
    print_line(f"cluster: {cluster}; {some(slots, 'trial')} at a time, each {resources}")
    print_line(f"Ray dashboard: {cluster.dashboard or 'not running'} ({login_hint()})")
    if cluster.is_shared:
        print_line(f"  Actors, column Repr: each by its first trial, `{study.name} 0007 lr=...`")
        print_line("  curves of all searches: cluster/grafana")
    settings = study.settings
    needed = cluster.dashboard if resources.workers > 1 else None
    return SearchContext(study.name, sync, resources, slots, print_line, settings.hang_seconds, settings.splits, needed)


def _begin(study: Study, search: TrialStore, warm: WarmStart | None, print_line: Print) -> None:
    """The base config comes first; then what an older search knows."""
    search.enqueue(study.base_params(), {"kind": "base"})
    if warm is not None:
        print_line(warm.note)
        apply_warm_start(search, warm, study.space)


def _stages(study: Study, search: TrialStore, finals: TrialStore, context: SearchContext) -> Iterator[Stage]:
    """The search; the base config with new seeds, as slots fall free; then the finalists, if there are any."""
    seed, budget = study.settings.seed, study.settings.budget
    stage = Stage(
        search,
        choose=lambda trial: suggest(trial, study),
        config_of=lambda proposal: study.config_of(proposal.params, seed),
        limit=budget.trials,
        slots=context.slots,
        budget_tracker=BudgetTracker(budget, search),
        joins=not study.settings.finalists.count,
    )
    yield stage
    if stage.ended_by and stage.ended_by != search.optuna.user_attrs.get("ended_by"):
        search.optuna.set_user_attr("ended_by", stage.ended_by)
        if not stage.is_full:  # that its trials are done, everybody sees
            context.print_line(f"the search has spent {stage.ended_by}")
    if not study.settings.finalists.count:
        return
    yield _announced(
        base_stage(study, search, finals, context.slots), "the base config again, with new seeds", context.print_line
    )
    if search.trials(TrialState.COMPLETE):
        yield _announced(
            finals_stage(study, search, finals, context.slots), "the finalists, with these seeds", context.print_line
        )


def _announced(stage: Stage, text: str, print_line: Print) -> Stage:
    if not stage.is_full:
        print_line(text)
    return stage


def _stopper(study: Study, search: TrialStore) -> Stopper | None:
    """Early stopping that knows what earlier calls saw."""
    stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
    if stopper:
        stopper.replay((trial.number, _sound_values(trial)) for trial in search.trials())
    return stopper


def _sound_values(trial: FrozenTrial) -> dict[int, float]:
    """{epoch: value} without the epoch in which the trial diverged."""
    values = trial.intermediate_values
    return {e: v for e, v in values.items() if not (trial.user_attrs.get("diverged") and e == max(values))}


def _conclude(
    study: Study, folder: Path, search: TrialStore, finals: TrialStore, print_line: Print, train: Train
) -> None:
    """The test clips, once; the winner's files; the winner once more, if asked for."""
    require_winner(study, search, finals, folder)
    score_test(study, search, finals, folder)
    _keep_winner(study, folder, search, winner(search, finals))
    keep_front(study, search, folder)
    if study.settings.finalists.retrain:
        retrain_winner(study, search, finals, folder, winner(search, finals), print_line, train)


def _keep_winner(study: Study, folder: Path, search: TrialStore, number: int) -> None:
    """`best.yaml` and `best/`: the winner as the search ran it; its backbone lies beside them."""
    config = study.config_of(search[number].params, study.settings.seed)
    write_whole(folder / "best.yaml", to_yaml(with_near_backbone(config, folder, BACKBONE_FILE)))
    first = run_folders(folder / TRIALS / label_of(number, {}), study.settings.splits)[0]
    copy_checkpoint(first / BEST, folder / BEST)


def _record(search: TrialStore, memory: MemoryMeter, seconds: float) -> None:
    """Adds this call's wall time and peak memory to the journal."""
    known = search.optuna.user_attrs
    search.optuna.set_user_attr("total_seconds", round(known.get("total_seconds", 0.0) + seconds, 3))
    search.optuna.set_user_attr("memory_pss_gb", round(max(known.get("memory_pss_gb", 0), memory.peak / 1e9), 3))
