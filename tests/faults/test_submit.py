"""Searches that are submitted to a cluster, as somebody at a laptop does it."""

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
from tests.helpers.killing import epochs_of, wait_for
from tests.helpers.local_cluster import LocalCluster, Node, free_port
from tests.helpers.s3_server import Bucket, serving
from tests.helpers.search_process import ROOT, in_its_own_view, report

SUBMIT = str(ROOT / "experiments" / "submit.py")
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    with serving() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store: Bucket) -> Iterator[LocalCluster]:
    """A head that takes a trial at a time, and reaches `store`."""
    environment = {**store.environment, "AWS_EC2_METADATA_DISABLED": "true"}
    with LocalCluster(tmp_path_factory.mktemp("cluster"), environment=environment) as started:
        yield started


@pytest.fixture
def submit(cluster: LocalCluster) -> Callable[..., subprocess.CompletedProcess]:
    def run(*arguments: object, timeout: float = 200, **environment: str) -> subprocess.CompletedProcess:
        words = [*map(str, arguments), "--address", cluster.dashboard]
        return cluster.run(SUBMIT, *words, timeout=timeout, **environment)

    return run


Submit = Callable[..., subprocess.CompletedProcess]


def refused(done: subprocess.CompletedProcess, words: str) -> None:
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stdout + done.stderr


def begin(cluster: LocalCluster, *arguments: object, address: str | None = None) -> subprocess.Popen:
    """`submit.py` in the background; its output is a pipe."""
    words = [sys.executable, SUBMIT, *map(str, arguments), "--address", address or cluster.dashboard]
    environment = {**os.environ, **cluster.environment()}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def options(space: Path, data: Path, name: str, storage: object, trials: int = 2, epochs: int = 3) -> list[object]:
    more = ["--trials", trials, "--max-epochs", epochs]
    return ["tune", "--space", space, "--data-path", data, "--storage", storage, "--name", name, *more]


def epochs(folder: Path) -> int:
    return sum(len(epochs_of(trial)) for trial in (folder / "trials").glob("*"))


def jobs_of(cluster: LocalCluster) -> str:
    """What the dashboard shows of all jobs."""
    headers = {"Authorization": f"Bearer {cluster.token.read_text()}"}
    with urllib.request.urlopen(urllib.request.Request(f"{cluster.dashboard}/api/jobs/", headers=headers)) as answer:
        return answer.read().decode()


@slow
def test_a_search_is_submitted_watched_and_brought_home(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    done = submit(*options(space, data, "short", runs, trials=1), RAY_API_SERVER_ADDRESS="http://127.0.0.1:1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "Ray's own chat is of no use"
    assert "find it again with\n  submit.py status|logs|stop|fetch short --address" in done.stdout
    assert done.stdout.count("[1/1] 0000 complete epoch   3") == 1 and done.stdout.count("report.html") == 1
    assert submit("logs", "short").stdout in done.stdout
    status = submit("status", "short").stdout
    assert re.match(r"short +succeeded since \d{4}-\d\d-\d\d \d\d:\d\d, \d\.\d min\njob short-", status)
    assert max(map(len, status.splitlines()[:2])) <= 80
    again = submit("fetch", "short", "--to", tmp_path / "here")
    assert again.returncode == 0 and (tmp_path / "here/short/report.html").is_file(), again.stderr
    assert not (tmp_path / "here/short/trials").exists()
    assert "given/space/tiny.yaml" in jobs_of(cluster), "the space has been sent along"
    token = cluster.token.read_text()
    logs = [path.read_bytes() for path in Path(cluster._scratch.name).rglob("logs/**/*") if path.is_file()]
    assert len(logs) > 20 and token.encode() not in b"".join(logs)
    assert token not in done.stdout + jobs_of(cluster)


@slow
def test_the_exit_code_is_the_drivers(submit: Submit, space: Path, data: Path, tmp_path: Path) -> None:
    codes = {}
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
    report("exit codes of a submitted search", "the driver's: 2 bad data, 3 no trial succeeded", str(codes))


@slow
def test_ctrl_c_leaves_it_running_stop_ends_it_and_the_same_command_continues(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    runs, folder = tmp_path / "runs", tmp_path / "runs" / "long"
    command = options(space, data, "long", runs, trials=3, epochs=150)
    watched = begin(cluster, *command)
    wait_for(lambda: epochs(folder) >= 5 or watched.poll() is not None, 120)
    os.killpg(watched.pid, signal.SIGINT)
    out, _ = watched.communicate(timeout=20)
    assert watched.returncode == 130 and "the search goes on as job long-" in out and "Traceback" not in out
    seen = epochs(folder)
    wait_for(lambda: epochs(folder) > seen, 60)
    report("Ctrl-C while following", "the search goes on; exit code 130", f"exit code {watched.returncode}")

    refused(submit(*command), "is searching already; follow it with submit.py logs long --follow")
    running = submit("status").stdout
    assert re.search(r"^long +running  ", running, re.MULTILINE), running
    follower = begin(cluster, "logs", "long", "--follow")
    secret = cluster.token.read_text()
    for process in psutil.process_iter(["cmdline"]):
        assert not any(secret in word for word in process.info["cmdline"] or [])

    started = time.monotonic()
    stopped = submit("stop", "long")
    seconds = time.monotonic() - started
    assert stopped.returncode == 0 and "the same submit.py tune command continues it" in stopped.stdout, stopped.stdout
    out, _ = follower.communicate(timeout=60)
    assert follower.returncode == 130 and "interrupted; to continue" in out, out
    assert "stopped" in submit("status", "long").stdout
    assert "it had ended by itself" in submit("stop", "long").stdout
    before = epochs(folder)
    begun = [trial.number for trial in read_journal(folder / "journal.log")[SEARCH].trials]

    done = submit(*command, timeout=300)
    assert done.returncode == 0, done.stdout
    trials = read_journal(folder / "journal.log")[SEARCH].trials
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(3)]
    for n in range(3):
        assert epochs_of(folder / "trials" / f"{n:04d}") == list(range(1, 151))
    assert before >= 5 and set(begun) <= {0, 1, 2}
    report("submit.py stop", "ends within 90 s, nothing lost", f"{seconds:.0f} s; then {len(trials)} of 3 trials whole")
    report("a second submit of a running study", "refused, exit code 2", "refused, exit code 2")


class Tunnel:
    """Hands connections on to a cluster's dashboard, until they are cut."""

    def __init__(self, port: int):
        self._to, self._pairs = port, list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            here, _ = self._listener.accept()
            if self._to is None:
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self._to))
            self._pairs += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while block := one.recv(65536):
                other.sendall(block)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self, seconds: float) -> None:
        """Nobody gets through for so long."""
        port, self._to = self._to, None
        for pair in self._pairs:
            try:
                pair.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        time.sleep(seconds)
        self._to = port


