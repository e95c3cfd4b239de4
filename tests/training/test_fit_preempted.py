"""A run that leaves its machine loses no step, and ends as if it had stayed; one that was overtaken writes no more."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from hearai.config.config import load_config, to_yaml
from hearai.errors import Preempted, Superseded
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.gloo import GlooRuntime
from tests.helpers.preempted_runs import files, history, same_ending, stay

DROPOUT = {"transformer.dropout_rate": 0.3, "train_parameters.batch_size": 2}
THAWED_BY_STEP = {
    "freeze_scheduler.freeze_mode": "step",
    "freeze_scheduler.freeze_pattern_repeats": [2, 999],
    "freeze_scheduler.model_params": {"feature_extractor.backbone": [True, False]},
}


class Restless(LocalRuntime):
    """Leaves after every step."""

    def __init__(self, folder):
        super().__init__("cpu", folder, resume=True)

    def is_preempted(self, step):
        return True


class Overtaken(LocalRuntime):
    """Taken for dead in its third epoch."""

    def report(self, metrics, checkpoint):
        self.before = files(self.folder)

    def ensure_current_attempt(self):
        if len(history(self.folder)) == 2:
            raise Superseded("it goes on elsewhere")


class Once(GlooRuntime):
    """One of two workers that leave after the second step of their first epoch."""

    def is_preempted(self, step):
        return step == 1

    def restore_from(self):
        last = self.folder / "last"
        return last if last.is_dir() else None


class Staying(Once):
    def is_preempted(self, step):
        return False


@pytest.mark.parametrize("changes", [{}, THAWED_BY_STEP], ids=["kept features", "pictures, thawed in mid-epoch"])
def test_a_run_that_leaves_after_every_step_ends_like_one_that_stays(make_config, tiny_dataset, tmp_path, changes):
    config = make_config(tiny_dataset, {**DROPOUT, **changes})
    whole = fit(config, LocalRuntime("cpu", tmp_path / "whole"))
    places = []
    for _ in range(100):
        try:
            moved = fit(config, Restless(tmp_path / "moved"))
            break
        except Preempted as leaving:
            places.append(str(leaving))
    assert len(places) == len(set(places)) >= 4, "each attempt takes one step"
    assert "left in epoch 2, after 1 of" in " ".join(places)
    assert (moved.best, moved.best_epoch, moved.epochs) == (whole.best, whole.best_epoch, 2)
    same_ending(tmp_path / "moved", tmp_path / "whole")


def work(rank, folder, kind):
    torch.set_num_threads(1)
    meeting = folder / f"meeting-{kind.__name__}"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    try:
        fit(load_config(folder / "config.yaml"), kind(folder / "moved", rank, 2))
    except Preempted:
        (folder / f"left{rank}").touch()
    dist.destroy_process_group()


def test_two_workers_that_leave_together_go_on_together(make_config, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    config = make_config(tiny_dataset, DROPOUT)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    mp.spawn(stay, (tmp_path,), nprocs=2)
    mp.spawn(work, (tmp_path, Once), nprocs=2)
    assert (tmp_path / "left0").exists() and (tmp_path / "left1").exists()
    mp.spawn(work, (tmp_path, Staying), nprocs=2)
    same_ending(tmp_path / "moved", tmp_path / "whole")


def test_a_run_that_goes_on_elsewhere_writes_nothing_more(make_config, tiny_dataset, tmp_path):
    runtime = Overtaken("cpu", tmp_path)
    with pytest.raises(Superseded):
        fit(make_config(tiny_dataset, {"train_parameters.epochs": 4}), runtime)
    assert len(history(tmp_path)) == 2 and files(tmp_path) == runtime.before
    assert not (tmp_path / "best").exists(), "best/ is written at the end, by the one that gets there"
