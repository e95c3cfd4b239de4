"""The files for `ray up`, held to Ray's own schema and to what a search needs of its machines."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
FILES = {name: ROOT / "cluster" / f"{name}.yaml" for name in ("aws", "gcp", "on_prem")}
CLOUDS = ["aws", "gcp"]


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load(FILES[name].read_text())


def starts(config: dict[str, Any], who: str) -> str:
    return " ".join(config[f"{who}_start_ray_commands"])


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_the_file(name: str) -> None:
    validate_config(prepare_config(read(name)))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [(), ("auth",), ("docker",), ("available_node_types", "gpu_spot")])
def test_an_unknown_key_is_caught(name: str, place: tuple[str, ...]) -> None:
    config = read(name)
    inner = config
    for key in place:
        if key not in inner:
            pytest.skip(f"{name}.yaml has no {'.'.join(place)}")
        inner = inner[key]
    inner["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        validate_config(prepare_config(config))


@pytest.mark.parametrize("name", FILES)
def test_the_head_takes_no_trials_and_shows_its_dashboard_to_itself_alone(name: str) -> None:
    head = starts(read(name), "head")
    assert "--num-cpus=0" in head and "--num-gpus=0" in head and "--dashboard-host=127.0.0.1" in head
    assert "--autoscaling-config" in head


@pytest.mark.parametrize("name", FILES)
def test_every_node_has_the_token_and_no_command_line_shows_it(name: str) -> None:
    config = read(name)
    mounts = {Path(there).name: here for there, here in config["file_mounts"].items()}
    assert mounts["auth_token"] == "~/.ray/auth_token"
    assert any(re.search(r"chmod 600 \S*auth_token", command) for command in config["setup_commands"])
    for who in ("head", "worker"):
        assert "RAY_AUTH_MODE=token" in starts(config, who)
    assert "RAY_AUTH_TOKEN=" not in FILES[name].read_text()


@pytest.mark.parametrize("name", FILES)
def test_caches_are_the_node_s_own_and_storage_is_told(name: str) -> None:
    assert "HEARAI_CACHE=" in starts(read(name), "worker")
    assert re.search(r"--storage (s3://|gs://|/shared)", FILES[name].read_text())


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_are_spot_machines_with_a_gpu_and_the_head_is_not(name: str) -> None:
    config = read(name)
    head, worker = (config["available_node_types"][kind] for kind in ("head", "gpu_spot"))
    assert config["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0, "GPU": 0} and worker["resources"]["GPU"] >= 1
    assert worker["min_workers"] >= 1, "a search counts the machines that are there when it begins"
    spot = {
        "aws": lambda node: node.get("InstanceMarketOptions", {}).get("MarketType") == "spot",
        "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
    }[name]
    assert spot(worker["node_config"]) and not spot(head["node_config"])
    assert f"with_spot_notice.py {name} ray start" in starts(config, "worker")
    drain = re.search(r"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=(\d+)", starts(config, "worker"))
    assert drain and int(drain[1]) < {"aws": 120, "gcp": 30}[name], "shorter than the notice"


@pytest.mark.parametrize("name", CLOUDS)
def test_images_hold_the_ray_and_python_of_requirements_txt(name: str) -> None:
    docker = read(name)["docker"]
    pinned = re.search(r"^ray\[.*\]==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned and pinned[1] == ray.__version__
    assert docker["image"] == f"rayproject/ray:{pinned[1]}-py311-gpu"
    assert docker["head_image"] == f"rayproject/ray:{pinned[1]}-py311"
    assert any(option.startswith("--shm-size") for option in docker["run_options"])


@pytest.mark.parametrize("name", FILES)
def test_local_files_that_are_sent_exist(name: str) -> None:
    for here in read(name)["file_mounts"].values():
        assert here.startswith("~") or (ROOT / here).is_file(), here


def test_what_aws_is_asked_for_is_a_request_that_it_knows() -> None:
    botocore = pytest.importorskip("botocore.session")
    from botocore.validate import ParamValidator

    shape = botocore.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    for kind in read("aws")["available_node_types"].values():
        request = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).generate_report()
        wrong = copy.deepcopy(request)
        wrong["InstanceMarketOption"] = {}
        assert "InstanceMarketOption" in ParamValidator().validate(wrong, shape).generate_report()
