"""`run_study`: starts, continues and finishes a search. All it knows lies in the study's folder."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hearai.config import to_yaml
from hearai.files import write_whole
from hearai.search.budget import Spending
from hearai.search.claim import claim, note_code
from hearai.search.cluster import Cluster, Connecting, PerTrial, login_hint, some, wait_for_room
from hearai.search.early_stopping import Stopper, build_stopper
from hearai.search.finals import base_stage, finals_stage, require_winner, score_test, winner
from hearai.search.gauges import StudyGauges
from hearai.search.journal import Ledger, open_journal
from hearai.search.ledgers import build_finals_ledger, build_search_ledger
from hearai.search.live import Say
from hearai.search.memory import MemoryMeter
from hearai.search.mirror import Mirror
from hearai.search.nodes import provide_everywhere, train_on
from hearai.search.owner import is_overtaken
from hearai.search.pareto import aim_note, keep_front, with_near_backbone
from hearai.search.plan import Plan, decide, provide
from hearai.search.retrain import Train, retrain_winner, train_here
from hearai.search.samplers import sampler_note, suggest
from hearai.search.searcher import Stage
from hearai.search.stages import Place, run_stages
from hearai.search.sweep import Sweeper
from hearai.search.trial_folder import TRIALS, label_of
from hearai.search.warm_start import WarmStart, give_to, read_warm_start
from hearai.study import Study
from hearai.training.checkpoint import BEST, copy_checkpoint
from hearai.training.prepare import BACKBONE
from hearai.training.run_folders import run_folders


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
    """Address of an object store, see `hearai.search.store`."""


@dataclass(frozen=True)
class Outcome:
    """Where the results lie, and whether any trial succeeded."""

    folder: Path
    succeeded: bool
    mirror: Mirror
    """Sends the folder to the store, if there is one."""


def run_study(study: Study, options: Options, say: Say) -> Outcome:
    """The whole search; the same call again continues, or shows what is finished.

    Raises:
        UserError: input that cannot be used; nothing was written for it.
        KeyboardInterrupt: interrupted; the journal holds everything.
    """
    folder, started = options.storage / study.name, time.monotonic()
    mirror = Mirror(folder, options.store)
    plan = decide(study, folder)
    warm = read_warm_start(plan)
    with MemoryMeter() as memory, open_journal(folder, mirror.kept()) as storage:
        claim(plan, folder)
        search, finals = build_search_ledger(storage, plan.study), build_finals_ledger(storage)
        note_code(search, say)
        _begin(plan.study, search, warm, say)
        connecting = Connecting(options.address)
        try:
            place, seconds = _prepare(plan, mirror, options, connecting, say)
            search.optuna.set_user_attr("pretraining_seconds", seconds)
            search.optuna.set_user_attr("threads", place.per_trial.threads)
            for note in filter(None, (aim_note(plan.study), sampler_note(plan.study))):
                say(note)
            keep = plan.study.settings.finalists.count
            sweeper = Sweeper(mirror, search, finals, keep=keep, slots=place.slots, splits=place.splits)
            sweeper.sweep()
            with closing(StudyGauges(place.name, search, finals)) as gauges:
                watching = [sweeper, gauges]
                run_stages(_stages(plan.study, search, finals, place), place, _stopper(plan.study, search), watching)
            succeeded = bool(search.trials(TrialState.COMPLETE))
            if succeeded:
                mirror.fetch_best()
                train = train_on(mirror, place.per_trial, say) if options.address else train_here
                _conclude(plan.study, folder, search, finals, say, train)
            sweeper.sweep()
        finally:
            if not is_overtaken(folder):
                _record(search, memory, time.monotonic() - started)
            connecting.close()
    return Outcome(folder, succeeded, mirror)


def _prepare(plan: Plan, mirror: Mirror, options: Options, connecting: Connecting, say: Say) -> tuple[Place, float]:
    """Where trials run, and the seconds of what comes before them: here, while Ray starts, or on a cluster's nodes."""
    if options.address is None:
        seconds = provide(plan, mirror.folder)
        mirror.publish()
        return _place(plan.study, mirror, options, connecting.join(), say), seconds
    place = _place(plan.study, mirror, options, connecting.join(), say)
    return place, provide_everywhere(plan, mirror, place.per_trial, say)


