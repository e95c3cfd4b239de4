"""Tasks of the public tables: names, curves, the noise of a seed, and the scale of regrets."""

import math
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from hearai.benchmarks.tables.tasks import LCBENCH, TASKSET, data_folder, load_task, task_names
from hearai.errors import UserError

RECORDED = "patch32_GRU128_bs128"


@pytest.fixture
def curves_folder(real_data: Path) -> Path:
    if not (real_data / "hpo_curves").is_dir():
        pytest.skip(f"{real_data} has no hpo_curves")
    return real_data / "hpo_curves"


def test_development_and_held_out_tasks_are_disjoint(curves_folder: Path) -> None:
    development, held_out = task_names(LCBENCH), task_names(LCBENCH, "held-out")
    assert len(development) == 6 and sorted(development + held_out) == task_names(LCBENCH, "all")
    assert task_names(TASKSET) == task_names(TASKSET, "all") and RECORDED in task_names(TASKSET)
    assert task_names(LCBENCH, f"{development[1]},{development[0]}") == [development[1], development[0]]


@pytest.mark.parametrize(
    ("table", "chosen", "message"),
    [(LCBENCH, "39455", "did you mean '3945'"), (LCBENCH, ",", "no task"), (TASKSET, "held-out", "taskset has none")],
)
def test_unknown_tasks_are_refused(curves_folder: Path, table: str, chosen: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_names(table, chosen)


def test_missing_data_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEARAI_REAL_DATA", raising=False)
    with pytest.raises(UserError, match="HEARAI_REAL_DATA is not set"):
        data_folder(LCBENCH)
    monkeypatch.setenv("HEARAI_REAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"lcbench: no such folder; set HEARAI_REAL_DATA"):
        load_task(LCBENCH, "3945")


def test_damaged_table_is_refused(curves_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(curves_folder / LCBENCH, tmp_path / "hpo_curves" / LCBENCH)
    (tmp_path / "hpo_curves" / TASKSET).mkdir()
    model = tmp_path / "hpo_curves" / LCBENCH / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(b"not a model")
    (tmp_path / "hpo_curves" / TASKSET / "half.npz").write_bytes(b"PK\x03\x04")
    monkeypatch.setenv("HEARAI_REAL_DATA", str(tmp_path))
    for table, name in ((LCBENCH, "3945"), (TASKSET, "half")):
        with pytest.raises(UserError, match=f"task {name} cannot be read"):
            load_task(table, name)


@pytest.mark.heavy  # measures the scale of its task
def test_recorded_config_is_answered_with_its_neighbourhood(curves_folder: Path) -> None:
    task = load_task(TASKSET, RECORDED)
    with np.load(curves_folder / TASKSET / f"{RECORDED}.npz") as table:
        loss = table["valid"][:, 1:]
    curve = task.task.curve(task.study.base_params(), 0)
    assert len(curve) == task.study.max_epochs == loss.shape[1] == 50
    assert all(-2 <= value <= -np.nanmin(loss) * 0.5 for value in curve)
    assert task.task.true_value(task.study.base_params()) == pytest.approx(max(curve))


@pytest.mark.heavy  # measures the scale of its task
def test_config_whose_neighbours_diverge_diverges(curves_folder: Path) -> None:
    task, rng = load_task(TASKSET, "patch32_IRNN64_relu_avg_bs128"), random.Random(0)
    curves = [task.task.curve(task.study.space.sample(rng, task.study.base), 0) for _ in range(60)]
    diverged = [curve for curve in curves if math.isnan(curve[-1])]
    assert diverged
    for curve in diverged:
        first = next(i for i, value in enumerate(curve) if math.isnan(value))
        assert all(map(math.isnan, curve[first:])), "a diverged run does not come back"


@pytest.mark.heavy  # measures the scale of its task
def test_surrogate_answers_every_point_of_its_space(curves_folder: Path) -> None:
    task, rng = load_task(LCBENCH, task_names(LCBENCH)[0]), random.Random(0)
    for _ in range(5):
        point = task.study.space.sample(rng, task.study.base)
        curve = task.task.curve(point, 0)
        assert len(curve) == 52 and all(0 <= value <= 1.001 for value in curve)
        assert task.task.epoch_seconds(point) > 0
    assert task.study.base_params().keys() == task.study.space.domains.keys()


@pytest.mark.heavy  # measures the scale of its task
def test_noise_is_that_of_the_seed(curves_folder: Path) -> None:
    name, noise = task_names(LCBENCH)[0], 0.1
    clean, noisy = load_task(LCBENCH, name), load_task(LCBENCH, name, noise)
    base = clean.study.base_params()
    assert noisy.task.curve(base, 1) == noisy.task.curve(base, 1) != noisy.task.curve(base, 2)
    assert noisy.task.true_value(base) == clean.task.true_value(base), "what is judged has no noise"
    errors = np.array([noisy.task.curve(base, seed) for seed in range(400)]) - clean.task.curve(base, 0)
    assert errors.std(0) == pytest.approx(noise * clean.scale.unit, rel=0.2)
    near, far = (np.corrcoef(errors[:, 20], errors[:, epoch])[0, 1] for epoch in (21, 51))
    assert near > 0.8 and 0.3 < far < 0.7, "an offset per seed, and a process along the curve"


@pytest.mark.heavy  # measures the scale of its task
def test_regret_is_1_for_a_median_config(curves_folder: Path) -> None:
    task, rng = load_task(LCBENCH, task_names(LCBENCH)[0]), random.Random(3)
    values = [task.task.true_value(task.study.space.sample(rng, task.study.base)) for _ in range(201)]
    assert np.median([task.scale.regret(value) for value in values]) == pytest.approx(1, abs=0.15)
    assert min(task.scale.regret(value) for value in values) > 0 == task.scale.regret(task.scale.best)
