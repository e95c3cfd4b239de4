"""How Ray's dashboard shows trials."""

from collections.abc import Callable
from pathlib import Path

import pytest
import ray
import ray.util.state

from hearai.config.study import Study
from hearai.search.run import Options, run_study
from hearai.search.tune import callbacks
from hearai.search.tune.tuner import title_of


def test_a_title_names_study_trial_and_first_parameters() -> None:
    params = {"train_parameters.lr": 0.00123456, "transformer.name": "vanilla", "a.b": 2, "a.c": True, "a.d": 1}
    assert title_of("mine", "0007", params) == "mine 0007 lr=0.00123 name=vanilla b=2 c=True"
    names = {"feature_extractor.name": "points", "transformer.name": "vanilla"}
    assert title_of("mine", "0007", names) == "mine 0007 feature_extractor.name=points transformer.name=vanilla"


@pytest.mark.usefixtures("ray_session")
def test_the_list_of_actors_shows_trials_by_title(make_study: Callable[..., Study], tmp_path: Path) -> None:
    actors = set()

    def list_actors(line: str) -> None:
        if "0001 complete" in line:
            address = ray.get_runtime_context().gcs_address
            actors.update(
                (actor.class_name, actor.repr_name) for actor in ray.util.state.list_actors(address, detail=True)
            )

    study = make_study({"budget": {"trials": 4}, "finalists": {"count": 0}}, name="watched")
    run_study(study, Options(tmp_path, max_concurrent=1), list_actors)
    assert any(kind == "Trial" and name.startswith("watched 0000 lr=") for kind, name in actors), actors


@pytest.mark.usefixtures("ray_session")
def test_a_search_says_what_it_waits_for(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "FIRST_WAIT_S", 0.2)
    cpus = ray.cluster_resources()["CPU"]
    others = ray.util.placement_group([{"CPU": 1}] * int(cpus))
    ray.get(others.ready())
    waiting: list[str] = []

    def make_room(line: str) -> None:
        if "waiting for room" in line:
            waiting.append(line)
            if len(waiting) == 2:
                ray.util.remove_placement_group(others)

    study = make_study({"budget": {"trials": 1}, "finalists": {"count": 0}}, name="waiting")
    assert run_study(study, Options(tmp_path, max_concurrent=1), make_room).succeeded
    assert waiting[0] == f"  waiting for room on the cluster: a trial needs 1 CPU; free now: 0 of {cpus:g} CPUs"
