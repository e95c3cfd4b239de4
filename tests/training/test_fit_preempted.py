"""A preempted run loses no step and ends like an uninterrupted one; a superseded run writes nothing more."""

import pytest
import torch.multiprocessing as mp

from hearai.config.config import load_config, to_yaml
from hearai.errors import Preempted, Superseded
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.gloo import GlooRuntime, gloo_group
from tests.helpers.preempted_runs import assert_same_result, files, history, run_uninterrupted

pytestmark = pytest.mark.training

DROPOUT = {"transformer.dropout_rate": 0.3, "train_parameters.batch_size": 2}
UNFROZEN_BY_STEP = {
    "freeze_scheduler.freeze_mode": "step",
    "freeze_scheduler.freeze_pattern_repeats": [2, 999],
    "freeze_scheduler.model_params": {"feature_extractor.backbone": [True, False]},
}


class AlwaysPreempted(LocalRuntime):
    """Preempted after every step."""

    def __init__(self, folder):
        super().__init__("cpu", folder, resume=True)

    def is_preempted(self, step):
        return True


class SupersededRuntime(LocalRuntime):
    """Superseded in its third epoch."""

    def report(self, metrics, checkpoint):
        self.before = files(self.folder)

    def ensure_current_attempt(self):
        if len(history(self.folder)) == 2:
            raise Superseded("another process continues the run")


class PreemptedWorker(GlooRuntime):
    """One of two workers that are preempted after the second step of their first epoch."""

    def is_preempted(self, step):
        return step == 1

    def restore_from(self):
        last = self.folder / "last"
        return last if last.is_dir() else None


class ResumedWorker(PreemptedWorker):
    def is_preempted(self, step):
        return False


@pytest.mark.parametrize("changes", [{}, UNFROZEN_BY_STEP], ids=["cached features", "images, unfrozen within an epoch"])
def test_preemption_after_every_step_changes_nothing(make_config, tiny_dataset, tmp_path, changes):
    config = make_config(tiny_dataset, {**DROPOUT, **changes})
    uninterrupted = fit(config, LocalRuntime("cpu", tmp_path / "uninterrupted"))
    reasons = []
    for _ in range(100):
        try:
            moved = fit(config, AlwaysPreempted(tmp_path / "moved"))
            break
        except Preempted as preempted:
            reasons.append(str(preempted))
    assert len(reasons) == len(set(reasons)) >= 4, "each attempt takes one step"
    assert "stopped in epoch 2, after 1 of" in " ".join(reasons)
    assert (moved.best, moved.best_epoch, moved.epochs) == (uninterrupted.best, uninterrupted.best_epoch, 2)
    assert_same_result(tmp_path / "moved", tmp_path / "uninterrupted")


def work(rank, folder, kind):
    with gloo_group(folder / f"rendezvous-{kind.__name__}", rank):
        try:
            fit(load_config(folder / "config.yaml"), kind(folder / "moved", rank, 2))
        except Preempted:
            (folder / f"preempted{rank}").touch()


@pytest.mark.slow
def test_two_preempted_workers_resume_together(make_config, tiny_dataset, tmp_path, monkeypatch):
    config = make_config(tiny_dataset, DROPOUT)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    mp.spawn(run_uninterrupted, (tmp_path,), nprocs=2)
    mp.spawn(work, (tmp_path, PreemptedWorker), nprocs=2)
    assert (tmp_path / "preempted0").exists() and (tmp_path / "preempted1").exists()
    mp.spawn(work, (tmp_path, ResumedWorker), nprocs=2)
    assert_same_result(tmp_path / "moved", tmp_path / "uninterrupted")


def test_a_superseded_run_writes_nothing_more(make_config, tiny_dataset, tmp_path):
    runtime = SupersededRuntime("cpu", tmp_path)
    with pytest.raises(Superseded):
        fit(make_config(tiny_dataset, {"train_parameters.epochs": 4}), runtime)
    assert len(history(tmp_path)) == 2 and files(tmp_path) == runtime.before
    assert not (tmp_path / "best").exists(), "best/ is written at the end, by the process that reaches it"
