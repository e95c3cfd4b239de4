"""Pre-training by a Ray Train worker group: its size, and two workers on CPUs."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from hearai.config.config import Config, to_dict
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.config.study_schema import Pretrain
from hearai.errors import UserError
from hearai.search.cluster.node_checks import prepare_inputs_on_nodes
from hearai.search.cluster.node_tasks import pretrain_on_any_node
from hearai.search.cluster.resources import TrialResources
from hearai.search.plan import make_plan
from hearai.search.storage.study_sync import StudyLocation, StudySync
from hearai.search.trial.pretrain_group import group_size
from hearai.search.trial.pretrain_task import PretrainSpec, SavedEpochs, pretrain_task

WITHOUT_BATCH_NORMS = {"feature_extractor.model_path": "test_vit"}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("available", "batch_size", "clips", "size"),
    [
        (1, 64, 500, 1),
        (2, 64, 500, 2),
        (8, 64, 500, 4),
        (8, 256, 500, 8),
        (8, 31, 500, 1),
        (8, 64, 40, 2),
        (8, 2, 3, 1),
    ],
)
def test_each_worker_gets_at_least_16_frames_of_a_batch(
    make_config: Callable[..., Config], available: int, batch_size: int, clips: int, size: int
) -> None:
    config, settings = make_config(), Pretrain(batch_size=batch_size)
    assert group_size(config, settings, available, clips=clips, on_gpu=True) == size


@pytest.mark.heavy
def test_batch_norms_need_one_worker_on_cpus(
    make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hearai")
    assert group_size(make_config(None, WITHOUT_BATCH_NORMS), Pretrain(), 2, clips=500, on_gpu=False) == 2
    assert not caplog.text
    assert group_size(make_config(), Pretrain(), 2, clips=500, on_gpu=False) == 1
    assert "pre-training by one worker: " in caplog.text and "batch norms" in caplog.text


@pytest.fixture
def pretrain(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path, ray_session: None
) -> Callable[..., dict]:
    """pretrain(settings, print_line, changes={}): what a group of two workers writes, for a study in `tmp_path`."""

    def run(settings: Pretrain, print_line: Callable[[str], None], changes: dict | None = None) -> dict:
        config = make_config(tiny_dataset, {**WITHOUT_BATCH_NORMS, **(changes or {})})
        study = StudyLocation(tmp_path / "study")
        _, content, seconds = pretrain_on_any_node(
            config, settings, study, "backbone.pt", TrialResources(), print_line, workers=2
        )
        assert seconds > 0
        (tmp_path / "two.pt").write_bytes(content)
        return torch.load(tmp_path / "two.pt", weights_only=True)

    return run


def alone(config: Config, settings: Pretrain, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """What one worker writes, without a group and with a cache of its own."""
    monkeypatch.setenv("HEARAI_CACHE", str(folder / "cache"))
    spec = PretrainSpec(to_dict(config), settings.model_dump(), str(folder / "one"), None, "backbone.pt")
    (folder / "one.pt").write_bytes(pretrain_task(spec)[1])
    return torch.load(folder / "one.pt", weights_only=True)


@pytest.mark.training
def test_a_group_of_two_equals_one_worker(
    pretrain: Callable[..., dict],
    make_config: Callable[..., Config],
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, lines = Pretrain(epochs=2, batch_size=7, patience=0), list[str]()
    two = pretrain(settings, lines.append)
    one = alone(make_config(tiny_dataset, WITHOUT_BATCH_NORMS), settings, tmp_path, monkeypatch)
    for by_one, by_two in zip(one["curve"], two["curve"], strict=True):
        assert by_two == pytest.approx({**by_one, "seconds": by_two["seconds"]}, abs=1e-4)
    saved = SavedEpochs(StudyLocation(tmp_path / "study"), "backbone.pt")
    assert saved.line().startswith("pre-training epoch 2 of 2: loss "), "of the group's first worker"
    saved.remove()
    assert not list((tmp_path / "study").iterdir())
    again = pretrain(settings, lines.append)
    assert all(torch.equal(again["backbone"][name], two["backbone"][name]) for name in two["backbone"])
    assert saved.line().startswith("pre-trained backbone from the cache: "), "of the node"


@pytest.mark.slow
def test_a_machine_alone_uses_a_group_before_a_search(
    ray_session: None,
    make_study: Callable[..., Study],
    make_dataset: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a machine with two GPUs; 80 clips are enough for two workers."""
    study = make_study({"pretrain": {"epochs": 1}}, WITHOUT_BATCH_NORMS)
    data = override(study.base, {"general_parameters.data_path": [str(make_dataset("many", clips=80))]})
    folder, lines = tmp_path / "study", list[str]()
    plan = make_plan(replace(study, base=data), folder)
    folder.mkdir()
    seconds = prepare_inputs_on_nodes(plan, StudySync(folder), TrialResources(), lines.append, workers=2)
    assert lines[0] == "pre-training test_vit by 2 workers"
    assert lines[-1].startswith("pre-trained in ") and seconds > 0
    assert [path.name for path in folder.iterdir()] == ["backbone.pt"]
    two = torch.load(folder / "backbone.pt", weights_only=True)["curve"]
    one = alone(plan.start, study.settings.pretrain, tmp_path, monkeypatch)["curve"]
    assert two[0] == pytest.approx({**one[0], "seconds": two[0]["seconds"]}, abs=1e-4)


def workers() -> list[psutil.Process]:
    """The processes of the group's workers; Ray is a child of this process."""
    children = psutil.Process().children(recursive=True)
    return [process for process in children if any("RayTrainWorker" in part for part in process.cmdline())]


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_epoch(pretrain: Callable[..., dict], tmp_path: Path) -> None:
    settings, killed = Pretrain(epochs=100, batch_size=7, patience=0, lr=1e-4), list[str]()

    def kill(line: str) -> None:
        if not killed and line.startswith("pre-training epoch "):
            workers()[-1].kill()
            killed.append(line)

    broken = pretrain(settings, kill)
    assert killed and len(broken["curve"]) == 100


@pytest.mark.slow
def test_an_error_of_the_user_ends_a_group_with_its_message(pretrain: Callable[..., dict]) -> None:
    with pytest.raises(UserError, match="^pre-training on the cluster: .*no_such_model"):
        pretrain(Pretrain(epochs=2, batch_size=7), lambda _: None, {"feature_extractor.model_path": "no_such_model"})


@pytest.mark.slow
def test_one_worker_continues_where_a_group_fails(pretrain: Callable[..., dict]) -> None:
    """Here by batch norms, of which workers on CPUs cannot share the statistics; `group_size` makes no such group."""
    lines = list[str]()
    changes = {"feature_extractor.model_path": "mobilenetv3_small_050"}
    backbone = pretrain(Pretrain(epochs=1, batch_size=7), lines.append, changes)
    assert any(line.startswith("pre-training by 2 workers failed (") for line in lines), lines
    assert len(backbone["curve"]) == 1
