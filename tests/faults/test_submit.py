"""Searches that are submitted to a cluster from another machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from tests.helpers.fault_injection import logged_epochs, wait_for
from tests.helpers.local_cluster import LocalCluster, Node, free_port
from tests.helpers.s3_server import Bucket, s3_bucket
from tests.helpers.search_process import ROOT, report_fault, with_bind_mount

SUBMIT = str(ROOT / "experiments" / "submit.py")
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store: Bucket) -> Iterator[LocalCluster]:
    """A head that runs one trial at a time and can access `store`."""
    environment = {**store.environment, "AWS_EC2_METADATA_DISABLED": "true"}
    with LocalCluster(tmp_path_factory.mktemp("cluster"), environment=environment) as started:
        yield started


@pytest.fixture
def submit(cluster: LocalCluster) -> Callable[..., subprocess.CompletedProcess]:
    """submit(*arguments): runs `submit.py` to its end."""

    def run(*arguments: object, timeout: float = 200, **environment: str) -> subprocess.CompletedProcess:
        command = [*map(str, arguments), "--address", cluster.dashboard]
        return cluster.run_python(SUBMIT, *command, timeout=timeout, **environment)

    return run


Submit = Callable[..., subprocess.CompletedProcess]


def assert_refused(done: subprocess.CompletedProcess, message: str) -> None:
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stdout + done.stderr


def begin(cluster: LocalCluster, *arguments: object, address: str | None = None) -> subprocess.Popen:
    """Starts `submit.py`; its output is a pipe."""
    command = [sys.executable, SUBMIT, *map(str, arguments), "--address", address or cluster.dashboard]
    environment = {**os.environ, **cluster.environment()}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def options(space: Path, data: Path, name: str, storage: object, trials: int = 2, epochs: int = 3) -> list[object]:
    more = ["--trials", trials, "--max-epochs", epochs]
    return ["tune", "--space", space, "--data-path", data, "--storage", storage, "--name", name, *more]


def epochs(folder: Path) -> int:
    """Finished epochs of all trials of a study."""
    return sum(len(logged_epochs(trial)) for trial in (folder / "trials").glob("*"))


def jobs_of(cluster: LocalCluster) -> str:
    """The dashboard's JSON about all jobs."""
    headers = {"Authorization": f"Bearer {cluster.token.read_text()}"}
    with urllib.request.urlopen(urllib.request.Request(f"{cluster.dashboard}/api/jobs/", headers=headers)) as answer:
        return answer.read().decode()


