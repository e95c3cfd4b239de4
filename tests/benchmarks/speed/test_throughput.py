"""The plain loop and ours: the same clips and model, and what their comparison says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hearai.benchmarks.speed.commands import throughput, throughput_report
from hearai.benchmarks.speed.costs import Cost
from hearai.benchmarks.speed.plain_loop import PlainRun
from hearai.benchmarks.speed.throughput import Epochs, epoch_costs
from hearai.config.config import Config
from hearai.errors import ConfigError


@pytest.mark.heavy
def test_the_plain_loop_trains_the_head_of_a_frozen_backbone(tiny_config: Config, tmp_path: Path) -> None:
    run = PlainRun(tiny_config, frozen=True)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.train()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any(name.startswith("feature_extractor.backbone") for name in changed)
    assert 0 <= run.validate() <= 1
    run.save(tmp_path / "plain.pt")
    assert (tmp_path / "plain.pt").stat().st_size


@pytest.mark.training
def test_each_of_our_epochs_has_its_cost(tiny_config: Config, tmp_path: Path) -> None:
    costs = epoch_costs(tiny_config, tmp_path / "run")
    assert len(costs) == 2 and all(cost.wall > 0 and cost.cpu > 0 for cost in costs)


def test_arithmetic_dominates_only_where_the_backbone_runs() -> None:
    epochs = Epochs("demo", 10, Cost(8, 8), Cost(1, 1), {"forward": 1.0}, operations=4e9, peak=2e9, threads=2)
    assert epochs.plain_share == 0.5 and epochs.our_share is None
    unfrozen = replace(epochs, case="demo-unfrozen")
    assert unfrozen.our_share == 4
    report = throughput_report([epochs, unfrozen], steps=3)
    assert report.ratios() == {"demo": 8, "demo-unfrozen": 8}


def test_an_unknown_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--cases: unknown case 'demos'; choose from .*did you mean 'demo'"):
        throughput(["demos"], tmp_path, print, clips=None, repeats=1, steps=1, threads=1)
