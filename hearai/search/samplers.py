"""Who proposes: Optuna's samplers by name, and how a trial is asked for the parameters of a space."""

import optuna
from optuna.trial import Trial

from hearai.domains import Domain, Value
from hearai.study import Study
from hearai.study_file import Sampler


def build_sampler(settings: Sampler, seed: int, *, conditional: bool = False) -> optuna.samplers.BaseSampler:
    """Optuna's sampler; one worker and the same seed give the same suggestions.

    conditional: some parameters exist only with certain values of others; each set is then modelled apart
    (a feature that Optuna calls experimental, so it is asked for only where it is needed).
    """
    if settings.name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        multivariate=True,
        group=conditional,
        constant_liar=True,  # running trials count as poor, so that parallel proposals spread
        n_startup_trials=settings.startup_trials,
        seed=seed,
    )


def suggest(trial: Trial, study: Study) -> dict[str, Value]:
    """Asks Optuna for each active parameter; of the base config only for those its space allows."""

    def choose(path: str, domain: Domain) -> Value:
        if domain.kind == "choice":
            return trial.suggest_categorical(path, domain.values)
        if domain.kind == "int":
            step = int(domain.step or 1)
            return trial.suggest_int(path, int(domain.low), int(domain.high), log=domain.log, step=step)
        return trial.suggest_float(path, domain.low, domain.high, log=domain.log, step=domain.step)

    if trial.user_attrs.get("kind") == "base":
        return {path: choose(path, study.space.domains[path]) for path in study.base_params()}
    return study.space.walk(choose, study.base)
