"""`run_study`: starts, continues and finishes a search. Its whole state is in the study folder."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.trial import TrialState

from hearai.cli import Print
from hearai.cli.progress import events
from hearai.cli.progress.phase_clock import PhaseClock
from hearai.config.config import dataset_folders
from hearai.config.model_parts.code_folder import code_kept
from hearai.config.study import Study
from hearai.data.annotations.load import load_data
from hearai.files import atomic_write_text, using_caches
from hearai.search.budget import BudgetTracker, budget_of
from hearai.search.cluster.connect import RayConnection, check_connection, login_hint
from hearai.search.cluster.memory import MemoryMeter
from hearai.search.cluster.node_checks import NodeTrainer, prepare_inputs_on_nodes, pretraining_workers
from hearai.search.cluster.resources import Cluster, TrialResources, plural, wait_for_slots
from hearai.search.early_stopping.plateau import plateau_of
from hearai.search.finals import (
    base_stage,
    best_run,
    finals_stage,
    measure_winner,
    require_winner_checkpoints,
    score_test_split,
    winner,
)
from hearai.search.pareto_configs import write_pareto_configs
from hearai.search.plan import Plan, check_inputs, make_plan, objective_note, require_unchanged_data
from hearai.search.retrain import Train, retrain_winner, train_here
from hearai.search.sampling.policies import build_policy, modelled_gain, policy_note
from hearai.search.sampling.policy import Policy
from hearai.search.sampling.samplers import (
    build_finals_store,
    build_search_store,
    hidden_note,
    sampler_note,
    suggest_params,
)
from hearai.search.sampling.warm_start import WarmStart, apply_warm_start, read_warm_starts
from hearai.search.stage import Stage
from hearai.search.storage.attributes import (
    BASE_KIND,
    ENDED_BY,
    KIND,
    MEMORY_PSS_GB,
    PHASE_SECONDS,
    PRETRAINING_SECONDS,
    THREADS,
    TOTAL_SECONDS,
)
from hearai.search.storage.changed_study import syncing_changed
from hearai.search.storage.journal_backend import Journal, open_journal
from hearai.search.storage.layout import BEST_CONFIG, BEST_MODEL, FINAL_RUN, TRIALS
from hearai.search.storage.lock import is_taken_over, record_dashboard
from hearai.search.storage.output_log import output_log
from hearai.search.storage.study_folder import (
    ensure_study_folder,
    portable_yaml,
    record_code_version,
    record_study_id,
    with_known_schedule,
)
from hearai.search.storage.study_sync import StudySync
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup
from hearai.search.tune.live_trials import study_opened
from hearai.search.tune.study_metrics import StudyMetrics
from hearai.search.tune.tuner import SearchContext, run_stages
from hearai.training.outputs.checkpoint import copy_checkpoint, is_same_model
from hearai.training.outputs.layout import BEST, run_folders

CLOSING = "interrupted: saving the state and stopping Ray"


@dataclass(frozen=True)
class Options:
    """Where and with what resources a study is run. What is searched is defined by the study."""

    storage: Path = Path("runs")
    """Folder of the studies: shared by all nodes, or this machine's copy of `store`."""
    address: str | None = None
    """Address of a Ray cluster; None = start Ray on this machine."""
    resources: TrialResources = TrialResources()
    auto_gpu: bool = True
    """Instead of `resources.gpus`: one GPU per worker if the cluster has any and the study's config uses one."""
    max_concurrent: int | None = None
    store: str | None = None
    """URI of an object store, see `hearai.search.storage.object_store`."""


@dataclass(frozen=True)
class Outcome:
    """Where the results are, and whether any trial succeeded."""

    folder: Path
    succeeded: bool
    sync: StudySync
    """Sends the folder to the object store, if there is one."""


@code_kept()
def run_study(study: Study, options: Options, print_line: Print, show: events.Show = events.ignore) -> Outcome:
    """Runs the whole search. Called again, it continues, or does nothing if the search has finished.

    Args:
        show: is given the events of the search, for a view of it; `print_line` says the same as lines.

    Raises:
        UserError: invalid input, of which nothing was written; or the search cannot continue.
        KeyboardInterrupt: interrupted; the state is in the journal.
    """
    folder, started = options.storage / study.name, time.monotonic()
    show = clock = PhaseClock(show)
    show(events.PhaseStarted(events.DATA))
    check_connection(options.address)
    sync = StudySync(folder, options.store)
    plan = make_plan(with_known_schedule(study, folder), folder)
    warm_starts = read_warm_starts(plan)
    in_use = using_caches(dataset_folders(plan.study.base))
    syncing = syncing_changed(plan, sync, print_line)
    with MemoryMeter() as memory, in_use, open_journal(folder, syncing) as journal:
        study, changes = ensure_study_folder(plan, folder)
        with output_log(folder, print_line) as print_and_log:
            call = _Call(replace(plan, study=study), sync, journal, print_and_log, show)
            for line in filter(None, (*changes, hidden_note(call.search))):
                print_and_log(line)
            call.enqueue_first_trials(warm_starts)
            connection = RayConnection(options.address, study.name)
            try:
                succeeded = call.run(options, connection)
            except KeyboardInterrupt:
                show(events.Interrupted(CLOSING))
                raise
            finally:
                try:
                    if not is_taken_over(folder):
                        call.record_cost(time.monotonic() - started, clock.seconds(), memory)
                finally:
                    connection.close()
    return Outcome(folder, succeeded, sync)


