"""The files for `ray up`, held to Ray's own schema and to what a search needs; the one for SSH is used as well."""

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.helpers import ROOT
from tests.helpers.machines import SHARED, put_checkout, with_machines
from tests.helpers.search_process import Folder, report
from tests.helpers.small_space import small_space

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


UP = f"""
cd {SHARED}/hearai
export PATH={SHARED}/hearai/.venv/bin:$PATH
ray get-auth-token --generate >/dev/null
chmod 600 ~/.ray/auth_token
cp ~/.ray/auth_token ../token
ray up --yes {SHARED}/on_prem.yaml
raylets() {{ for i in 1 2 3 4; do /mnt/on node$i pgrep -c raylet; done | tr '\\n' ' '; }}
for _ in $(seq 60); do [ "$(raylets)" = "1 1 1 1 " ] && break; sleep 1; done
export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265
ray dashboard {SHARED}/on_prem.yaml &
until curl --silent --output /dev/null http://127.0.0.1:8265; do sleep 0.5; done
tune="python experiments/submit.py tune --space {SHARED}/tiny.yaml --data-path {SHARED}/data --storage {SHARED}/runs"
"""
DOWN = f"""
ray exec {SHARED}/on_prem.yaml 'ray status'
ray down --yes {SHARED}/on_prem.yaml
for _ in $(seq 90); do [ "$(raylets)" = "0 0 0 0 " ] && break; sleep 1; done
echo "raylets: $(raylets)"
exit $code
"""
SEARCH = f"""
$tune --set train_parameters.epochs=100
code=$?
python experiments/submit.py fetch tiny --to {SHARED}/fetched
"""


@pytest.fixture
def shared(tmp_path: Path, tiny_dataset: Path) -> Path:
    """What the machines share: the checkout, data, a small study, and the file for `ray up` with these paths in it."""
    folder = tmp_path / "shared"
    put_checkout(folder)
    shutil.copytree(tiny_dataset, folder / "data")
    (folder / "tiny.yaml").write_text(small_space(trials=4, epochs=2))
    file = FILES["on_prem"].read_text().replace("/shared", SHARED).replace("ssh_user: hearai", "ssh_user: root")
    (folder / "on_prem.yaml").write_text(file)
    return folder


@pytest.fixture
def on_prem(shared: Path) -> Callable[[str], str]:
    """on_prem("a shell script") -> its output; it begins on a machine beside the four of the file, all started."""

    def run(script: str) -> str:
        command = [str(ROOT / "tests" / "helpers" / "ssh_machines.sh"), "4", "bash", "-c", f"{UP}{script}{DOWN}"]
        done = with_machines(4, shared, command, timeout=500, PYTHONPATH=str(ROOT))
        assert done.returncode == 0, done.stdout + done.stderr
        assert (shared / "token").read_text() not in done.stdout + done.stderr
        return done.stdout

    if not shutil.which("sshd", path="/usr/sbin") or not shutil.which("rsync"):
        pytest.skip("no SSH server or no rsync here; on Debian: apt-get install openssh-server rsync")
    return run


@pytest.mark.slow
def test_machines_are_started_over_ssh_used_and_left(on_prem: Callable[[str], str], shared: Path) -> None:
    """What cluster/README.md tells to do with on_prem.yaml, with other paths and as root."""
    said = on_prem(SEARCH)
    assert "4 nodes: all see the storage and the same 12 clips" in said
    summary = json.loads((shared / "fetched" / "tiny" / "summary.json").read_text())
    assert summary["trials"] == {"total": 4, "complete": 4, "pruned": 0, "failed": 0}
    assert " 4 local.cluster.node" in said, "`ray status` on the head finds Ray, and shows the token"
    assert "raylets: 0 0 0 0" in said, "nothing of Ray is left on them"


EPOCHS = 2000
CUT = f"""
$tune --trials 3 --max-concurrent 3 --set train_parameters.epochs={EPOCHS} &
search=$!
trials={SHARED}/runs/tiny/trials
until [ "$(grep -l 'epoch 20:' $trials/*/train.log | wc -l)" = 3 ]; do sleep 0.3; kill -0 $search || exit 98; done
cut=$(grep -ho 'node[234]' $trials/*/attempt | head -n 1)
before=$(cat $trials/*/attempt)
began=$SECONDS
ip link set "veth${{cut#node}}" down
until [ "$before" != "$(cat $trials/*/attempt)" ]; do sleep 0.3; kill -0 $search || exit 97; done
echo "goes on elsewhere after $((SECONDS - began)) s"
ip link set "veth${{cut#node}}" up
wait $search
code=$?
"""


@pytest.mark.slow
def test_a_machine_whose_network_is_cut_and_mended_costs_nothing(on_prem: Callable[[str], str], shared: Path) -> None:
    """It still sees the storage, so its trial could write there when another machine has taken it over."""
    said = on_prem(CUT)
    assert said.count("lost its machine: it goes on from its last epoch elsewhere") == 1
    folder = Folder(shared / "runs" / "tiny")
    folder.check_whole(3, EPOCHS)
    after = re.search(r"goes on elsewhere after (\d+) s", said)
    report(
        "network of a machine cut, and mended when its trial goes on elsewhere",
        "its trial goes on from its last epoch, and the old process writes nothing over it",
        goes_on_after=f"{after[1]} s",
        finished_epochs_lost=folder.epochs_lost(),
        exit_code=0,
    )
