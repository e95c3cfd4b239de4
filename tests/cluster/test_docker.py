"""The Dockerfile and the compose file, checked as text: nothing is built or started."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import ROOT

COMPOSE = ROOT / "cluster" / "docker-compose.yaml"
DOCKERFILE = (ROOT / "cluster" / "Dockerfile").read_text()
NODES = ("head", "worker1", "worker2")


@pytest.fixture
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    found = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not found or found.returncode:
        pytest.skip("needs the plugin `docker compose`")
    subprocess.run(["docker", "compose", "-f", str(COMPOSE), "config", "--quiet"], check=True)


def test_nodes_share_a_volume_and_have_their_own_caches(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {*NODES, "storage"}
    for name in NODES:
        assert services[name]["volumes"] == ["storage:/shared"] and "storage" in compose["volumes"]
        assert services[name]["environment"]["HEARAI_CACHE"].startswith("/home/ray/")
        assert services[name]["image"] == services["storage"]["image"]
    assert services["head"]["depends_on"]["storage"]["condition"] == "service_completed_successfully"


def test_the_token_is_a_secret_and_in_no_variable(compose: dict[str, Any]) -> None:
    for name in NODES:
        variables = compose["services"][name]["environment"]
        assert compose["services"][name]["secrets"] == ["ray_token"] and "ray_token" in compose["secrets"]
        assert variables["RAY_AUTH_MODE"] == "token" and variables["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
        assert "RAY_AUTH_TOKEN" not in variables
    assert "RAY_AUTH_TOKEN" not in DOCKERFILE and "auth_token" not in DOCKERFILE


def test_a_stopped_container_drains_its_node(compose: dict[str, Any]) -> None:
    for name in NODES:
        service = compose["services"][name]
        assert service["command"][:2] == ["ray", "start"] and "--block" in service["command"], (
            "no shell intercepts the signal"
        )
        assert service["init"] is True and service["stop_signal"] == "SIGTERM"
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert 30 <= int(service["environment"]["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) < grace == 120
        assert service["shm_size"] == "2gb"


def test_only_the_dashboard_is_published_and_on_loopback(compose: dict[str, Any]) -> None:
    assert compose["services"]["head"]["ports"] == ["127.0.0.1:8265:8265"]
    assert not any("ports" in compose["services"][name] for name in ("worker1", "worker2", "storage"))
    assert "--num-cpus=0" in compose["services"]["head"]["command"]


def test_the_image_has_the_pinned_ray_and_does_not_run_as_root(compose: dict[str, Any]) -> None:
    pinned = re.search(r"^ray\[.*\]==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned
    images = re.findall(r"rayproject/ray:(\S+?)-py311", DOCKERFILE + COMPOSE.read_text())
    assert len(images) >= 3 and set(images) == {pinned[1]}
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M)[-1] == "ray"


def test_copied_files_exist_and_are_in_the_build_context() -> None:
    ignored = (ROOT / "cluster" / "Dockerfile.dockerignore").read_text()
    assert "\n*\n" in ignored, "only the listed files are sent: no data, runs or .git"
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M):
        for source in [word for word in line.split() if not word.startswith("--")][:-1]:
            assert (ROOT / source).exists() and f"\n!{source}\n" in ignored, source
