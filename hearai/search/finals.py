"""After the search: the best trials and the base config again, with fresh seeds; then, once, the test clips."""

import json
import statistics
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hearai.config.config import Config, to_yaml
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.files import write_whole
from hearai.metrics import METRICS, objective_words, pareto_front
from hearai.search.stage import Stage
from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.trial_store import BASE, Proposal, TrialStore, primary
from hearai.training.inference.assess import score_split
from hearai.training.outputs.layout import BACKBONE_FILE, BEST, holds_checkpoint, run_folders
from hearai.training.runtime import LocalRuntime, choose_device


def finalists(search: TrialStore, count: int) -> list[FrozenTrial]:
    """The complete trials that are best by the primary metric, but the base config's; costs have no say here."""
    complete = [trial for trial in search.trials(TrialState.COMPLETE) if trial.number != BASE]
    return sorted(complete, key=lambda trial: -primary(trial))[:count]


def base_stage(study: Study, search: TrialStore, finals: TrialStore, slots: int) -> Stage:
    """The base config with new seeds: as many as slots can fall free while the last trial of the search runs.

    None where the base config has failed: if it has a part in the finals all the same, that comes with them.
    """
    sound = search[BASE].state in (TrialState.RUNNING, TrialState.COMPLETE)
    early = [(BASE, seed) for seed in _seeds(study)[: slots - 1]]
    return _retraining(study, search, finals, early if sound else [], slots)


def finals_stage(study: Study, search: TrialStore, finals: TrialStore, slots: int) -> Stage:
    """Each finalist and the base config from scratch with each new seed, to the last epoch."""
    sources = [*(trial.number for trial in finalists(search, study.settings.finalists.count)), BASE]
    wanted = [(source, seed) for source in sources for seed in _seeds(study)]
    return _retraining(study, search, finals, wanted, slots)


def _seeds(study: Study) -> range:
    first = study.settings.seed + 1
    return range(first, first + study.settings.finalists.seeds)


def _retraining(
    study: Study, search: TrialStore, finals: TrialStore, wanted: list[tuple[int, int]], slots: int
) -> Stage:
    """wanted: (source trial, seed)."""
    for source, seed in wanted:
        finals.enqueue({}, {"kind": "final", "source": source, "seed": seed})

    def config_of(proposal: Proposal) -> Config:
        return study.config_of(search[proposal.notes["source"]].params, proposal.notes["seed"])

    limit = len(finals.trials()) if wanted else 0
    return Stage(finals, lambda _: {}, config_of, limit=limit, slots=slots)


def results(finals: TrialStore) -> dict[int, dict[int, float]]:
    """{source trial: {seed: validation score}} of the finals that ended."""
    table: dict[int, dict[int, float]] = {}
    for trial in finals.trials(TrialState.COMPLETE):
        table.setdefault(trial.user_attrs["source"], {})[trial.user_attrs["seed"]] = primary(trial)
    return table


def winner(search: TrialStore, finals: TrialStore) -> int:
    """The trial with the best mean over the fresh seeds (all of them); without finals, the best trial."""
    table = results(finals)
    if not table:
        return max(search.trials(TrialState.COMPLETE), key=primary).number
    seeds = max(len(scores) for scores in table.values())
    whole = [source for source, scores in table.items() if len(scores) == seeds]
    return max(whole, key=lambda source: statistics.fmean(table[source].values()))


def require_winner(study: Study, search: TrialStore, finals: TrialStore, folder: Path) -> None:
    """Checks that the winner's checkpoints lie where its trials left them.

    Raises:
        UserError: one is missing, and how it is made again.
    """
    number = winner(search, finals)
    seeds = results(finals).get(number, {})
    labels = [label_of(number, {}), *(label_of(number, {"source": number, "seed": seed}) for seed in seeds)]
    trials = [run for label in labels for run in run_folders(folder / TRIALS / label, study.settings.splits)]
    if missing := [trial for trial in trials if not holds_checkpoint(trial / BEST)]:
        raise UserError(
            [
                f"{trial / BEST}: the checkpoint of the winner, trial {number}, is missing; put it back, or make it "
                f"again: python experiments/train.py --config {trial / 'config.yaml'} --threads 1 --resume "
                f"--set general_parameters.path_to_save={trial}; then give the same command again"
                for trial in missing
            ]
        )


