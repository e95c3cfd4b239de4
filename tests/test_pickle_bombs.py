"""A pickle bomb in place of each file that is read: it is not executed, and the error names the file.

Files of a study report are tested in tests/reporting/study_report/test_report_bombs.py.
"""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from optuna.samplers import RandomSampler
from optuna.storages.journal._base import BaseJournalSnapshot
from optuna.trial import TrialState
from torchvision.models import ResNet50_Weights, resnet50

from hearai.benchmarks.curves import TABLE, read_curves
from hearai.benchmarks.engine_comparison import read_traces
from hearai.config.config import Config, to_yaml
from hearai.config.study import Request, load_study
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError, UserError
from hearai.models.model import build_initial_model
from hearai.models.pretrained.published import load_pretrained, load_torchvision
from hearai.search.finals import score_test_split
from hearai.search.storage.journal_backend import JournalFile, open_journal
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.layout import OWNER
from hearai.search.storage.lock import read_owner, study_lock
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore
from hearai.search.trial.resume import clear_unusable
from hearai.training.features.feature_cache import load_or_compute
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from tests.helpers import ROOT
from tests.helpers.pickle_bombs import FORMS, array, arrays, old_torch_file, oldest, plain, torch_file, yaml_text

TORCH_FORMS = (plain, oldest, torch_file, old_torch_file)
MODEL = "test_efficientnet"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def crater(tmp_path: Path):
    """The folder that an executed bomb creates; it must not exist at the end of the test."""
    yield tmp_path / "crater"
    assert not (tmp_path / "crater").exists(), "the bomb was executed"


@pytest.fixture
def run(tiny_config: Config, tmp_path: Path) -> Path:
    """The folder of a completed run of two epochs."""
    fit(tiny_config, LocalRuntime("cpu", tmp_path / "run"))
    return tmp_path / "run"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_bombs_are_real(tmp_path: Path, form: Callable[[Path], bytes]) -> None:
    FORMS[form](form(tmp_path / "crater"))
    assert (tmp_path / "crater").is_dir()