class _Call:
    """One call of `run_study`, with its journal open."""

    def __init__(self, plan: Plan, sync: StudySync, journal: Journal, print_line: Print, show: events.Show):
        self.plan, self.study, self.sync, self.folder = plan, plan.study, sync, sync.folder
        self.search, self.finals = build_search_store(journal, plan.study), build_finals_store(journal)
        self.print_line, self.show = print_line, show

    def enqueue_first_trials(self, warm_starts: Sequence[WarmStart]) -> None:
        """The base config first, then what is known from other searches."""
        record_study_id(self.search, self.folder)
        record_code_version(self.search, self.print_line)
        self.search.enqueue(self.study.base_params(), {KIND: BASE_KIND})
        for warm_start in warm_starts:
            self.print_line(warm_start.note)
            apply_warm_start(self.search, warm_start, self.study.space)
        self.show(study_opened(self.plan, self.folder, self.search, self.finals))

    def run(self, options: Options, connection: RayConnection) -> bool:
        """Runs all stages, then scores and saves the winner; returns whether any trial succeeded."""
        context, seconds = self._prepare(options, connection)
        known = self.search.optuna_study.user_attrs.get(PRETRAINING_SECONDS, 0.0)
        self.search.optuna_study.set_user_attr(PRETRAINING_SECONDS, round(known + seconds, 3))
        self.search.optuna_study.set_user_attr(THREADS, context.resources.threads)
        for note in filter(None, (objective_note(self.study), sampler_note(self.study), policy_note(self.study))):
            self.print_line(note)
        policy = build_policy(self.study, self.search, context.slots, self.finals)
        keep = policy.contenders(self.study.settings.finalists.count)
        cleanup = CheckpointCleanup(
            self.sync, self.search, self.finals, keep=keep, slots=context.slots, folds=context.folds
        )
        cleanup.clean()
        with closing(StudyMetrics(context.name, context.slots, self.search, self.finals)) as metrics:
            stages = self._stages(policy, context.slots, metrics.on_proposal)
            run_stages(stages, context, [cleanup, metrics], lambda reason: check_inputs(self.plan, reason))
        succeeded = bool(self.search.eligible_trials(TrialState.COMPLETE))
        if succeeded:
            self.show(events.PhaseStarted(events.TEST))
            require_unchanged_data(self.plan)
            self.sync.fetch_best_checkpoints()
            trainer = NodeTrainer(self.sync, context.resources, self.print_line)
            self._save_winner(trainer.train if options.address else train_here)
        cleanup.clean()
        return succeeded

    def _prepare(self, options: Options, connection: RayConnection) -> tuple[SearchContext, float]:
        """(where trials run, seconds of pre-training and shared features): done here, or on the cluster's nodes.

        Ray starts first: beside pre-training it may take longer than it waits for itself, and hours would pass before a
        failure is seen.
        """
        self.show(events.PhaseStarted(events.RAY))
        cluster = connection.join(self.print_line)
        context = self._context(options, cluster)
        # Without the dashboard, a worker group that loses its task's node would keep its GPUs.
        workers = pretraining_workers(self.plan, context.resources) if cluster.dashboard else 1
        seconds = prepare_inputs_on_nodes(
            self.plan, self.sync, context.resources, self.print_line, self.show, workers=workers
        )
        return context, seconds

    def _context(self, options: Options, cluster: Cluster) -> SearchContext:
        settings, resources = self.study.settings, options.resources
        if options.auto_gpu:
            uses_gpu = cluster.gpus and self.study.base.general_parameters.gpu >= 0
            resources = replace(resources, gpus=1 if uses_gpu else 0)
        cluster, slots = wait_for_slots(cluster, resources, options.max_concurrent)
        self.print_line(f"cluster: {cluster}; {plural(slots, 'trial')} at a time, each {resources}")
        self.print_line(f"Ray dashboard: {cluster.dashboard or 'not running'} ({login_hint()})")
        record_dashboard(self.folder, cluster.dashboard)
        if cluster.is_shared:
            self.print_line(f"  Actors, column Repr: each with its first trial, `{self.study.name} 0007 lr=...`")
            self.print_line("  curves of all searches: cluster/grafana")
        self.show(events.SlotsKnown(slots, str(resources), resources.workers * resources.gpus))
        return SearchContext(
            self.study.name,
            self.sync,
            resources,
            slots,
            self.print_line,
            settings.hang_seconds,
            settings.splits,
            may_pause=settings.sampler.name == "freeze_thaw",
            dataset_of=lambda config: load_data(config).fingerprints.as_dict(),
            dashboard=cluster.dashboard if resources.workers > 1 else None,
            show=self.show,
        )

    def _stages(self, policy: Policy, slots: int, on_proposal: Callable[[float], None]) -> Iterator[Stage]:
        """The search; the base config with new seeds, in slots that become free; the finalists, if there are any."""
        study, budget = self.study, budget_of(self.study)
        plateau = plateau_of(study, self.search, self.finals, modelled_gain(study, self.search, self.finals))
        stage = Stage(
            self.search,
            suggest=lambda trial: suggest_params(trial, study),
            config_of=lambda proposal: study.config_of(proposal.params, study.settings.seed),
            limit=budget.trials,
            slots=slots,
            budget_tracker=BudgetTracker(budget, self.search, plateau),
            drain=not study.settings.finalists.count,
            policy=policy,
            on_proposal=on_proposal,
        )
        self.show(events.PhaseStarted(events.SEARCH, budget.trials))
        yield stage
        if stage.ended_by and stage.ended_by != self.search.optuna_study.user_attrs.get(ENDED_BY):
            self.search.optuna_study.set_user_attr(ENDED_BY, stage.ended_by)
            if not stage.is_full:  # the counter of trials shows this
                self.print_line(f"Stopped: {stage.ended_by}")
        if not study.settings.finalists.count:
            return
        self.show(events.PhaseStarted(events.FINALS))
        base = base_stage(study, self.search, self.finals, slots)
        yield self._announce(base, "retraining the base config with new seeds")
        if self.search.eligible_trials(TrialState.COMPLETE):
            best = policy.finalists(study.settings.finalists.count)
            finals = finals_stage(study, self.search, self.finals, slots, best)
            yield self._announce(finals, "retraining the finalists with the same seeds")

    def _announce(self, stage: Stage, text: str) -> Stage:
        if not stage.is_full:
            self.print_line(text)
        return stage

    def _save_winner(self, train: Train) -> None:
        """Scores the test clips, once; writes the winner's files and the Pareto front; retrains the winner if asked."""
        require_winner_checkpoints(self.study, self.search, self.finals, self.folder)
        score_test_split(self.study, self.search, self.finals, self.folder)
        number = winner(self.search, self.finals)
        self._copy_winner(number)
        write_pareto_configs(self.study, self.search, self.folder)
        if self.study.settings.finalists.retrain:
            self.show(events.PhaseStarted(events.RETRAINING))
            retrain_winner(self.study, self.search, self.finals, self.folder, number, self.print_line, train)
            measure_winner(self.study, self.folder / FINAL_RUN / BEST, self.print_line, self.folder / BEST_MODEL)

    def _copy_winner(self, number: int) -> None:
        """Writes `best.yaml` and `best/`: config and checkpoint of the winner's run, see `best_run`."""
        path, (label, seed) = self.folder / BEST_CONFIG, best_run(self.search, self.finals, number)
        if seed is not None:
            self.print_line(f"best/ is {label}, retrained with a new seed: trial {number} did not complete")
        config = self.study.config_of(self.search[number].params, self.study.settings.seed if seed is None else seed)
        atomic_write_text(path, portable_yaml(config, path, self.folder))
        first = run_folders(self.folder / TRIALS / label, self.study.settings.splits)[0]
        if not is_same_model(first / BEST, self.folder / BEST_MODEL):  # else it has its reliability, which takes time
            copy_checkpoint(first / BEST, self.folder / BEST_MODEL)
        measure_winner(self.study, self.folder / BEST_MODEL, self.print_line)

    def record_cost(self, seconds: float, by_phase: Mapping[str, float], memory: MemoryMeter) -> None:
        """Adds the wall time, as a whole and by phase, and peak memory of this call to the journal."""
        known, study = self.search.optuna_study.user_attrs, self.search.optuna_study
        phases = Counter(known.get(PHASE_SECONDS, {})) + Counter(by_phase)
        study.set_user_attr(PHASE_SECONDS, {phase: round(sum_, 3) for phase, sum_ in phases.items()})
        study.set_user_attr(TOTAL_SECONDS, round(known.get(TOTAL_SECONDS, 0.0) + seconds, 3))
        study.set_user_attr(MEMORY_PSS_GB, round(max(known.get(MEMORY_PSS_GB, 0), memory.peak / 1e9), 3))
