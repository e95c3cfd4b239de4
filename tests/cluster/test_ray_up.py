"""The files for `ray up` match Ray's schema and the needs of a search; the one for SSH is also run."""

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
from tests.helpers.machines import SHARED, link_checkout, run_with_machines
from tests.helpers.search_process import StudyFolder, report_fault
from tests.helpers.small_space import small_space

FILES = {name: ROOT / "cluster" / f"{name}.yaml" for name in ("aws", "gcp", "on_prem")}
CLOUDS = ["aws", "gcp"]


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load(FILES[name].read_text())


def start_commands(config: dict[str, Any], role: str) -> str:
    return " ".join(config[f"{role}_start_ray_commands"])


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_the_file(name: str) -> None:
    validate_config(prepare_config(read(name)))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [(), ("auth",), ("docker",), ("available_node_types", "gpu_spot")])
def test_unknown_keys_are_detected(name: str, place: tuple[str, ...]) -> None:
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
def test_the_head_runs_no_trials_and_its_dashboard_is_local(name: str) -> None:
    head = start_commands(read(name), "head")
    assert "--num-cpus=0" in head and "--num-gpus=0" in head and "--dashboard-host=127.0.0.1" in head
    assert "--autoscaling-config" in head


@pytest.mark.parametrize("name", FILES)
def test_every_node_has_the_token_in_a_file_only(name: str) -> None:
    config = read(name)
    mounts = {Path(there).name: here for there, here in config["file_mounts"].items()}
    assert mounts["auth_token"] == "~/.ray/auth_token"
    assert any(re.search(r"chmod 600 \S*auth_token", command) for command in config["setup_commands"])
    for role in ("head", "worker"):
        assert "RAY_AUTH_MODE=token" in start_commands(config, role)
    assert "RAY_AUTH_TOKEN=" not in FILES[name].read_text()


@pytest.mark.parametrize("name", FILES)
def test_nodes_have_their_own_caches_and_a_storage_hint(name: str) -> None:
    assert "HEARAI_CACHE=" in start_commands(read(name), "worker")
    assert re.search(r"--storage (s3://|gs://|/shared)", FILES[name].read_text())


@pytest.mark.parametrize("name", CLOUDS)
def test_only_workers_are_spot_machines_with_a_gpu(name: str) -> None:
    config = read(name)
    head, worker = (config["available_node_types"][kind] for kind in ("head", "gpu_spot"))
    assert config["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0, "GPU": 0} and worker["resources"]["GPU"] >= 1
    assert worker["min_workers"] >= 1, "a search counts the machines that exist when it starts"
    spot = {
        "aws": lambda node: node.get("InstanceMarketOptions", {}).get("MarketType") == "spot",
        "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
    }[name]
    assert spot(worker["node_config"]) and not spot(head["node_config"])
    assert f"with_spot_notice.py {name} ray start" in start_commands(config, "worker")
    drain = re.search(r"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=(\d+)", start_commands(config, "worker"))
    assert drain and int(drain[1]) < {"aws": 120, "gcp": 30}[name], "shorter than the notice"


@pytest.mark.parametrize("name", CLOUDS)
def test_images_have_the_pinned_ray_and_python(name: str) -> None:
    docker = read(name)["docker"]
    pinned = re.search(r"^ray\[.*\]==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned and pinned[1] == ray.__version__
    assert docker["image"] == f"rayproject/ray:{pinned[1]}-py311-gpu"
    assert docker["head_image"] == f"rayproject/ray:{pinned[1]}-py311"
    assert any(option.startswith("--shm-size") for option in docker["run_options"])


@pytest.mark.parametrize("name", FILES)
def test_local_files_to_send_exist(name: str) -> None:
    for here in read(name)["file_mounts"].values():
        assert here.startswith("~") or (ROOT / here).is_file(), here


@pytest.mark.heavy
def test_aws_accepts_the_request() -> None:
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
    """The shared folder: the checkout, data, a small study, and the file for `ray up` with these paths."""
    folder = tmp_path / "shared"
    link_checkout(folder)
    shutil.copytree(tiny_dataset, folder / "data")
    (folder / "tiny.yaml").write_text(small_space(trials=4, epochs=2))
    file = FILES["on_prem"].read_text().replace("/shared", SHARED).replace("ssh_user: hearai", "ssh_user: root")
    (folder / "on_prem.yaml").write_text(file)
    return folder


@pytest.fixture
def on_prem(shared: Path) -> Callable[[str], str]:
    """on_prem("a shell script") -> its output; it runs on a fifth machine after `ray up` on the four of the file."""

    def run(script: str) -> str:
        command = [str(ROOT / "tests" / "helpers" / "ssh_machines.sh"), "4", "bash", "-c", f"{UP}{script}{DOWN}"]
        done = run_with_machines(4, shared, command, timeout=500, PYTHONPATH=str(ROOT))
        assert done.returncode == 0, done.stdout + done.stderr
        assert (shared / "token").read_text() not in done.stdout + done.stderr
        return done.stdout

    if not shutil.which("sshd", path="/usr/sbin") or not shutil.which("rsync"):
        pytest.skip("needs an SSH server and rsync; on Debian: apt-get install openssh-server rsync")
    return run


@pytest.mark.slow
def test_a_cluster_is_started_over_ssh_used_and_stopped(on_prem: Callable[[str], str], shared: Path) -> None:
    """The instructions for on_prem.yaml in cluster/README.md, with other paths and as root."""
    output = on_prem(SEARCH)
    assert "4 nodes: all see the storage and the same 12 clips" in output
    summary = json.loads((shared / "fetched" / "tiny" / "summary.json").read_text())
    assert summary["trials"] == {"total": 4, "complete": 4, "pruned": 0, "failed": 0, "paused": 0}
    assert " 4 local.cluster.node" in output, "`ray status` on the head finds Ray and sends the token"
    assert "raylets: 0 0 0 0" in output, "no process of Ray remains"


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
echo "resumed after $((SECONDS - began)) s"
ip link set "veth${{cut#node}}" up
wait $search
code=$?
"""


@pytest.mark.slow
def test_a_temporary_network_failure_loses_nothing(on_prem: Callable[[str], str], shared: Path) -> None:
    """The node still sees the storage, so its process could write there after the trial has resumed elsewhere."""
    output = on_prem(CUT)
    assert output.count("lost its node; it will resume from its last epoch on another node") == 1
    folder = StudyFolder(shared / "runs" / "tiny")
    folder.assert_complete(3, EPOCHS)
    resumed = re.search(r"resumed after (\d+) s", output)
    report_fault(
        "node's network cut, and restored after its trial has resumed elsewhere",
        "its trial resumes from its last epoch, and the old process cannot overwrite its files",
        resumed_after=f"{resumed[1]} s",
        finished_epochs_lost=folder.epochs_lost(),
        exit_code=0,
    )