def _place(study: Study, mirror: Mirror, options: Options, cluster: Cluster, say: Say) -> Place:
    gpus = options.gpus
    if gpus is None:
        gpus = 1 if cluster.gpus and study.base.general_parameters.gpu >= 0 else 0
    per_trial = PerTrial(options.workers, options.cpus, gpus)
    cluster, slots = wait_for_room(cluster, per_trial, options.max_concurrent)
    say(f"cluster: {cluster}; {some(slots, 'trial')} at a time, each {per_trial}")
    say(f"Ray dashboard: {cluster.dashboard or 'not running'} ({login_hint()})")
    if cluster.is_shared:
        say(f"  Actors, column Repr: each by its first trial, `{study.name} 0007 lr=...`")
        say("  curves of all searches: cluster/grafana")
    settings = study.settings
    needed = cluster.dashboard if per_trial.workers > 1 else None
    return Place(study.name, mirror, per_trial, slots, say, settings.hang_seconds, settings.splits, needed)


def _begin(study: Study, search: Ledger, warm: WarmStart | None, say: Say) -> None:
    """The base config comes first; then what an older search knows."""
    search.enqueue(study.base_params(), {"kind": "base"})
    if warm is not None:
        say(warm.note)
        give_to(search, warm, study.space)


def _stages(study: Study, search: Ledger, finals: Ledger, place: Place) -> Iterator[Stage]:
    """The search; the base config with new seeds, as slots fall free; then the finalists, if there are any."""
    seed, budget = study.settings.seed, study.settings.budget
    stage = Stage(
        search,
        choose=lambda trial: suggest(trial, study),
        config_of=lambda proposal: study.config_of(proposal.params, seed),
        limit=budget.trials,
        slots=place.slots,
        spending=Spending(budget, search),
        joins=not study.settings.finalists.count,
    )
    yield stage
    if stage.ended_by and stage.ended_by != search.optuna.user_attrs.get("ended_by"):
        search.optuna.set_user_attr("ended_by", stage.ended_by)
        if not stage.is_full:  # that its trials are done, everybody sees
            place.say(f"the search has spent {stage.ended_by}")
    if not study.settings.finalists.count:
        return
    yield _announced(base_stage(study, search, finals, place.slots), "the base config again, with new seeds", place.say)
    if search.trials(TrialState.COMPLETE):
        yield _announced(finals_stage(study, search, finals, place.slots), "the finalists, with these seeds", place.say)


def _announced(stage: Stage, text: str, say: Say) -> Stage:
    if not stage.is_full:
        say(text)
    return stage


def _stopper(study: Study, search: Ledger) -> Stopper | None:
    """Early stopping that knows what earlier calls saw."""
    stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
    if stopper:
        stopper.replay((trial.number, _sound_values(trial)) for trial in search.trials())
    return stopper


def _sound_values(trial: FrozenTrial) -> dict[int, float]:
    """{epoch: value} without the epoch in which the trial diverged."""
    values = trial.intermediate_values
    return {e: v for e, v in values.items() if not (trial.user_attrs.get("diverged") and e == max(values))}


def _conclude(study: Study, folder: Path, search: Ledger, finals: Ledger, say: Say, train: Train) -> None:
    """The test clips, once; the winner's files; the winner once more, if asked for."""
    require_winner(study, search, finals, folder)
    score_test(study, search, finals, folder)
    _keep_winner(study, folder, search, winner(search, finals))
    keep_front(study, search, folder)
    if study.settings.finalists.retrain:
        retrain_winner(study, search, finals, folder, winner(search, finals), say, train)


def _keep_winner(study: Study, folder: Path, search: Ledger, number: int) -> None:
    """`best.yaml` and `best/`: the winner as the search ran it; its backbone lies beside them."""
    config = study.config_of(search[number].params, study.settings.seed)
    write_whole(folder / "best.yaml", to_yaml(with_near_backbone(config, folder, BACKBONE)))
    first = run_folders(folder / TRIALS / label_of(number, {}), study.settings.splits)[0]
    copy_checkpoint(first / BEST, folder / BEST)


def _record(search: Ledger, memory: MemoryMeter, seconds: float) -> None:
    """Adds this call's wall time and peak memory to the journal."""
    known = search.optuna.user_attrs
    search.optuna.set_user_attr("total_seconds", round(known.get("total_seconds", 0.0) + seconds, 3))
    search.optuna.set_user_attr("memory_pss_gb", round(max(known.get("memory_pss_gb", 0), memory.peak / 1e9), 3))
