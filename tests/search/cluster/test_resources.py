"""How many trials fit into a cluster."""

import pytest

from hearai.errors import ConfigError
from hearai.search.cluster.resources import Cluster, NoRoom, TrialResources, room_for

URL = "http://127.0.0.1:8265"


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        (TrialResources(), 20),
        (TrialResources(cpus=4), 5),
        (TrialResources(cpus=4, gpus=1), 2),
        (TrialResources(cpus=1, gpus=0.5), 4),
        (TrialResources(workers=2, cpus=4), 2),
    ],
)
def test_slots_are_counted_per_node(resources: TrialResources, slots: int) -> None:
    cluster = Cluster([(4, 1), (4, 1), (12, 0)], URL)
    assert cluster.slots(resources) == slots
    assert cluster.slots(resources, at_most=1) == 1


@pytest.mark.parametrize(
    ("nodes", "workers"),
    [
        ([{"CPU": 8, "GPU": 4, "memory": 64e9}], 4),
        ([{"CPU": 8, "GPU": 4, "memory": 25e9}], 2),
        ([{"CPU": 1, "GPU": 4, "memory": 64e9}, {"CPU": 8, "GPU": 1, "memory": 64e9}], 2),
        ([{"CPU": 8, "GPU": 0.5, "memory": 64e9}] * 4, 0),
        ([{"CPU": 8, "memory": 64e9}, {"GPU": 2, "memory": 64e9}], 0),
    ],
    ids=["whole", "memory", "CPUs", "fractions", "parts"],
)
def test_workers_need_all_they_use_on_one_node(nodes: list[dict[str, float]], workers: int) -> None:
    assert room_for(TrialResources(gpus=1), 10e9, nodes) == workers


def test_slots_are_those_of_the_cluster_the_autoscaler_may_start() -> None:
    cluster = Cluster([(0, 0)], URL, growth=[(8, 1)] * 3)
    assert cluster.slots(TrialResources(cpus=8, gpus=1)) == 3
    assert str(cluster) == "0 CPUs, 0 GPUs (grows to 24 CPUs, 3 GPUs)"


def test_a_trial_that_does_not_fit_is_refused() -> None:
    cluster = Cluster([(4, 1), (4, 1), (8, 0)], URL)
    with pytest.raises(NoRoom, match=r"needs 1 x \(16 CPUs, 0 GPUs\).* 2 x \(4 CPUs, 1 GPU\) \+ \(8 CPUs, 0 GPUs\)"):
        cluster.slots(TrialResources(cpus=16))


def test_worker_groups_need_whole_gpus_and_a_dashboard() -> None:
    with pytest.raises(ConfigError, match="two workers cannot share a GPU"):
        Cluster([(4, 1)], URL).slots(TrialResources(workers=2, gpus=0.5))
    with pytest.raises(ConfigError, match="Ray's dashboard is not running"):
        Cluster([(4, 1)], None).slots(TrialResources(workers=2))