@slow
def test_each_line_comes_once_however_often_the_connection_breaks(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    tunnel, folder = Tunnel(cluster.dashboard_port), tmp_path / "runs" / "torn"
    command = options(space, data, "torn", tmp_path / "runs", trials=4, epochs=60)
    watched = begin(cluster, *command, address=tunnel.address)
    for goal in (1, 40, 120):
        wait_for(lambda goal=goal: epochs(folder) >= goal or watched.poll() is not None, 120)
        tunnel.cut(4)
    out, _ = watched.communicate(timeout=200)
    assert watched.returncode == 0, out
    assert out.count("no connection; the search there does not need one; trying for 120 s") >= 1
    on_report = [line for line in out.splitlines() if not line.startswith("http://127.0.0.1")]
    log = submit("logs", "torn").stdout
    assert "\n".join(on_report[2:]) + "\n" == log
    report("the log's connection breaks 3 times", "each line once", f"{len(log.splitlines())} lines, each once")


@slow
def test_results_come_home_by_the_jobs_api_alone(
    cluster: LocalCluster, submit: Submit, space: Path, data: Path, tmp_path: Path
) -> None:
    done = submit(*options(space, data, "away", tmp_path / "runs", trials=1))
    assert done.returncode == 0, done.stdout
    there = tmp_path / "runs" / "away"
    wanted = sorted(path.name for path in there.iterdir() if path.name not in ("trials", "owner.lock", "owner.json"))
    commands = there / "command.txt"
    commands.write_text(commands.read_text().replace("  job away-", "  job another-"))  # as if it were another's folder
    home = tmp_path / "home"
    assert submit("fetch", "away", "--to", home).returncode == 0
    assert sorted(path.name for path in (home / "away").iterdir()) == wanted
    assert (home / "away/report.html").read_bytes() == (there / "report.html").read_bytes()
    assert "fetch-" not in submit("status").stdout, "the errand is no search"
    assert '"submission_id": "fetch-' not in jobs_of(cluster), "nothing is left of the errand"

    there.rename(tmp_path / "gone")
    refused(submit("fetch", "away", "--to", home), "no such folder")
    refused(submit("fetch", "away", "--to", data / "test_gloss.txt"), "--to ")
    refused(submit("fetch", "nobody", "--to", home), "nobody: no job of it on http://127.0.0.1")


@slow
def test_results_come_home_from_a_bucket(
    submit: Submit, space: Path, data: Path, tmp_path: Path, store: Bucket
) -> None:
    done = submit(*options(space, data, "stored", store.uri, trials=1))
    assert done.returncode == 0 and f"all of it is in {store.uri}/stored" in done.stdout, done.stdout
    fetched = submit("fetch", "stored", "--to", tmp_path / "home")
    assert fetched.returncode == 0, fetched.stderr
    names = {path.name for path in (tmp_path / "home/stored").iterdir()}
    assert {"report.html", "journal.log", "best.yaml", "best"} <= names and "trials" not in names


@slow
def test_the_code_reaches_workers_on_which_it_is_not_installed(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    """Whichever way a search comes to the cluster, its workers run what was sent, from Ray's own folder.

    Ray gives workers the driver's search path, which is right on this machine: so one node does not see our folder.
    """
    (tmp_path / "nothing").mkdir()
    cluster.add("bare", inside=in_its_own_view(tmp_path / "nothing", ROOT / "hearai"))
    probe = (
        "import ray, sys; from hearai.search.cluster.connect import connect; connect(sys.argv[1])\n"
        "from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as There\n"
        "@ray.remote\ndef place():\n    import hearai; return hearai.__file__\n"
        "(bare,) = [node['NodeID'] for node in ray.nodes() if node['NodeName'] == 'bare' and node['Alive']]\n"
        "print(ray.get(place.options(scheduling_strategy=There(bare, soft=False)).remote()))"
    )
    joined = cluster.run("-c", probe, cluster.address, PYTHONPATH=str(ROOT))
    assert "runtime_resources/py_modules_files" in joined.stdout, joined.stderr
    script = tmp_path / "client.py"
    script.write_text(
        "import sys, os; os.environ['RAY_API_SERVER_ADDRESS'] = sys.argv[1]\n"
        "from hearai.search.cluster.jobs import Jobs; from hearai.search.cluster.code_bundle import packed\n"
        "jobs = Jobs(sys.argv[1])\n"
        "with packed([]) as (folder, _):\n"
        f"    (folder / 'probe.py').write_text({probe!r})\n"
        "    job = jobs._start('probe', ['python', 'probe.py', 'auto'], folder, {})\n"
        "jobs.wait(job); print(jobs.log(job))\n"
    )
    sent = cluster.run(str(script), cluster.dashboard, PYTHONPATH=str(ROOT), timeout=120)
    assert "runtime_resources/working_dir_files" in sent.stdout.splitlines()[-2:][0], sent.stdout + sent.stderr
    report("the package is installed on no worker", "it is sent along", "tune.py --address: sent; submit.py: sent")


@slow
def test_a_search_whose_driver_is_killed_says_so(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    watched = begin(cluster, *options(space, data, "killed", tmp_path / "runs", trials=2, epochs=300))
    wait_for(lambda: epochs(tmp_path / "runs/killed") >= 3 or watched.poll() is not None, 120)
    owner = json.loads((tmp_path / "runs/killed/owner.json").read_text())
    os.kill(owner["pid"], signal.SIGKILL)
    out, _ = watched.communicate(timeout=60)
    assert watched.returncode == 137 and "killed by signal 9; the same submit.py tune command continues it" in out, out


@slow
def test_tokens_none_wrong_and_changed(tmp_path: Path) -> None:
    """The last one: a cluster that is started again with another token."""
    old = ""
    for name in ("first", "second"):
        with LocalCluster(tmp_path / name) as cluster:
            known = cluster.environment()
            wrong, none = tmp_path / "wrong", tmp_path / "none"
            wrong.write_text(old or "0" * 64)
            for verb in (["status"], ["tune", "--space", "smoke", "--storage", str(tmp_path)]):
                words = [SUBMIT, *verb, "--address", cluster.dashboard]
                for token, what in ((none, "asks for a token"), (wrong, "does not accept this token")):
                    done = cluster.run(*words, RAY_AUTH_TOKEN_PATH=str(token))
                    refused(done, what)
                    refused(done, f"copy the cluster's into {token} (chmod 600)")
            assert cluster.run(SUBMIT, "status", "--address", cluster.dashboard).returncode == 0
            tune = [str(ROOT / "experiments/tune.py"), "--space", "smoke", "--storage", str(tmp_path / "runs")]
            joined = cluster.run(*tune, "--address", cluster.address, RAY_AUTH_TOKEN_PATH=str(wrong))
            assert joined.returncode == 2 and "Traceback" not in joined.stderr, joined.stdout + joined.stderr
            old = Path(known["RAY_AUTH_TOKEN_PATH"]).read_text()
    report(
        "no token, a wrong one, the old one after a change", "refused with what to do, exit code 2", "refused each time"
    )


@slow
def test_a_dashboard_that_is_open_to_the_network_is_refused_and_one_with_a_token_is_not(tmp_path: Path) -> None:
    known = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    own = [entry.address for entry in known if entry.family == socket.AF_INET and entry.address[:4] != "127."]
    if not own:
        pytest.skip("this machine has no address of its own")
    ip = own[0]
    for mode in ("disabled", "token"):
        port, place = free_port(), tmp_path / mode
        with LocalCluster(place, environment={"RAY_AUTH_MODE": mode}) as cluster:
            cluster.nodes.pop().kill()
            options = ["--head", f"--port={free_port()}", "--dashboard-host=0.0.0.0", f"--dashboard-port={port}"]
            options += [f"--temp-dir={cluster._scratch.name}/open", f"--dashboard-agent-listen-port={free_port()}"]
            node = Node("open", [*options, "--num-cpus=1"], cluster.environment("open"), place)
            cluster.nodes.append(node)
            node.wait()
            done = cluster.run(SUBMIT, "status", "--address", f"http://{ip}:{port}", RAY_AUTH_MODE="token")
            if mode == "token":
                assert done.returncode == 0 and "no searches are known there" in done.stdout, done.stderr
            else:
                refused(done, "open to the network and asks for no token")
    report("an open dashboard without a token", "refused, exit code 2", "refused; accepted with one")
