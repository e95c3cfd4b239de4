"""The spec of a trial travels as a plain dictionary."""

from pathlib import Path

import yaml
from ray.tune.experiment import Trial

from hearai.config.config import build_config, to_dict
from hearai.search.trial.spec import TrialSpec


def test_a_spec_survives_as_plain_yaml_types() -> None:
    config = to_dict(build_config({}))
    spec = TrialSpec(3, "trials/0003", config, kind="base", study="tiny", label="0003", gpus=0.5, hang_seconds=20)
    raw = spec.to_dict()
    assert TrialSpec.from_dict(yaml.safe_load(yaml.safe_dump(raw))) == spec
    assert raw["config"] == config


def test_a_spec_is_read_from_a_tune_trial_with_keys_of_its_own() -> None:
    spec = TrialSpec(3, "trials/0003", {})
    trial = Trial("run", config={**spec.to_dict(), "__trial_info__": "of Tune"}, stub=True)
    assert TrialSpec.of(trial) == spec


def test_a_single_run_belongs_to_no_search_and_never_hangs(tmp_path: Path) -> None:
    spec = TrialSpec.single_run(tmp_path / "run", {}, threads=2, workers=4)
    assert (spec.study, spec.storage, spec.hang_seconds, spec.folds) == (None, None, None, 1)
    assert (spec.folder, spec.threads, spec.workers) == (str(tmp_path / "run"), 2, 4)
