"""After the search: retraining of the best trials and the base config with new seeds, then the test scores, once."""

import json
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from hearai.cli import Print
from hearai.config.config import Config
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.files import atomic_write_text
from hearai.search.stage import Stage
from hearai.search.storage.attributes import FINAL_KIND, KIND, SEED, SOURCE
from hearai.search.storage.layout import CONFUSION, EXAMPLES, TEST_SCORES, TRIALS, label_of, seed_of_best
from hearai.search.storage.trial_store import BASE_TRIAL, Proposal, TrialStore, final_value
from hearai.training.inference.assess import ScoredSplit, evaluate_split
from hearai.training.inference.confused_examples import confusions_of, examples_of
from hearai.training.inference.measure_reliability import add_reliability
from hearai.training.outputs.layout import BEST, CONFIG_FILE, holds_checkpoint, run_folders
from hearai.training.runtime import LocalRuntime, choose_device


def base_stage(study: Study, search: TrialStore, finals: TrialStore, slots: int) -> Stage:
    """The base config with new seeds: as many as slots may be free while the search's last trial runs.

    Empty if the base config has failed; `finals_stage` still includes it.
    """
    usable = search[BASE_TRIAL].state in (TrialState.RUNNING, TrialState.COMPLETE)
    early = [(BASE_TRIAL, seed) for seed in _seeds(study)[: slots - 1]]
    return _retraining_stage(study, search, finals, early if usable else [], slots)


def finals_stage(study: Study, search: TrialStore, finals: TrialStore, slots: int, finalists: Sequence[int]) -> Stage:
    """Each finalist and the base config, trained from scratch to the last epoch with each of the new seeds.

    finalists: numbers of their trials.
    """
    sources = [*finalists, BASE_TRIAL]
    runs = [(source, seed) for source in sources for seed in _seeds(study)]
    return _retraining_stage(study, search, finals, runs, slots)


def _seeds(study: Study) -> range:
    first = study.settings.seed + 1
    return range(first, first + study.settings.finalists.seeds)


def _retraining_stage(
    study: Study, search: TrialStore, finals: TrialStore, runs: list[tuple[int, int]], slots: int
) -> Stage:
    """runs: (source trial, seed)."""
    for source, seed in runs:
        finals.enqueue({}, {KIND: FINAL_KIND, SOURCE: source, SEED: seed})

    def config_of(proposal: Proposal) -> Config:
        return study.config_of(search[proposal.user_attrs[SOURCE]].params, proposal.user_attrs[SEED])

    limit = len(finals.trials()) if runs else 0
    return Stage(finals, lambda _: {}, config_of, limit=limit, slots=slots)


def final_scores(finals: TrialStore) -> dict[int, dict[int, float]]:
    """{source trial: {seed: validation score}} of the complete finals."""
    table: dict[int, dict[int, float]] = {}
    for trial in finals.trials(TrialState.COMPLETE):
        table.setdefault(trial.user_attrs[SOURCE], {})[trial.user_attrs[SEED]] = final_value(trial)
    return table


def winner(search: TrialStore, finals: TrialStore) -> int:
    """The trial with the best mean over all the new seeds, of equal ones the base config; without finals, the best one.

    It is inside the space, or the base config: finalists of a space that was narrowed since do not count.
    """
    eligible = search.eligible_trials(TrialState.COMPLETE)
    numbers = {BASE_TRIAL, *(trial.number for trial in eligible)}
    table = {source: scores for source, scores in final_scores(finals).items() if source in numbers}
    if not table:
        return max(eligible, key=final_value).number
    seeds = max(len(scores) for scores in table.values())
    candidates = [source for source, scores in table.items() if len(scores) == seeds]
    return max(candidates, key=lambda source: (statistics.fmean(table[source].values()), source == BASE_TRIAL))


def best_run(search: TrialStore, finals: TrialStore, number: int) -> tuple[str, int | None]:
    """(folder in `trials/`, seed if it is one of the finals) of the winner's run that becomes `best/`.

    It is the run of the search, by which the config was chosen, unless that is not complete, see `seed_of_best`.
    """
    is_complete = search[number].state is TrialState.COMPLETE
    seed = seed_of_best(is_complete, final_scores(finals).get(number, {}))
    return label_of(number, {} if seed is None else {SOURCE: number, SEED: seed}), seed


def require_winner_checkpoints(study: Study, search: TrialStore, finals: TrialStore, folder: Path) -> None:
    """Checks that the winner's checkpoints exist.

    Raises:
        UserError: a checkpoint is missing; says how to make it again.
    """
    number = winner(search, finals)
    seeds = final_scores(finals).get(number, {})
    labels = {best_run(search, finals, number)[0], *(label_of(number, {SOURCE: number, SEED: seed}) for seed in seeds)}
    runs = [run for label in sorted(labels) for run in run_folders(folder / TRIALS / label, study.settings.splits)]
    if missing := [run for run in runs if not holds_checkpoint(run / BEST)]:
        raise UserError([_missing_checkpoint(run, number) for run in missing])


