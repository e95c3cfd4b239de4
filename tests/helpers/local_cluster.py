"""A cluster of real Ray nodes on this machine, each with its own processes, cache and local storage."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Node:
    """`ray start --block` and its child processes."""

    def __init__(
        self, name: str, arguments: list[str], environment: Mapping[str, str], folder: Path, wrapper: Sequence[str] = ()
    ):
        self.name, self._log = name, folder / f"{name}.log"
        command = [*wrapper, RAY, "start", "--block", "--disable-usage-stats", f"--node-name={name}", *arguments]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self, seconds: float = 90) -> None:
        """Waits until the node has joined the cluster."""
        deadline = time.monotonic() + seconds
        while "Ray runtime started" not in self.log:
            assert time.monotonic() < deadline and self.process.poll() is None, f"{self.name}: {self.log[-2000:]}"
            time.sleep(0.2)

    def processes(self) -> list[psutil.Process]:
        """`ray start` and all its descendants."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kills all its processes, as a power failure does."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(30)

    def preempt(self) -> None:
        """Sends SIGTERM as a spot notice does: the node drains."""
        self.process.send_signal(signal.SIGTERM)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


class LocalCluster:
    """A head and the workers that are added to it; a context manager."""

    def __init__(self, folder: Path, *, head_cpus: int = 1, environment: Mapping[str, str] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._environment = folder, dict(environment or {})
        self.port, self.dashboard_port = free_port(), free_port()
        self.token = folder / "token"
        if not self.token.exists():
            self.token.touch(mode=0o600)
            self.token.write_text(os.urandom(32).hex())
        self._head_cpus = head_cpus
        self.nodes: list[Node] = []
        # holds Ray's sockets, whose paths must be short
        self._scratch = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    def environment(self, name: str = "driver") -> dict[str, str]:
        """Environment variables of a node, or of a client of the cluster. Each has its own cache and mirrors.

        Only nodes get RAY_AUTH_MODE: our scripts set it themselves.
        """
        home, mode = self.folder / name, {} if name == "driver" else {"RAY_AUTH_MODE": "token"}
        return {
            **mode,
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "HEARAI_CACHE": str(home / "cache"),
            "HEARAI_HOME": str(home / "home"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # jobs are started as `python ...`
            **self._environment,
        }

    def __enter__(self) -> "LocalCluster":
        arguments = [
            "--head",
            f"--port={self.port}",
            f"--dashboard-port={self.dashboard_port}",
            "--dashboard-host=127.0.0.1",
            "--include-dashboard=true",
            f"--dashboard-agent-listen-port={free_port()}",  # the default may be in use by another cluster
            f"--temp-dir={self._scratch.name}/head",
            f"--num-cpus={self._head_cpus}",
            "--node-ip-address=127.0.0.1",
            f"--object-store-memory={128 * 2**20}",
        ]
        self.nodes.append(Node("head", arguments, self.environment("head"), self.folder))
        self.nodes[0].wait()
        return self

    def add_node(
        self, name: str, cpus: int = 1, gpus: int = 0, wrapper: Sequence[str] = (), **environment: str
    ) -> Node:
        """Starts a node.

        gpus: the number that Ray is given; wrapper: a command that runs the node in its own namespaces.
        """
        arguments = [
            f"--address={self.address}",
            f"--num-cpus={cpus}",
            f"--num-gpus={gpus}",
            f"--temp-dir={self._scratch.name}/{name}",  # a shared one: one node's agent deletes another's code
            f"--dashboard-agent-listen-port={free_port()}",
            f"--object-store-memory={128 * 2**20}",
        ]
        node = Node(name, arguments, {**self.environment(name), **environment}, self.folder, wrapper)
        self.nodes.append(node)
        node.wait()  # nodes that start at the same time disturb each other
        return node

    def wait_for(self, count: int, seconds: float = 90) -> None:
        """Waits until this many nodes are alive."""
        deadline = time.monotonic() + seconds
        while (alive := self.alive_nodes()) != count:
            logs = "\n".join(f"{node.name}: {node.log[-1500:]}" for node in self.nodes)
            assert time.monotonic() < deadline, f"{alive} nodes are alive, not {count}\n{logs}"
            time.sleep(0.5)

    def alive_nodes(self) -> int:
        """The number of nodes that are alive."""
        done = self.run_python(
            "-c",
            "from ray._raylet import GcsClient; from ray._private.state import state; import ray, sys;"
            f"state._initialize_global_state(ray._raylet.GcsClientOptions.create('{self.address}', None, True, False));"
            "print(sum(node['Alive'] for node in ray.nodes()))",
        )
        return int(done.stdout.split()[-1]) if done.returncode == 0 else 0

    def run_python(self, *arguments: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess:
        """Runs Python with these arguments as a client of the cluster."""
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **self.environment(), "RAY_AUTH_MODE": "token", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            node.kill()
        self._scratch.cleanup()