@slow
def test_a_search_is_submitted_followed_and_fetched(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    done = submit(*options(space, data, "short", runs, trials=1), RAY_API_SERVER_ADDRESS="http://127.0.0.1:1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "no messages of Ray"
    assert "manage it with\n  submit.py status|logs|stop|fetch short --address" in done.stdout
    assert done.stdout.count("[1/1] 0000 complete epoch   3") == 1 and done.stdout.count("report.html") == 1
    assert submit("logs", "short").stdout in done.stdout
    status = submit("status", "short").stdout
    assert re.match(r"short +succeeded since \d{4}-\d\d-\d\d \d\d:\d\d, \d\.\d min\njob short-", status)
    assert max(map(len, status.splitlines()[:2])) <= 80
    fetched = submit("fetch", "short", "--to", tmp_path / "here")
    assert fetched.returncode == 0 and (tmp_path / "here/short/report.html").is_file(), fetched.stderr
    assert not (tmp_path / "here/short/trials").exists()
    assert "given/space/0/tiny.yaml" in jobs_of(cluster), "the file of --space is sent along"
    token = cluster.token.read_text()
    logs = [path.read_bytes() for path in Path(cluster._scratch.name).rglob("logs/**/*") if path.is_file()]
    assert len(logs) > 20 and token.encode() not in b"".join(logs)
    assert token not in done.stdout + jobs_of(cluster)


@slow
def test_the_exit_code_is_that_of_the_driver(submit: Submit, space: Path, data: Path, tmp_path: Path) -> None:
    codes: dict[str, int] = {}
    done = submit(*options(space, tmp_path / "no-data", "nodata", tmp_path / "runs"))
    assert "no-data" in done.stdout and "Traceback" not in done.stdout
    codes["no dataset on the cluster"] = done.returncode
    failing = [
        *options(space, data, "failing", tmp_path / "runs", trials=1),
        "--set",
        "train_parameters.weight_decay=1.0e+38",
    ]
    done = submit(*failing)
    codes["no trial succeeded"] = done.returncode
    assert codes == {"no dataset on the cluster": 2, "no trial succeeded": 3}, done.stdout
    observed = "2 for a missing dataset, 3 if no trial succeeded"
    report_fault("exit code of a submitted search", "the driver's", observed)


@slow
def test_ctrl_c_only_detaches_stop_ends_and_tune_continues(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    runs, folder = tmp_path / "runs", tmp_path / "runs" / "long"
    command = options(space, data, "long", runs, trials=3, epochs=150)
    following = begin(cluster, *command)
    wait_for(lambda: epochs(folder) >= 5 or following.poll() is not None, 120)
    os.killpg(following.pid, signal.SIGINT)
    out, _ = following.communicate(timeout=20)
    assert following.returncode == 130 and "the search continues as job long-" in out and "Traceback" not in out
    before = epochs(folder)
    wait_for(lambda: epochs(folder) > before, 60)
    report_fault("Ctrl-C while following", "the search continues; exit code 130", f"exit code {following.returncode}")

    assert_refused(submit(*command), "is already searching; follow it with submit.py logs long --follow")
    running = submit("status").stdout
    assert re.search(r"^long +running  ", running, re.MULTILINE), running
    follower = begin(cluster, "logs", "long", "--follow")
    secret = cluster.token.read_text()
    for process in psutil.process_iter(["cmdline"]):
        assert not any(secret in argument for argument in process.info["cmdline"] or [])

    started = time.monotonic()
    stopped = submit("stop", "long")
    seconds = time.monotonic() - started
    assert stopped.returncode == 0 and "the same submit.py tune command continues it" in stopped.stdout, stopped.stdout
    out, _ = follower.communicate(timeout=60)
    assert follower.returncode == 130 and "interrupted; to continue" in out, out
    assert "stopped" in submit("status", "long").stdout
    assert "it had already ended" in submit("stop", "long").stdout
    before = epochs(folder)
    started_trials = [trial.number for trial in read_journal(folder / "journal.log")[SEARCH].trials]

    done = submit(*command, timeout=300)
    assert done.returncode == 0, done.stdout
    trials = read_journal(folder / "journal.log")[SEARCH].trials
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(3)]
    for n in range(3):
        assert logged_epochs(folder / "trials" / f"{n:04d}") == list(range(1, 151))
    assert before >= 5 and set(started_trials) <= {0, 1, 2}
    report_fault(
        "submit.py stop", "ends within 90 s, nothing lost", f"{seconds:.0f} s; then {len(trials)} of 3 trials complete"
    )
    report_fault("a second submit of a running study", "refused, exit code 2", "refused, exit code 2")


class Tunnel:
    """Forwards connections to a cluster's dashboard until they are cut."""

    def __init__(self, port: int):
        self._port, self._sockets = port, list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            here, _ = self._listener.accept()
            if self._port is None:
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while block := one.recv(65536):
                other.sendall(block)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self, seconds: float) -> None:
        """Drops all connections and refuses new ones for this time."""
        port, self._port = self._port, None
        for connection in self._sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        time.sleep(seconds)
        self._port = port


@slow
def test_every_line_is_printed_once_if_the_connection_breaks(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    tunnel, folder = Tunnel(cluster.dashboard_port), tmp_path / "runs" / "interrupted"
    command = options(space, data, "interrupted", tmp_path / "runs", trials=4, epochs=60)
    following = begin(cluster, *command, address=tunnel.address)
    for goal in (1, 40, 120):
        wait_for(lambda goal=goal: epochs(folder) >= goal or following.poll() is not None, 120)
        tunnel.cut(4)
    out, _ = following.communicate(timeout=200)
    assert following.returncode == 0, out
    assert out.count("no connection; a running search does not need one; retrying for 120 s") >= 1
    printed = [line for line in out.splitlines() if not line.startswith("http://127.0.0.1")]
    log = submit("logs", "interrupted").stdout
    assert "\n".join(printed[2:]) + "\n" == log
    report_fault(
        "the log's connection breaks 3 times", "every line is printed once", f"{len(log.splitlines())} lines, each once"
    )


@slow
def test_results_are_fetched_over_the_jobs_api(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    done = submit(*options(space, data, "away", tmp_path / "runs", trials=1))
    assert done.returncode == 0, done.stdout
    source = tmp_path / "runs" / "away"
    expected = sorted(path.name for path in source.iterdir() if path.name not in ("trials", "owner.lock", "owner.json"))
    commands = source / "command.txt"
    # The job's folder now seems to be another cluster's, so that it is not copied directly.
    commands.write_text(commands.read_text().replace("  job away-", "  job another-"))
    home = tmp_path / "home"
    assert submit("fetch", "away", "--to", home).returncode == 0
    assert sorted(path.name for path in (home / "away").iterdir()) == expected
    assert (home / "away/report.html").read_bytes() == (source / "report.html").read_bytes()
    assert "fetch-" not in submit("status").stdout, "the job that packs is not listed as a search"
    assert '"submission_id": "fetch-' not in jobs_of(cluster), "the job that packs is deleted"

    source.rename(tmp_path / "gone")
    assert_refused(submit("fetch", "away", "--to", home), "no such folder")
    assert_refused(submit("fetch", "away", "--to", data / "test_gloss.txt"), "--to ")
    assert_refused(submit("fetch", "unknown", "--to", home), "unknown: no job of this study on http://127.0.0.1")


@slow
def test_results_are_fetched_from_a_bucket(
    submit: Submit, space: Path, data: Path, tmp_path: Path, store: Bucket
) -> None:
    done = submit(*options(space, data, "stored", store.uri, trials=1))
    assert done.returncode == 0 and f"uploaded to {store.uri}/stored" in done.stdout, done.stdout
    fetched = submit("fetch", "stored", "--to", tmp_path / "home")
    assert fetched.returncode == 0, fetched.stderr
    names = {path.name for path in (tmp_path / "home/stored").iterdir()}
    assert {"report.html", "journal.log", "best.yaml", "best"} <= names and "trials" not in names


@slow
def test_workers_run_the_code_that_was_sent(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> None:
    """Workers need no installed package, whether a search is started by `tune.py --address` or `submit.py`.

    Ray gives workers the driver's sys.path, which exists on this machine: so one node gets an empty package folder.
    """
    (tmp_path / "empty").mkdir()
    cluster.add_node("bare", wrapper=with_bind_mount(tmp_path / "empty", ROOT / "hearai"))
    probe = (
        "import ray, sys; from hearai.search.cluster.connect import connect; connect(sys.argv[1])\n"
        "from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode\n"
        "@ray.remote\ndef place():\n    import hearai; return hearai.__file__\n"
        "(bare,) = [node['NodeID'] for node in ray.nodes() if node['NodeName'] == 'bare' and node['Alive']]\n"
        "print(ray.get(place.options(scheduling_strategy=OnNode(bare, soft=False)).remote()))"
    )
    joined = cluster.run_python("-c", probe, cluster.address, PYTHONPATH=str(ROOT))
    assert "runtime_resources/py_modules_files" in joined.stdout, joined.stderr
    script = tmp_path / "client.py"
    script.write_text(
        "import sys, os; os.environ['RAY_API_SERVER_ADDRESS'] = sys.argv[1]\n"
        "from hearai.search.cluster.jobs import Jobs; from hearai.search.cluster.code_bundle import bundle_code\n"
        "jobs = Jobs(sys.argv[1])\n"
        "with bundle_code([]) as (folder, _):\n"
        f"    (folder / 'probe.py').write_text({probe!r})\n"
        "    job = jobs.start('probe', ['python', 'probe.py', 'auto'], folder, {})\n"
        "jobs.wait(job); print(jobs.log(job))\n"
    )
    sent = cluster.run_python(str(script), cluster.dashboard, PYTHONPATH=str(ROOT), timeout=120)
    assert "runtime_resources/working_dir_files" in sent.stdout.splitlines()[-2:][0], sent.stdout + sent.stderr
    report_fault(
        "package not installed on the workers",
        "the code is sent along",
        "sent by `tune.py --address` and by `submit.py`",
    )


@slow
def test_a_killed_driver_is_reported(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> None:
    following = begin(cluster, *options(space, data, "killed", tmp_path / "runs", trials=2, epochs=300))
    wait_for(lambda: epochs(tmp_path / "runs/killed") >= 3 or following.poll() is not None, 120)
    owner = json.loads((tmp_path / "runs/killed/owner.json").read_text())
    os.kill(owner["pid"], signal.SIGKILL)
    out, _ = following.communicate(timeout=60)
    assert following.returncode == 137 and "killed by signal 9; the same submit.py tune command continues it" in out, (
        out
    )


@slow
def test_missing_wrong_and_replaced_tokens_are_refused(tmp_path: Path) -> None:
    """The token is replaced by starting a second cluster."""
    old = ""
    for name in ("first", "second"):
        with LocalCluster(tmp_path / name) as cluster:
            environment = cluster.environment()
            wrong, none = tmp_path / "wrong", tmp_path / "none"
            wrong.write_text(old or "0" * 64)
            for verb in (["status"], ["tune", "--space", "smoke", "--storage", str(tmp_path)]):
                command = [SUBMIT, *verb, "--address", cluster.dashboard]
                for token, message in ((none, "requires a token"), (wrong, "does not accept this token")):
                    done = cluster.run_python(*command, RAY_AUTH_TOKEN_PATH=str(token))
                    assert_refused(done, message)
                    assert_refused(done, f"copy the cluster's token to {token} (chmod 600)")
            assert cluster.run_python(SUBMIT, "status", "--address", cluster.dashboard).returncode == 0
            tune = [str(ROOT / "experiments/tune.py"), "--space", "smoke", "--storage", str(tmp_path / "runs")]
            command = [*tune, "--address", cluster.address]
            joined = cluster.run_python(*command, timeout=200, RAY_AUTH_TOKEN_PATH=str(wrong))  # renders demo data
            assert joined.returncode == 2 and "Traceback" not in joined.stderr, joined.stdout + joined.stderr
            old = Path(environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    report_fault(
        "no token, a wrong one, the old one after a change",
        "refused with instructions, exit code 2",
        "refused each time",
    )


@slow
def test_an_open_dashboard_without_a_token_is_refused(tmp_path: Path) -> None:
    entries = [entry for interface in psutil.net_if_addrs().values() for entry in interface]
    addresses = [entry.address for entry in entries if entry.family == socket.AF_INET and entry.address[:4] != "127."]
    if not addresses:
        pytest.skip("this machine has only loopback addresses")
    ip = addresses[0]
    for mode in ("disabled", "token"):
        port, folder = free_port(), tmp_path / mode
        with LocalCluster(folder, environment={"RAY_AUTH_MODE": mode}) as cluster:
            cluster.nodes.pop().kill()
            options = ["--head", f"--port={free_port()}", "--dashboard-host=0.0.0.0", f"--dashboard-port={port}"]
            options += [f"--temp-dir={cluster._scratch.name}/open", f"--dashboard-agent-listen-port={free_port()}"]
            node = Node("open", [*options, "--num-cpus=1"], cluster.environment("open"), folder)
            cluster.nodes.append(node)
            node.wait()
            done = cluster.run_python(SUBMIT, "status", "--address", f"http://{ip}:{port}", RAY_AUTH_MODE="token")
            if mode == "token":
                assert done.returncode == 0 and "no searches on this cluster" in done.stdout, done.stderr
            else:
                assert_refused(done, "open to the network and does not require a token")
    report_fault("an open dashboard without a token", "refused, exit code 2", "refused; accepted with a token")
