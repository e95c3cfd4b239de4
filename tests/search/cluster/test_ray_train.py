"""Runs and trials through Ray Train give the same numbers as a single process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from hearai.config.config import Config
from hearai.config.study import Study
from hearai.reporting.study_report.page import write_results
from hearai.search.cluster.ray_train import train_with_ray
from hearai.search.cluster.resources import TrialResources
from hearai.search.run import Options, run_study
from hearai.training.setup.single_run import run_single

pytestmark = pytest.mark.training
NO_DROPOUT = {"transformer.dropout_rate": 0.0, "general_parameters.gpu": -1, "train_parameters.epochs": 3}


def history(folder: Path) -> list[dict[str, float]]:
    """The metrics of a run's epochs without durations."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_local_mode_gives_the_numbers_of_a_plain_run(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, NO_DROPOUT)
    run_single(config, tmp_path / "plain")
    train_with_ray(config, tmp_path / "local", workers=0)
    assert history(tmp_path / "local") == history(tmp_path / "plain")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_two_workers_give_the_numbers_of_one(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, NO_DROPOUT)
    run_single(config, tmp_path / "one")
    train_with_ray(config, tmp_path / "two", workers=2)
    for one, two in zip(history(tmp_path / "one"), history(tmp_path / "two"), strict=True):
        assert two == pytest.approx(one, abs=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_search_over_worker_groups_releases_its_resources(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study = make_study({"budget": {"trials": 2}, "finalists": {"count": 0}})
    outcome = run_study(study, Options(tmp_path, resources=TrialResources(workers=2)), lambda _: None)
    write_results(outcome.folder)
    summary = json.loads((outcome.folder / "summary.json").read_text())
    assert summary["trials"] == {"total": 2, "complete": 2, "pruned": 0, "failed": 0, "paused": 0}
    assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_reused_actor_does_not_grow_over_200_pruned_trials(make_study: Callable[..., Study], tmp_path: Path) -> None:
    import psutil
    import ray.util.state

    settings = {
        "budget": {"trials": 200},
        "finalists": {"count": 0},
        "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 4},
    }
    bytes_seen, threads_seen = [], []

    def watch(_: str) -> None:
        address = ray.get_runtime_context().gcs_address
        workers = ray.util.state.list_workers(address, filters=[("worker_type", "=", "WORKER")], detail=True)
        alive = [psutil.Process(worker.pid) for worker in workers if psutil.pid_exists(worker.pid)]
        bytes_seen.append(max((process.memory_info().rss for process in alive), default=0))
        threads_seen.append(max((process.num_threads() for process in alive), default=0))

    run_study(make_study(settings), Options(tmp_path, max_concurrent=1), watch)
    assert len(bytes_seen) >= 200
    early, late = max(bytes_seen[10:30]), max(bytes_seen[-20:])
    assert late - early < 100e6, f"grew from {early / 1e6:.0f} to {late / 1e6:.0f} MB"
    early, late = max(threads_seen[10:30]), max(threads_seen[-20:])
    assert late <= early + 2, f"from {early} to {late} threads"
    held = [path.parent.name for path in (tmp_path / "tiny" / "trials").glob("*/best")]
    assert len(held) <= 2, f"checkpoints of {held} are left"
