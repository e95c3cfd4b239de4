"""Two workers train what one worker trains: a group of two processes over gloo."""

import json

import pytest
import torch
import torch.multiprocessing as mp

from hearai.config.config import load_config, to_yaml
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from tests.helpers.gloo import GlooRuntime, gloo_group

pytestmark = pytest.mark.training


def work(rank, folder):
    with gloo_group(folder / "rendezvous", rank):
        runtime = GlooRuntime(folder / "two", rank, 2)
        fit(load_config(folder / "config.yaml"), runtime)
    (folder / f"reports{rank}.json").write_text(json.dumps({"wraps": runtime.wraps, "reports": runtime.reports}))


EVERYTHING = {
    "train_parameters.class_weights": "balanced",
    "train_parameters.label_smoothing": 0.1,
    "train_parameters.gradient_accumulation": 3,  # a share of two clips has two parts only
    "train_parameters.gradient_clip": 0.5,
    "freeze_scheduler.freeze_mode": "step",
    "freeze_scheduler.freeze_pattern_repeats": [3, 999],  # of two steps an epoch
}


COMPILED = pytest.param({**EVERYTHING, "train_parameters.compile": True}, marks=pytest.mark.slow)  # minutes


@pytest.mark.parametrize(
    "changes", [{}, EVERYTHING, COMPILED], ids=["plain", "by step, weighted, smoothed, accumulated", "compiled"]
)
def test_two_workers_equal_one(make_config, make_dataset, tmp_path, monkeypatch, changes):
    """Six clips in batches of five: shares of three and two, then a clip for one worker and a stand-in."""
    config = make_config(
        make_dataset(clips=12, signers=0),
        {
            "general_parameters.ratio_test": 0.1,
            "general_parameters.ratio_train_test": 0.55,
            "train_parameters.batch_size": 5,
            "train_parameters.epochs": 3,
            "transformer.dropout_rate": 0.0,
            "freeze_scheduler.model_params": {
                "feature_extractor.backbone": [True, True],
                "transformer": [True, False],
            },
            "freeze_scheduler.freeze_pattern_repeats": [1, 5],
            **changes,
        },
    )
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    fit(config, LocalRuntime("cpu", tmp_path / "one"))
    mp.spawn(work, (tmp_path,), nprocs=2)

    first, second = (json.loads((tmp_path / f"reports{rank}.json").read_text()) for rank in (0, 1))
    assert first == second, "all workers report the same, already global numbers"
    assert first["wraps"] == 2, "wrapped again when the transformer was unfrozen"
    alone = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    for one, two in zip(alone, first["reports"], strict=True):
        assert two == pytest.approx({key: one[key] for key in two}, abs=1e-5)
    frozen = [report["frozen/transformer"] for report in alone]
    assert frozen == ([1, 0.5, 0] if changes else [1, 0, 0])
    one, two = (load_checkpoint(tmp_path / name / "last")["model"] for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        if not name.endswith("in_proj_bias"):  # attention ignores the keys' bias: Adam magnifies its rounding noise
            assert torch.allclose(one[name], two[name], atol=1e-5), name
