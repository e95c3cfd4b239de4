"""`train.py`: exit codes and messages of runs that diverge or are interrupted, and values that are out of range."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config, to_yaml

pytestmark = pytest.mark.training


@pytest.fixture
def train(call: Callable, make_config: Callable[..., Config], data: Path, tmp_path: Path) -> Callable:
    """train({dotted path: value}, option, ...) -> (exit code, stdout, stderr), into tmp_path/run."""

    def run(values: dict, *options: str) -> tuple[int, str, str]:
        folder = {"general_parameters.path_to_save": str(tmp_path / "run")}
        (tmp_path / "run.yml").write_text(to_yaml(make_config(data, {**folder, **values})))
        return call("train", "--config", tmp_path / "run.yml", "--threads", 1, *options)

    return run


def test_a_run_that_diverges_says_where_and_what_to_lower(
    train: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = {"general_parameters.path_to_save": str(tmp_path / "run.pth")}
    code, out, err = train({"train_parameters.weight_decay": 1e38, "train_parameters.warmup_steps": 0, **weights})
    assert code == 3
    assert "diverged in epoch 1, step " in err and "there is no model to keep" in err
    for advice in ("lower train_parameters.lr (0.001)", "train_parameters.weight_decay (1e+38)", "gradient_clip: 1"):
        assert advice in err
    assert "1000000000" not in out + err + caplog.text and not (tmp_path / "run.pth").exists()
    assert "exit codes" in " ".join(train({}, "--help")[1].lower().split())


def test_an_interrupted_run_prints_the_command_that_resumes_it(train: Callable, tmp_path: Path) -> None:
    saved = tmp_path / "run" / "last" / "state.pt"

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not saved.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, _, err = train({"train_parameters.epochs": 100_000})
    thread.join()
    assert code == 130 and "interrupted; to resume after the last saved epoch:" in err
    command = err.splitlines()[-1].split()
    assert command[0] == "python" and command[-1] == "--resume" and str(tmp_path / "run.yml") in command


@pytest.mark.parametrize(
    "value",
    [
        "heads.gloss.gloss.num_class=1000000000",
        "transformer.feedforward_size=1000000000000",
        "general_parameters.seed=" + "9" * 30,
        "general_parameters.split_seed=-" + "9" * 30,
        "general_parameters.workers=1000000",
        "general_parameters.fold=-1",
        "train_parameters.num_segments=1000000000000",
        "train_parameters.epochs=1000000000000",
        "train_parameters.gradient_clip=.nan",
    ],
)
def test_values_out_of_range_are_refused(call: Callable, value: str) -> None:
    code, _, err = call("train", "--set", value)
    assert code == 2 and err.count("error:") == 1 and value.partition("=")[0] in err and "must be" in err


def test_a_model_larger_than_memory_is_refused(train: Callable) -> None:
    widths = {"feature_extractor.representation_size": 65536, "transformer.feedforward_size": 65536}
    code, _, err = train({**widths, "transformer.num_encoder_layers": 64})
    assert code == 2 and "need at least" in err and "GB" in err


def test_a_last_batch_of_one_value_per_channel_is_trained(train: Callable) -> None:
    one = {
        "train_parameters.num_segments": 1,
        "train_parameters.batch_size": 1,
        "feature_extractor.model_path": "mobilenetv3_small_050",
        "freeze_scheduler.model_params": {},
        "train_parameters.epochs": 1,
    }
    code, out, err = train(one)
    assert code == 0 and "in epoch 1 of 1" in out, err


def test_a_run_ends_with_its_learning_curve(train: Callable, tmp_path: Path) -> None:
    code, out, _ = train({})
    assert code == 0 and f"learning curve: {tmp_path / 'run' / 'learning_curve.png'}" in out
    assert (tmp_path / "run" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
