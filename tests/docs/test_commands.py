"""Every command of the pages is parsed by its script, and run in a folder with small data where that takes seconds."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.conftest import TINY
from tests.helpers import ROOT, public_datasets
from tests.helpers.documented_commands import (
    Documented,
    documented_commands,
    documented_targets,
    is_listed,
    paths_below,
)
from tests.helpers.script_parsers import EXPERIMENTS, parser_of
from tests.helpers.study_builder import write_dataset, write_finished_search
from tests.helpers.videos import write_video

COMMANDS = documented_commands()

NOT_RUN = {
    "benchmark": "minutes to hours; tests/benchmarks runs its parts",
    "submit status": "needs a cluster; tests/cluster runs it",
    "submit logs": "needs a cluster; tests/cluster runs it",
    "submit stop": "needs a cluster; tests/cluster runs it",
    "submit fetch": "needs a cluster; tests/cluster runs it",
    "extract_landmarks": "needs videos of a person; tests/data/tools/test_extract_landmarks.py runs it",
    "import_dataset --landmarks": "needs videos of a person; tests/data/importers/test_run.py runs it",
    "check_data --frame-pattern": "needs frames of other names; tests/data/tools/test_check_data.py has them",
    "dashboard": "serves until Ctrl-C; tests/reporting/dashboard/test_server.py runs it",
    "report --serve": "serves until Ctrl-C; tests/reporting/live/test_page_server.py runs it",
    "compare s3://bucket/runs/freeze_thaw": "needs a bucket; tests/reporting/comparison/test_page.py has one",
    "compare s3://bucket/runs/gp": "needs a bucket; tests/reporting/comparison/test_page.py has one",
    "tune --estimate": "trains on the demo data for a minute; tests/search/test_estimate.py runs it",
    "train --ray": "starts Ray; tests/search/cluster/test_ray_train.py runs it",
    "train --workers": "starts Ray; tests/search/cluster/test_ray_train.py runs it",
    "make_statistics FILE": "FILE and DIR are any; the page about data has a command with names",
}
"""{words of a command: why it is only parsed}."""

ADDED = {
    "tune": ["--dry-run"],  # a search takes minutes; test_the_search_of_the_quickstart_runs runs one
    "submit tune": ["--dry-run"],
    "demo_data": ["--clips", "4", "--size", "16", "--frames", "2"],
    "train": ["--set", "train_parameters.epochs=1", "--threads", "1"],
    "studies delete": ["--yes"],
}
"""{words of a command: options that make it short, or answer its question}."""

NEW = {"import_dataset", "extract_frames", "convert_landmarks"}
"""Scripts whose output DATA is another folder in each command here."""


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 90 and len(documented_targets()) >= 10


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text)
def test_the_script_accepts_the_arguments(
    command: Documented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "MYCODE").mkdir()
    (tmp_path / "MYCODE" / "my_parts.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265")
    try:
        if command.script == "submit":
            _, rest = parser_of("submit").parse_known_args(command.arguments)
            parser_of("tune").parse_args(rest) if "tune" in command.arguments else None
        else:
            parser_of(command.script).parse_args(command.arguments)
    except SystemExit as end:
        assert end.code == 0, f"{command.page}: {capsys.readouterr().err}"


@pytest.mark.heavy
def test_the_targets_of_make_exist() -> None:
    done = subprocess.run(
        ["make", "--dry-run", *documented_targets()], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def workplace(make_dataset: Callable, make_config: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that the commands of the pages name, small."""
    _write_data(make_dataset, tmp_path)
    _write_sources(tmp_path)
    data = tmp_path / "DATA"
    run = tmp_path / "runs" / "mine"
    fit(make_config(data, {"train_parameters.epochs": 1}), LocalRuntime("cpu", run))
    config = {**TINY, "general_parameters": {**TINY["general_parameters"], "data_path": str(data)}}
    heads = {**config, "train_parameters": {**TINY["train_parameters"], "classification_mode": "hamnosys"}}
    for name in ("my.yml", "recipe.yml", "train_config.yml"):
        (tmp_path / name).write_text(yaml.safe_dump(config))
    (tmp_path / "hamnosys.yml").write_text(yaml.safe_dump(heads))
    for name in ("my_space", "glosses"):
        shutil.copytree(run, tmp_path / "runs" / name)
    for name in ("hamnosys", "STUDY", "A", "B", "tpe", "gp"):
        _write_study(tmp_path / "runs" / name, run / "best", write_dataset(tmp_path / f"of-{name}"), config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXPERIMENTS)  # submit.py imports tune.py
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    return tmp_path


def _write_data(make_dataset: Callable, folder: Path) -> None:
    for name in ("DATA", "OTHER"):
        make_dataset(name, clips=12, landmarks=True)
        (folder / name / "glosses.csv").write_text("gloss_id,word\n0,house\n1,tree\n2,cat\n")
    (folder / "CLIP").mkdir()
    for image in (folder / "DATA" / "c0").glob("*.jpg"):
        shutil.copyfile(image, folder / "CLIP" / f"CLIP_{image.stem.rpartition('_')[2]}.jpg")
    write_video(folder / "CLIP.mp4")


def _write_sources(folder: Path) -> None:
    """What the commands turn into datasets."""
    for name in ("VIDEOS", "videos"):
        public_datasets.folder_per_class(folder / name)
    for name in ("WLASL", "SOURCE"):
        public_datasets.wlasl(folder / name)
    rows = "file,sign,person,from,to,part\n" + "".join(
        f"{split}/house/{clip}.mp4,house,ann,0,-1,{split}\n" for split, clip in (("train", "a"), ("val", "c"))
    )
    (folder / "clips.csv").write_text(rows)
    for name in ("poses", "SOURCE"):
        (folder / name).mkdir(exist_ok=True)
        np.save(folder / name / "a.npy", np.random.default_rng(0).uniform(0.1, 0.9, (5, 133, 3)).astype(np.float32))
    example = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    (folder / "MYCODE").mkdir()
    for name, language in (("my_parts.py", "python"), ("my_space.yaml", "yaml")):
        block = example.split(f"```{language}\n")[1].split("```")[0]
        (folder / "MYCODE" / name).write_text(block)


def _write_study(folder: Path, best: Path, dataset: Path, config: dict) -> None:
    write_finished_search(folder, dataset)
    shutil.copytree(best, folder / "best", dirs_exist_ok=True)
    for path in ("best.yaml", "pareto/0007.yaml", "trials/ID/config.yaml"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(yaml.safe_dump(config))


@pytest.mark.training
def test_the_commands_run(workplace: Path, call: Callable) -> None:
    """In the order of the pages, except for those that delete."""
    failed = []
    runnable = [command for command in COMMANDS if not is_listed(command, NOT_RUN)]
    for number, command in enumerate(sorted(runnable, key=lambda command: "delete" in command.arguments)):
        arguments = paths_below(workplace, command.arguments)
        if command.script in NEW:
            arguments = [f"new-{number}" if word in ("DATA", "data/mine") else word for word in arguments]
        arguments = ["CLIP.mp4" if word == "VIDEO..." else word for word in arguments]
        arguments += next((added for key, added in ADDED.items() if is_listed(command, {key: key})), [])
        code, _, errors = call(command.script, *arguments)
        if code != 0:
            failed.append(f"{command.page}: {command.text}: exit code {code}, {errors}")
    assert not failed, "\n".join(failed)
    assert len(runnable) >= 45


@pytest.mark.slow
def test_the_search_of_the_quickstart_runs(call: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output, errors = call("tune", "--space", "smoke")
    assert code == 0 and "runs/smoke/report.html" in output, errors