def _missing_checkpoint(run: Path, number: int) -> str:
    """number: of the winner, of which the folder `run` should hold a checkpoint."""
    lost, config = f"{run / BEST}: the checkpoint of the winner, trial {number}, is missing", run / CONFIG_FILE
    if not config.is_file():
        return f"{lost}, and so is {config.name}; put both back, or search again under another --name"
    return (
        f"{lost}; put it back, or train it again: python experiments/train.py --config {shlex.quote(str(config))} "
        f"--threads 1 --resume --set {shlex.quote(f'general_parameters.path_to_save={run}')}; then run the same "
        "command again"
    )


def score_test_split(study: Study, search: TrialStore, finals: TrialStore, folder: Path) -> dict[str, Any]:
    """Test scores of the base config and the winner, each with the same seeds; computed once, then read from the file.

    Returns {"base" | "winner": {trial, seeds, objective, std, per_seed, mean_macro_f1, heads: {head: {accuracy,
    macro_f1, top1, ...}}}}: the objective and its spread, and the mean macro-F1 over all heads, which equals it if
    neither heads nor another score are named; a score that has no meaning for a head is None.
    The base config's entry is None if it has no checkpoint. What the winner confuses is written beside it.
    """
    path, best, table = folder / TEST_SCORES, winner(search, finals), final_scores(finals)
    runs = {"winner": (best, sorted(table.get(best, {}))), "base": (BASE_TRIAL, sorted(table.get(BASE_TRIAL, {})))}
    if path.exists():
        known = _read_scores(path)
        if all(entry is None or (entry["trial"], entry["seeds"]) == runs[name] for name, entry in known.items()):
            return known
    scores: dict[str, Any] = {}
    for name, (source, seeds) in runs.items():
        attributes: list[dict[str, int]] = [{SOURCE: source, SEED: seed} for seed in seeds] or [{}]
        trials = [folder / TRIALS / label_of(source, user_attrs) for user_attrs in attributes]
        by_seed = [[run / BEST for run in run_folders(trial, study.settings.splits)] for trial in trials]
        usable = all(holds_checkpoint(checkpoint) for checkpoints in by_seed for checkpoint in checkpoints)
        scored = _score_runs(study, by_seed) if usable else []
        scores[name] = {"trial": source, "seeds": seeds, **_mean_scores(scored)} if usable else None
        if name == "winner" and usable:
            _write_confusions([run for seed in scored for run in seed], source, seeds, folder)
    atomic_write_text(path, json.dumps(scores, indent=1))
    return scores


def measure_winner(study: Study, best: Path, print_line: Print, of_search: Path | None = None) -> None:
    """Adds to the winner's model when it should not be believed, see `add_reliability`; without it the model is usable.

    Args:
        of_search: the winner's model in the search, for the one that was trained on validation clips, too.
    """
    try:
        add_reliability(best, choose_device(study.base.general_parameters.gpu), of_search)
    except UserError as error:
        for problem in error.problems:
            print_line(f"the winner's probabilities are not calibrated: {problem}")


def _read_scores(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    if isinstance(known, dict) and all(map(_is_scores, known.values())):
        return known
    raise UserError(f"{path}: does not contain test scores; delete it, then run the same command to compute them again")


def _is_scores(entry: Any) -> bool:
    return entry is None or (isinstance(entry, dict) and {"trial", "seeds"} <= entry.keys())


def _score_runs(study: Study, by_seed: list[list[Path]]) -> list[list[ScoredSplit]]:
    """by_seed: the checkpoints of each seed, one per split; all have the same test clips."""
    runtime = LocalRuntime(choose_device(study.base.general_parameters.gpu), by_seed[0][0].parent)
    return [[evaluate_split(checkpoint, runtime, split="test") for checkpoint in seed] for seed in by_seed]


def _write_confusions(runs: Sequence[ScoredSplit], trial: int, seeds: Sequence[int], folder: Path) -> None:
    """Writes which classes the winner confuses, with frames of examples."""
    confusions = confusions_of(runs, trial, seeds)
    atomic_write_text(folder / CONFUSION, confusions.model_dump_json() + "\n")
    atomic_write_text(folder / EXAMPLES, examples_of(runs, confusions).model_dump_json() + "\n")


def _mean_scores(evaluated: list[list[ScoredSplit]]) -> dict[str, Any]:
    """evaluated: the runs of each seed, one per split."""
    scored = [[run.to_dict() for run in seed] for seed in evaluated]
    per_seed = [statistics.fmean(run["objective"] for run in seed) for seed in scored]
    runs = [run for seed in scored for run in seed]
    heads = {
        head: {
            key: None if value is None else statistics.fmean(run["heads"][head][key] for run in runs)
            for key, value in scores.items()
        }
        for head, scores in runs[0]["heads"].items()
    }
    return {
        "objective": statistics.fmean(per_seed),
        "mean_macro_f1": statistics.fmean(run["mean_macro_f1"] for run in runs),
        "std": statistics.stdev(per_seed) if len(per_seed) > 1 else 0.0,
        "per_seed": per_seed,
        "heads": heads,
    }