def score_test(study: Study, search: TrialStore, finals: TrialStore, folder: Path) -> dict[str, Any]:
    """Base config and winner on the test clips, each with the same seeds; once: an existing file is the answer.

    Returns {"base" | "winner": {trial, seeds, objective, std, per_seed, mean_macro_f1, heads: {head: {accuracy,
    macro_f1}}}}: the objective with its spread, and the mean over all heads, which is the same where none are named.
    The base config's is None if it never got as far as a checkpoint.
    """
    path, best, table = folder / "test.json", winner(search, finals), results(finals)
    runs = {"winner": (best, sorted(table.get(best, {}))), "base": (BASE, sorted(table.get(BASE, {})))}
    if path.exists():
        known = _known_scores(path)
        if all(entry is None or (entry["trial"], entry["seeds"]) == runs[name] for name, entry in known.items()):
            return known
    scores: dict[str, Any] = {}
    for name, (source, seeds) in runs.items():
        notes = [{"source": source, "seed": seed} for seed in seeds] or [{}]
        trials = [folder / TRIALS / label_of(source, note) for note in notes]
        by_seed = [[run / BEST for run in run_folders(trial, study.settings.splits)] for trial in trials]
        sound = all(holds_checkpoint(checkpoint) for checkpoints in by_seed for checkpoint in checkpoints)
        scores[name] = {"trial": source, "seeds": seeds, **_mean_scores(study, by_seed)} if sound else None
    write_whole(path, json.dumps(scores, indent=1))
    return scores


def _known_scores(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    if isinstance(known, dict) and all(map(_is_scores, known.values())):
        return known
    raise UserError(f"{path}: holds no scores of the test clips; delete it, and the same command scores anew")


def _is_scores(entry: Any) -> bool:
    return entry is None or (isinstance(entry, dict) and {"trial", "seeds"} <= entry.keys())


def _mean_scores(study: Study, by_seed: list[list[Path]]) -> dict[str, Any]:
    """by_seed: the checkpoints of each seed, one for each split; the test clips are the same for all of them."""
    runtime = LocalRuntime(choose_device(study.base.general_parameters.gpu), by_seed[0][0].parent)
    scored = [[score_split(checkpoint, runtime, split="test") for checkpoint in seed] for seed in by_seed]
    per_seed = [statistics.fmean(run["objective"] for run in seed) for seed in scored]
    runs = [run for seed in scored for run in seed]
    heads = {
        head: {key: statistics.fmean(run["heads"][head][key] for run in runs) for key in ("accuracy", "macro_f1")}
        for head in runs[0]["heads"]
    }
    return {
        "objective": statistics.fmean(per_seed),
        "mean_macro_f1": statistics.fmean(run["mean_macro_f1"] for run in runs),
        "std": statistics.stdev(per_seed) if len(per_seed) > 1 else 0.0,
        "per_seed": per_seed,
        "heads": heads,
    }


FRONT = "pareto"


def aim_note(study: Study) -> str | None:
    """What `macro-F1` means in this search and what is weighed beside it, where that is not said by itself."""
    heads, costs = study.base.train_parameters.objective_heads, study.settings.metric[1:]
    if not heads and not costs:
        return None
    named = f": {', '.join(heads)}" if heads else ""
    background = f"; beside it {', '.join(METRICS[name].words for name in costs)}" if costs else ""
    return f"searched for: {objective_words(heads, len(study.base.active_heads))}{named}{background}"


def front_of(search: TrialStore) -> list[int]:
    """Complete trials that no other one dominates, by what the search itself saw; none where one metric is asked for.

    The best by the primary metric comes first.
    """
    if len(search.metrics) < 2:
        return []
    return pareto_front({t.number: t.values for t in search.trials(TrialState.COMPLETE)}, search.metrics)


def keep_front(study: Study, search: TrialStore, folder: Path) -> None:
    """Writes the full config of each trial of the front, as the search ran it; those of an earlier front go."""
    front = {f"{number:04d}.yaml": number for number in front_of(search)}
    for path in (folder / FRONT).glob("*.yaml"):
        if path.name not in front:
            path.unlink()
    for name, number in front.items():
        config = study.config_of(search[number].params, study.settings.seed)
        (folder / FRONT).mkdir(exist_ok=True)
        write_whole(folder / FRONT / name, to_yaml(with_near_backbone(config, folder, f"../{BACKBONE_FILE}")))


def with_near_backbone(config: Config, folder: Path, near: str) -> Config:
    """The config with the study's own backbone, if it starts from that, by its place beside the config's file."""
    if config.feature_extractor.checkpoint != str((folder / BACKBONE_FILE).absolute()):
        return config
    return override(config, {"feature_extractor.checkpoint": near})
