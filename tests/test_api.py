"""The Python API on real folders: `import hearai` and what it gives."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import hearai
from hearai.api.caller_state import only_call
from hearai.config.config import to_yaml
from hearai.errors import ConfigError, DataError
from hearai.training.fit import FitResult
from tests.helpers import ROOT
from tests.helpers.study_builder import LR, SHARP, open_study, write_dataset, write_finished_search

NOTEBOOK = ROOT / "experiments" / "explore.ipynb"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Folder of a finished study, without checkpoints."""
    folder = tmp_path / "runs" / "tiny"
    folder.parent.mkdir()
    write_finished_search(folder, write_dataset(tmp_path / "clips"))
    return folder


@pytest.fixture
def trained(make_config: Callable, make_dataset: Callable, tmp_path: Path) -> Path:
    """The folder of a run over glosses."""
    make_dataset()
    hearai.fit(make_config(), tmp_path / "run", data=tmp_path / "data", values={"train_parameters.epochs": 1})
    return tmp_path / "run"


@pytest.mark.heavy
def test_the_package_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'ray', 'optuna', 'numpy', 'pydantic', 'yaml'}"
    code = f"import sys, hearai; hearai.__all__; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
    code = "import sys, hearai; hearai.load_config; assert not {'torch', 'ray', 'optuna'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_all_names_are_found_and_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert set(hearai.__all__) <= set(dir(hearai))
    assert all(callable(getattr(hearai, name)) and name in page for name in hearai.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        hearai.fitt  # noqa: B018


def test_search_is_the_package_and_the_function() -> None:
    from hearai.search import plan

    assert hearai.search.plan is plan
    with pytest.raises(ConfigError, match="unknown space"):
        hearai.search("nothing")
    with pytest.raises(ConfigError, match="give name="):
        hearai.search({"space": {}})
    with pytest.raises(ConfigError, match="give plain values"):
        hearai.search({"space": {LR: {"choice": [object()]}}}, name="tiny")
    with pytest.raises(ConfigError, match=r"budget.trials: got 0"):
        hearai.search("hamnosys", trials=0)


@pytest.mark.heavy
def test_a_study_has_best_params_config_and_trials(finished: Path) -> None:
    study = hearai.load_study(finished)
    assert study.finished and study.best_params == SHARP
    assert study.best_config.train_parameters.lr == SHARP[LR]
    assert study.curves()[1] == {1: 0.3, 2: 0.6, 3: 0.5}
    rows = study._rows()
    assert [row["state"] for row in rows] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "PRUNED"]
    assert (rows[1][LR], rows[1]["objective"], rows[1]["val/gloss/macro_f1"]) == (SHARP[LR], 0.6, 0.61)


@pytest.mark.heavy
def test_trials_are_a_table_where_pandas_is_installed(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = hearai.load_study(finished)
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it is not installed
    rows = study.trials()
    assert isinstance(rows, list) and len(rows) == 5
    monkeypatch.undo()
    pytest.importorskip("pandas", reason="pandas is not installed; trials() is a list of dicts, tested above")
    table = study.trials()
    assert list(table.columns) == list(rows[0]) and table["number"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.heavy
def test_a_study_without_complete_trials_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    with open_study(tmp_path / "runs" / "tiny", write_dataset(tmp_path / "clips")):
        pass
    study = hearai.load_study(tmp_path / "runs" / "tiny")
    assert len(study.trials()) == 0
    with pytest.raises(ConfigError, match="no trial is complete"):
        _ = study.best_params
    with pytest.raises(ConfigError, match="holds neither"):
        study.best_model()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_concurrent": 0}, "max_concurrent: got 0; must be an integer of at least 1"),
        ({"max_concurrent": 1.5}, "max_concurrent: got 1.5"),
        ({"settings": ["a"]}, r"settings: got \['a'\]; must be a mapping"),
        ({"settings": {"space": ["x"]}}, r"settings: space: got \['x'\]; must be a mapping"),
        ({"settings": {"space": None, "objectiv": {}, "budget": None}}, "given objectiv: unknown key"),
    ],
)
def test_wrong_arguments_of_a_search_are_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hearai.search("smoke", trials=2, storage=tmp_path, **arguments)
    assert not [*tmp_path.iterdir()]


@pytest.mark.training
def test_a_run_is_trained_and_its_model_predicts(trained: Path, tmp_path: Path) -> None:
    clips = [tmp_path / "data" / "c0", tmp_path / "data" / "c1"]
    model = hearai.load_model(trained, gpu=-1)
    first, second = model.predict(clips, top=2)
    assert first["clip"] == str(clips[0]) and len(second["heads"]["gloss"]) == 2
    p_NK = model.probabilities(clips)["gloss"]
    assert p_NK.shape == (2, 3) and p_NK.sum(1) == pytest.approx([1, 1])
    assert first["heads"]["gloss"][0]["confidence"] == pytest.approx(p_NK[0].max(), abs=1e-4)
    assert model.predict([]) == [] and model.probabilities([])["gloss"].shape == (0, 3)
    for top in (0, -1, "3"):
        with pytest.raises(ConfigError, match="predict: top: got"):
            model.predict(clips, top=top)
    with pytest.raises(DataError):
        model.predict(tmp_path / "nothing.mp4")
    with pytest.raises(ConfigError, match="already holds a run"):
        hearai.fit(model.config, trained)
    (tmp_path / "config.yaml").write_text(to_yaml(model.config))
    resumed = hearai.fit(tmp_path / "config.yaml", trained, values={"train_parameters.epochs": 2}, resume=True)
    assert resumed.epochs == 2