@pytest.mark.parametrize("form", TORCH_FORMS, ids=lambda form: form.__name__)
def test_checkpoint(tmp_path: Path, crater: Path, form: Callable[[Path], bytes]) -> None:
    (tmp_path / "state.pt").write_bytes(form(crater))
    with pytest.raises(ConfigError, match=r"state\.pt: cannot be read as a checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.heavy
def test_checkpoint_of_a_resumed_trial(
    run: Path, tiny_config: Config, crater: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run / "last" / "state.pt").write_bytes(torch_file(crater))
    clear_unusable(run, tiny_config)
    assert "cannot be read as a checkpoint" in caplog.text and "starts again from epoch 1" in caplog.text
    assert not (run / "last").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("script", ["evaluate", "predict", "export"])
def test_checkpoint_of_a_trained_model(
    call: Callable, run: Path, tiny_dataset: Path, crater: Path, script: str
) -> None:
    (run / "best" / "state.pt").write_bytes(torch_file(crater))
    more = {"evaluate": [], "predict": [tiny_dataset / "c0"], "export": ["--to", "pt2"]}[script]
    code, _, err = call(script, "--checkpoint", run, *more)
    assert code == 2 and "state.pt: cannot be read as a checkpoint" in err and "Traceback" not in err


def arguments(config: Config, folder: Path, **changes: object) -> list[object]:
    """Arguments of train.py, for a config written into `folder`."""
    (folder / "run.yaml").write_text(to_yaml(config))
    changed = {"general_parameters.path_to_save": folder / "run", **changes}
    return ["--config", folder / "run.yaml", *(f"--set={path}={value}" for path, value in changed.items())]


@pytest.mark.heavy
def test_resumed_run(call: Callable, run: Path, tiny_config: Config, tmp_path: Path, crater: Path) -> None:
    (run / "last" / "state.pt").write_bytes(torch_file(crater))
    code, _, err = call("train", *arguments(tiny_config, tmp_path), "--resume")
    assert code == 2 and "state.pt: cannot be read as a checkpoint" in err


@pytest.mark.parametrize("form", TORCH_FORMS, ids=lambda form: form.__name__)
def test_backbone(call: Callable, tiny_config: Config, tmp_path: Path, crater: Path, form: Callable) -> None:
    (tmp_path / "backbone.pt").write_bytes(form(crater))
    given = {"feature_extractor.checkpoint": tmp_path / "backbone.pt"}
    code, _, err = call("train", *arguments(tiny_config, tmp_path, **given))
    assert code == 2 and "backbone.pt does not contain torch weights" in err


@pytest.mark.heavy
def test_cached_features(tiny_config: Config, crater: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = load_data(tiny_config)
    extractor = build_initial_model(tiny_config, data.num_class).feature_extractor
    load_or_compute(tiny_config, data, data.split.train, extractor, torch.device("cpu"))
    (rows,) = cache.glob("features-*/rows.npy")
    before = rows.read_bytes()
    for form in (array, arrays, plain):
        rows.write_bytes(form(crater))
        caplog.clear()
        load_or_compute(tiny_config, data, data.split.train, extractor, torch.device("cpu"))
        assert "rows.npy: not a feature file" in caplog.text and "; the features are computed again" in caplog.text
        assert rows.read_bytes() == before


@pytest.mark.heavy
@pytest.mark.parametrize("form", [array, arrays, plain], ids=lambda form: form.__name__)
def test_landmarks(call: Callable, make_dataset: Callable, crater: Path, form: Callable) -> None:
    folder = make_dataset(landmarks=True)
    (folder / "c3" / "c3.npz").write_bytes(form(crater))
    code, out, err = call("check_data", folder)
    assert code in (1, 2) and "c3.npz" in out + err and "cannot read" in out + err


@pytest.mark.heavy
def test_cached_weights_of_timm(tmp_path: Path, crater: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = timm.get_pretrained_cfg(MODEL).hf_hub_id.partition("@")[0]
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    for form in TORCH_FORMS:
        for name in ("pytorch_model.bin", "model.safetensors"):
            (folder / "snapshots" / "abc" / name).write_bytes(form(crater))
            with pytest.raises(ConfigError, match=f"weights of {MODEL} are not available .*{name}"):
                load_pretrained(MODEL)
            (folder / "snapshots" / "abc" / name).unlink()


@pytest.mark.heavy
@pytest.mark.parametrize("form", TORCH_FORMS, ids=lambda form: form.__name__)
def test_cached_weights_of_torchvision(
    tmp_path: Path, crater: Path, monkeypatch: pytest.MonkeyPatch, form: Callable
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    weights = ResNet50_Weights.IMAGENET1K_V2
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / weights.url.rpartition("/")[2]).write_bytes(form(crater))
    with pytest.raises(ConfigError, match="are not available .*resnet50"):
        load_torchvision(resnet50, weights)


@pytest.mark.heavy
def test_valid_cached_weights_of_torchvision_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    weights, saved = ResNet50_Weights.IMAGENET1K_V2, resnet50().state_dict()
    (tmp_path / "checkpoints").mkdir()
    torch.save(saved, tmp_path / "checkpoints" / weights.url.rpartition("/")[2])
    loaded = load_torchvision(resnet50, weights).state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in loaded.items())


@pytest.mark.parametrize("how", ["plain", "yaml"])
def test_config(call: Callable, tmp_path: Path, crater: Path, how: str) -> None:
    for name in ("config.yaml", "best.yaml"):
        content = plain(crater) if how == "plain" else f"train_parameters: {yaml_text(crater)}\n".encode()
        (tmp_path / name).write_bytes(content)
        code, _, err = call("train", "--config", tmp_path / name)
        assert code == 2 and name in err and "Traceback" not in err


@pytest.mark.parametrize("script", ["train", "tune"])
def test_value_on_the_command_line(call: Callable, crater: Path, script: str) -> None:
    space = ["--space", "smoke"] if script == "tune" else []
    code, _, err = call(script, *space, f"--set=train_parameters.lr={yaml_text(crater)}")
    assert code == 2 and "python/object/apply:os.mkdir" in err and "Traceback" not in err


def test_search_space(call: Callable, tmp_path: Path, crater: Path) -> None:
    (tmp_path / "space.yaml").write_text(f"space:\n  train_parameters.lr: {yaml_text(crater)}\n")
    code, _, err = call("tune", "--space", tmp_path / "space.yaml")
    assert code == 2 and "space.yaml:2" in err and "Traceback" not in err


def tune(call: Callable, tmp_path: Path, data: Path, *more: object) -> tuple[int, str, str]:
    """Runs tune.py up to its first error, before Ray is started."""
    where = ["--data-path", data, "--name", "tiny", "--storage", tmp_path / "runs"]
    return call("tune", "--space", "gloss", *where, "--set=feature_extractor.pretrained=false", *more)


@pytest.mark.heavy
@pytest.mark.parametrize("how", ["plain", "yaml"])
def test_study_of_a_continued_search(
    call: Callable, tmp_path: Path, tiny_dataset: Path, crater: Path, how: str
) -> None:
    study = tmp_path / "runs" / "tiny" / "study.yaml"
    study.parent.mkdir(parents=True)
    study.write_bytes(plain(crater) if how == "plain" else f"space: {yaml_text(crater)}\n".encode())
    code, _, err = tune(call, tmp_path, tiny_dataset)
    assert code == 2 and "study.yaml" in err and "Traceback" not in err


@pytest.mark.heavy
def test_journal_of_another_search(call: Callable, tmp_path: Path, tiny_dataset: Path, crater: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal.log").write_bytes(oldest(crater))
    (tmp_path / "other" / "study.yaml").write_bytes((ROOT / "search_spaces" / "gloss.yaml").read_bytes())
    code, _, err = tune(call, tmp_path, tiny_dataset, "--warm-start", tmp_path / "other" / "journal.log")
    assert code == 2 and str(tmp_path / "other") in err and "Traceback" not in err


@pytest.mark.parametrize("form", [plain, oldest], ids=lambda form: form.__name__)
def test_journal(tmp_path: Path, crater: Path, caplog: pytest.LogCaptureFixture, form: Callable) -> None:
    (tmp_path / "journal.log").write_bytes(form(crater) + b"\n")
    with pytest.raises(UserError, match=r"journal\.log:1: damaged"):
        read_journal(tmp_path / "journal.log")
    with open_journal(tmp_path):  # a search truncates a damaged journal and logs it
        assert "journal.log:1: damaged from here to the end" in caplog.text
    assert form(crater) in (tmp_path / "journal.log.torn").read_bytes()


def test_pickles_in_fields_of_a_journal(tmp_path: Path, crater: Path) -> None:
    bomb = base64.b64encode(plain(crater)).decode()
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        number = store.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
        store.set_user_attrs(number, {"reason": bomb, "snapshot": {"py/reduce": ["os.mkdir", str(crater)]}})
        store.optuna_study.set_user_attr("snapshot", bomb)
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        assert store[number].user_attrs["reason"] == bomb, "it is plain text"
    assert not issubclass(JournalFile, BaseJournalSnapshot), "Optuna unpickles the snapshots of such backends"


@pytest.mark.heavy
def test_scores_of_the_test_clips(tmp_path: Path, tiny_dataset: Path, crater: Path) -> None:
    study = load_study(Request("gloss", "tiny", data_paths=(str(tiny_dataset),)))
    with open_journal(tmp_path) as storage:
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        number = search.propose(lambda trial: {}).number
        search.finish(number, TrialState.COMPLETE, 0.5)
        for content in (plain(crater), oldest(crater), b'{"base": "py/reduce"}'):
            (tmp_path / "test.json").write_bytes(content)
            with pytest.raises(UserError, match=r"test\.json: does not contain test scores"):
                score_test_split(study, search, finals, tmp_path)


def test_owner_of_a_study(tmp_path: Path, crater: Path) -> None:
    (tmp_path / OWNER).write_bytes(plain(crater))
    assert read_owner(tmp_path) is None
    with study_lock(tmp_path):
        assert read_owner(tmp_path)["pid"] > 0, "rewritten"


@pytest.mark.heavy
def test_table_of_recorded_curves(tmp_path: Path, crater: Path) -> None:
    header, first = TABLE.read_text().splitlines()[:2]
    for content in (plain(crater), oldest(crater), f"{header}\n{first}{yaml_text(crater)}\n".encode()):
        (tmp_path / "curves.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"curves\.csv: not a table of recorded curves"):
            read_curves(tmp_path / "curves.csv")


@pytest.mark.parametrize(
    "name", ["test_gloss.txt", "signers.csv", "glosses.csv", "c1/c1_properties.json", "c1/c1_0.jpg"]
)
def test_files_of_a_dataset(call: Callable, make_dataset: Callable, crater: Path, name: str) -> None:
    folder = make_dataset(fps=25.0)
    (folder / name).write_bytes(plain(crater))
    code, out, err = call("check_data", folder)
    assert code in (1, 2) and Path(name).name in out + err and "Traceback" not in err


def test_log_of_a_benchmark(tmp_path: Path, crater: Path) -> None:
    for form in (plain, oldest):
        (tmp_path / "log.jsonl").write_bytes(form(crater))
        with pytest.raises(UserError, match=r"log\.jsonl: contains a line that is not a search"):
            read_traces(tmp_path / "log.jsonl")
