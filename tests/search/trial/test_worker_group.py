"""What the workers of a group tell apart, and what they leave room for."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from ray.exceptions import ActorUnavailableError
from torch.nn.parallel import DistributedDataParallel

from hearai.search.trial.worker_group import DRIVER_CPU, is_peer_failure, worker_resources
from hearai.search.tune.failures import explain


def leave_alone(rank: int, folder: Path, how: str) -> None:
    """Worker 1 dies between two rounds of messages; worker 0 writes down what it makes of that."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/{how}", rank=rank, world_size=2)
    model = DistributedDataParallel(torch.nn.Linear(3, 3))
    dist.barrier()
    if rank == 1:
        return
    try:
        while True:
            dist.all_reduce(torch.ones(3)) if how == "sum" else model(torch.ones(2, 3)).sum().backward()
    except RuntimeError as error:
        (folder / f"{how}.txt").write_text(f"{is_peer_failure(error)} {error}")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sum", "gradients"])
def test_a_worker_knows_when_it_has_only_lost_touch_with_another_one(tmp_path: Path, how: str) -> None:
    mp.spawn(leave_alone, (tmp_path, how), nprocs=2)
    assert (tmp_path / f"{how}.txt").read_text().startswith("True ")


def test_a_report_that_nobody_hears_any_more_is_one_of_those() -> None:
    """As a worker that was reporting sees it when the actor that waits for its group is killed."""
    assert is_peer_failure(ActorUnavailableError("RPC error: recvmsg: Connection reset by peer", None))


def test_a_fault_of_its_own_is_none_of_those() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_peer_failure(raised.value)


def test_a_node_has_room_for_its_workers_beside_the_drivers_of_a_hundred_trials() -> None:
    assert worker_resources(1, 0)["CPU"] + 100 * DRIVER_CPU <= 1


GROUP_ERROR = """
  File "/x/hearai/search/trial.py", line 88, in run_worker_group
    trainer.fit()
ray.train.WorkerGroupError: Training failed due to worker errors:
[Rank 1 Error Snippet]:
A worker health check failed.
Worker info: Worker(
  actor=Actor(RayTrainWorker, 3554365752d4ffa957f08e3101000000),
  distributed_context=DistributedContext(world_rank=1, world_size=2, local_rank=1, local_world_size=2, node_rank=0),
)
"""
"""As Ray 2.60 writes it, up to what it says of the worker."""


@pytest.mark.parametrize(
    ("said", "cause", "reason"),
    [
        ("The actor died because its node has died. Node Id: 4ba4", "machine", "its machine died, or was taken away"),
        (
            "Worker exits with a connection error. End of file.",
            "trial",
            "killed by SIGKILL (out of memory?), or left by",
        ),
        (
            "Task was killed due to the node running low on memory.",
            "trial",
            "killed by Ray: its machine ran out of mem",
        ),
        (
            "hearai.errors.Preempted: left in epoch 3, after 1 of 4 steps",
            "notice",
            "its machine is being taken",
        ),
    ],
)
def test_why_a_group_failed_is_read_from_what_ray_says_of_a_worker(
    tmp_path: Path, said: str, cause: str, reason: str
) -> None:
    failure = explain(f"{GROUP_ERROR}{said}", {"folder": str(tmp_path), "log_from": 0, "hang_seconds": 20})
    assert failure.cause == cause and failure.reason.startswith(reason)