@pytest.mark.training
def test_files_that_changed_since_the_last_call_are_read_again(trained: Path, tmp_path: Path) -> None:
    data, model = tmp_path / "data", hearai.load_model(trained, gpu=-1)
    rows = (data / "test_gloss.txt").read_text()
    clip = data / "c0"
    assert len(model.predict(clip, top=20, dictionary=data)[0]["dictionary"]) == 12
    (data / "test_gloss.txt").write_text("".join(rows.splitlines(keepends=True)[:9]))
    assert len(model.predict(clip, top=20, dictionary=data)[0]["dictionary"]) == 9
    with pytest.raises(ConfigError, match="the dataset: files or labels were changed"):
        hearai.fit(model.config, trained, resume=True)
    (data / "test_gloss.txt").write_text(rows + "c99 0 4 1\n")
    with pytest.raises(DataError, match="c99"):
        hearai.fit(model.config, tmp_path / "other")


WRONG = [
    (lambda: hearai.fit({}, None), "fit: folder: got None; must be a path"),
    (lambda: hearai.fit({}, "run", data=[]), "fit: data: got an empty list"),
    (lambda: hearai.fit({}, "run", data=3), "fit: data: got 3; must be a path"),
    (lambda: hearai.fit({}, "run", values=[1]), r"fit: values: got \[1\]; must be a mapping"),
    (lambda: hearai.fit([], "run"), r"fit: config: got \[\]; must be a mapping"),
    (lambda: hearai.search("smoke", data=()), "search: data: got an empty list"),
    (lambda: hearai.search("smoke", name=3), "search: name: got 3; must be a text"),
    (lambda: hearai.search(3), "search: space: got 3; must be a path"),
    (lambda: hearai.load_model(None), "load_model: folder: got None"),
    (lambda: hearai.load_model("run", gpu=None), "load_model: gpu: got None; must be an integer of at least -1"),
    (lambda: hearai.load_study(None), "load_study: folder: got None"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message[:24] for _, message in WRONG])
def test_arguments_of_the_wrong_kind_are_refused(call: Callable, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        call()
    assert not [*tmp_path.iterdir()]


@pytest.mark.training
def test_the_caller_keeps_random_numbers_and_settings(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    data, config = make_dataset(), make_config(None, {"train_parameters.epochs": 1})
    expected = hearai.fit(config, tmp_path / "plain", data=data)

    def draws() -> list:
        return [torch.rand(1).item(), np.random.rand(), random.random()]

    for use in (
        lambda: hearai.fit(config, tmp_path / "run", data=data),
        lambda: hearai.load_model(tmp_path / "plain"),
    ):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        before, first = dict(os.environ), draws()
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        torch.set_default_dtype(torch.float64)
        try:
            with torch.no_grad():
                result = use()
                assert not torch.is_grad_enabled() and torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
        assert draws() == first and dict(os.environ) == before
        if isinstance(result, FitResult):
            assert result.best == expected.best, "the settings of the caller do not count"


def test_two_threads_do_not_train_at_once(make_config: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    with only_call("search"), ThreadPoolExecutor(1) as pool:
        for call in (lambda: hearai.fit(make_config(make_dataset()), tmp_path / "r"), lambda: hearai.load_model("r")):
            with pytest.raises(ConfigError, match=r"hearai\..*: hearai.search is running in another thread"):
                pool.submit(call).result()
            shutil.rmtree(tmp_path / "data", ignore_errors=True)


@pytest.mark.training
def test_numbers_of_numpy_and_sections_are_values(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    values = {
        "train_parameters": {"epochs": np.int64(1), "landmarks": np.bool_(False)},
        "transformer.dropout_rate": np.float32(0),
    }
    config = make_config(None, {"train_parameters.lr": 0.007})
    result = hearai.fit(config, tmp_path / "run", data=make_dataset(), values=values)
    model = hearai.load_model(tmp_path / "run", gpu=np.int64(-1))
    assert result.epochs == 1 and model.config.train_parameters.lr == 0.007, "the rest of the section is as it was"
    shown = repr(model)
    assert len(shown) < 300 and "{'gloss': 3}" in shown and model.config.transformer.name in shown
    assert len({model, model}) == 1


@pytest.mark.training
def test_the_notebook_runs(finished: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained / "best", finished / "best")
    environment = {"HEARAI_STUDY": finished, "HEARAI_CLIP": tmp_path / "data" / "c0", "MPLBACKEND": "agg"}
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, str(value))
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "stored without outputs"
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert names["prediction"]["heads"]["gloss"] and len(names["trials"]) == 5
