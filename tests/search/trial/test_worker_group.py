"""Worker groups: errors that a peer has caused, and the resources of workers."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from ray.exceptions import ActorUnavailableError
from torch.nn.parallel import DistributedDataParallel

from hearai.search.trial.worker_group import DRIVER_CPU, is_peer_failure, worker_resources


def lose_peer(rank: int, folder: Path, how: str) -> None:
    """Worker 1 dies between two all-reduces; worker 0 records how it classifies its own error."""
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
def test_an_error_that_a_lost_peer_causes_is_recognised(tmp_path: Path, how: str) -> None:
    mp.spawn(lose_peer, (tmp_path, how), nprocs=2)
    assert (tmp_path / f"{how}.txt").read_text().startswith("True ")


def test_a_report_to_a_dead_trial_actor_is_a_peer_failure() -> None:
    """As a worker sees it when the actor that waits for its group is killed during a report."""
    assert is_peer_failure(ActorUnavailableError("RPC error: recvmsg: Connection reset by peer", None))


def test_an_error_of_its_own_is_not_a_peer_failure() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_peer_failure(raised.value)


def test_workers_leave_room_for_the_drivers_of_100_trials() -> None:
    assert worker_resources(1, 0)["CPU"] + 100 * DRIVER_CPU <= 1
