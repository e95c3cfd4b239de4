"""`--from RUN`: extractor and encoder of another run, new heads; what does not fit is refused before the start."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from hearai.config.config import Config, load_config
from hearai.config.overrides import override
from hearai.config.study import Request, load_study
from hearai.errors import ConfigError
from hearai.models.model import build_initial_model
from hearai.search.plan import make_plan, prepare_inputs
from hearai.search.storage.object_store import ObjectStore
from hearai.search.storage.study_folder import changes_of_study, ensure_study_folder
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from hearai.training.setup.from_run import find_run, request_from, values_from
from hearai.training.setup.prepare import with_weights
from hearai.training.setup.single_run import prepare_run, run_single
from hearai.training.setup.starting_weights import write_copy
from tests.conftest import TINY
from tests.helpers.s3_server import Bucket
from tests.helpers.small_space import small_space
from tests.helpers.source_run import started, write_run

ENCODER = {"transformer.num_encoder_layers": 2, "transformer.pooling": "attention"}


@pytest.fixture
def source(make_config: Callable[..., Config], tmp_path: Path) -> Path:
    """The folder of a run with another encoder than the small config has, and five classes."""
    return write_run(make_config(None, ENCODER), tmp_path / "source", seed=4)


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["", "best", "best/state.pt"])
def test_all_weights_but_those_of_the_heads_are_taken(make_config: Callable[..., Config], source: Path, form: str):
    config = started(make_config(), source / form)
    model, weights = build_initial_model(config, {"gloss": 3}), load_checkpoint(source / "best")["model"]
    assert config.transformer.num_encoder_layers == 2 and config.freeze_scheduler.model_params, "frozen by default"
    for name, x in model.state_dict().items():
        assert name.startswith("heads.") or torch.equal(x, weights[name])
    assert model.start.parts.keys() == {"feature_extractor", "transformer"}
    assert model.start.left and all(name.startswith("heads.") for name in model.start.left)
    assert config.feature_extractor.weights_sha256 == model.start.sha256


@pytest.mark.parametrize("rates", [(0.0, 0.5), (0.5, 0.5), (0.5, 0.0)], ids=["new", "both", "old"])
def test_the_batches_of_late_dropout_are_not_taken(
    make_config: Callable[..., Config], tmp_path: Path, rates: tuple[float, float]
):
    encoder = {"transformer.name": "conv1d_transformer", "transformer.num_encoder_layers": 1}
    before, after = (make_config(None, {**encoder, "transformer.late_dropout_rate": rate}) for rate in rates)
    source = write_run(before, tmp_path / "source", seed=4)
    content = load_checkpoint(source / "best")
    if "transformer.late_dropout.batches" in content["model"]:
        content["model"]["transformer.late_dropout.batches"].fill_(1000)
        save_checkpoint(source / "best", content)
    model = build_initial_model(started(after, source), {"gloss": 3})
    assert model.state_dict().get("transformer.late_dropout.batches", torch.tensor(0)) == 0


def test_stated_values_that_differ_are_refused_all_at_once(source: Path):
    stated = {
        "transformer.num_encoder_layers": 3,
        "transformer.pooling": "attention",
        "transformer.dropout_rate": 0.5,
        "feature_extractor.name": "gcn_extractor",
        "feature_extractor.pretrained": True,
    }
    with pytest.raises(ConfigError) as caught:
        values_from(find_run(str(source)), stated)
    layers, name, weights = caught.value.problems
    assert layers.startswith("transformer.num_encoder_layers: got 3, but ") and "has 2; leave it out" in layers
    assert "feature_extractor.name: got 'gcn_extractor'" in name and "--from gives the weights" in weights


def test_a_checkpoint_of_another_architecture_names_the_values(make_config: Callable[..., Config], source: Path):
    config = make_config(None, {"feature_extractor.checkpoint": str(source / "best/state.pt")})
    with pytest.raises(ConfigError, match="num_encoder_layers: 1 here, 2 there") as caught:
        with_weights(config)
    assert len(caught.value.problems) == 3


def test_what_is_no_run_is_refused(tmp_path: Path, make_config: Callable[..., Config], source: Path):
    (tmp_path / "file.pth").write_bytes(b"x")
    (tmp_path / "damaged/best").mkdir(parents=True)
    (tmp_path / "damaged/best/state.pt").write_bytes(b"x")
    for path, reason in (("none", "no such folder"), ("file.pth", "not the checkpoint"), (".", "holds neither")):
        with pytest.raises(ConfigError, match=f"--from .*{reason}"):
            find_run(str(tmp_path / path))
    with pytest.raises(ConfigError, match="cannot be read as a checkpoint"):
        find_run(str(tmp_path / "damaged"))
    content = load_checkpoint(source / "best")
    content["model"] = {name: x for name, x in content["model"].items() if "backbone" not in name}
    save_checkpoint(source / "best", content)
    with pytest.raises(ConfigError, match="weights are missing, such as feature_extractor.backbone"):
        started(make_config(), source)


@pytest.mark.training
def test_a_run_records_what_it_took_and_resumes_with_the_same(tiny_config: Config, source: Path, tmp_path: Path):
    folder = tmp_path / "run"
    asked = override(tiny_config, {"general_parameters.path_to_save": str(folder), "train_parameters.epochs": 1})
    config, _ = prepare_run(override(asked, values_from(find_run(str(source)), {})), folder)
    run_single(config, folder)
    record = yaml.safe_load((folder / "weights.yaml").read_text())
    assert record["path"] == str(source / "best/state.pt") and record["taken"]["transformer"] > 10
    assert load_config(folder / "config.yaml").feature_extractor.weights_sha256 == record["sha256"]
    again = override(asked, values_from(find_run(str(source)), {}))
    prepare_run(again, folder, resume=True)
    write_run(find_run(str(source)).config, source, seed=5)
    with pytest.raises(ConfigError, match="weights_sha256: was"):
        prepare_run(again, folder, resume=True)


def request(tmp_path: Path, data: Path, more: str = "") -> Request:
    (tmp_path / "space.yaml").write_text(small_space(trials=2, epochs=1) + more)
    return Request(str(tmp_path / "space.yaml"), data_paths=(str(data),))


SEARCHED = """\
  transformer.num_encoder_layers: {int: [1, 4]}
  transformer.name: {choice: [sign_language_transformer, lstm]}
  transformer.dropout_rate: {float: [0.0, 0.5], when: {transformer.name: sign_language_transformer}}
  general: {choice: {a: {transformer.output_size: 16, transformer.feedforward_size: 32}}}
  train_parameters.weight_decay: {float: [0.0, 0.1], when: {transformer.name: lstm}}
"""


@pytest.mark.heavy
def test_a_space_keeps_what_the_weights_leave_open(tiny_dataset: Path, source: Path, tmp_path: Path):
    asked = request(tmp_path, tiny_dataset, SEARCHED)
    asked, notes = request_from(asked, load_study(asked), find_run(str(source)), {})
    study = load_study(asked)
    assert set(study.space.domains) == {"train_parameters.lr", "transformer.dropout_rate"}
    assert study.base.transformer.num_encoder_layers == 2
    assert "transformer.num_encoder_layers 2 (instead of 1)" in notes[1]
    assert all(name in notes[2] for name in ("general", "train_parameters.weight_decay", "transformer.name"))


@pytest.mark.heavy
def test_a_tied_choice_of_decided_and_other_values_is_refused(tiny_dataset: Path, source: Path, tmp_path: Path):
    mixed = "  mixed: {choice: {a: {transformer.output_size: 16, train_parameters.epochs: 1}}}\n"
    asked = request(tmp_path, tiny_dataset, mixed)
    with pytest.raises(ConfigError, match="space: mixed: sets transformer.output_size, which --from decides"):
        request_from(asked, load_study(asked), find_run(str(source)), {})


def test_a_study_goes_on_with_its_copy_when_the_source_is_gone(
    make_config: Callable, source: Path, tmp_path: Path, caplog
):
    caplog.set_level(logging.INFO, "hearai")
    copy = tmp_path / "study" / "backbone.pt"
    write_copy(started(make_config(), source), copy)
    before = find_run(str(source))
    shutil.rmtree(source)
    found = find_run(str(source), kept=copy)
    assert found.file == copy and found.config == before.config
    assert f"--from {source}: no such folder: the study continues with its own copy" in caplog.text
    save_tensors(copy, {"backbone": {}, "model_path": "resnet50"})
    for kept in (copy, tmp_path / "none.pt", None):
        with pytest.raises(ConfigError, match="no such folder"):
            find_run(str(source), kept=kept)


@pytest.mark.heavy
def test_a_study_keeps_a_copy_that_is_part_of_its_identity(make_config: Callable, tiny_dataset: Path, tmp_path: Path):
    source = write_run(make_config(tiny_dataset, ENCODER), tmp_path / "source", seed=4)
    asked = request(tmp_path, tiny_dataset)
    plain = load_study(asked)
    asked, _ = request_from(asked, plain, find_run(str(source)), {})
    study, folder = load_study(asked), tmp_path / "study"
    folder.mkdir()
    plan = make_plan(study, folder)
    assert plan.study.base.feature_extractor.checkpoint == str(folder / "backbone.pt")
    assert plan.checked_on_nodes.feature_extractor.checkpoint is None
    ensure_study_folder(plan, folder)
    assert json.loads((folder / "data.json").read_text())["seen"] == {"val": 0, "test": 0}, "the same split"
    prepare_inputs(plan, folder)
    assert (folder / "backbone.pt").read_bytes() == (source / "best/state.pt").read_bytes()
    assert build_initial_model(plan.study.base, {"gloss": 3}).start.parts["transformer"]
    assert changes_of_study(make_plan(study, folder), folder) == []
    write_run(find_run(str(source)).config, source, seed=5)
    (line,) = changes_of_study(make_plan(study, folder), folder)
    assert line.startswith("config.feature_extractor.weights_sha256: was ")
    assert any("checkpoint" in line for line in changes_of_study(make_plan(plain, folder), folder))


@pytest.mark.heavy
def test_a_path_of_weights_travels_with_the_study(make_config: Callable[..., Config], source: Path, tmp_path: Path):
    config = with_weights(make_config(None, {"feature_extractor.pretrained": str(source)}))
    copy = tmp_path / "copy" / "backbone.pt"
    write_copy(config, copy)
    written = copy.stat().st_mtime_ns
    write_copy(config, copy)
    assert copy.stat().st_mtime_ns == written
    from_copy = override(config, {"feature_extractor.checkpoint": str(copy), "feature_extractor.pretrained": False})
    one, other = (build_initial_model(x, {"gloss": 5}) for x in (config, from_copy))
    assert one.start == other.start and any(name.startswith("transformer.") for name in other.start.left)
    assert all(torch.equal(x, y) for x, y in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    with pytest.raises(ConfigError, match="weights_sha256: 0000.*, but .*backbone.pt has"):
        with_weights(override(from_copy, {"feature_extractor.weights_sha256": "0" * 64}))


@pytest.mark.heavy
def test_a_study_keeps_weights_whose_path_is_gone(tiny_dataset: Path, source: Path, tmp_path: Path, caplog):
    weights = {"feature_extractor.pretrained": str(source)}
    asked = replace(
        request(tmp_path, tiny_dataset, "  transformer.dropout_rate: {float: [0.0, 0.5]}\n"), changes=weights
    )
    study, folder = load_study(asked), tmp_path / "study"
    folder.mkdir()
    plan = make_plan(study, folder)
    ensure_study_folder(plan, folder)
    prepare_inputs(plan, folder)
    written = (folder / "backbone.pt").read_bytes()
    shutil.rmtree(source)
    again = make_plan(study, folder)
    assert f"{source} is gone: the study continues with its own copy" in caplog.text
    assert changes_of_study(again, folder) == [] and again.seen == plan.seen
    prepare_inputs(again, folder)
    assert (folder / "backbone.pt").read_bytes() == written
    other = load_study(replace(asked, changes={"feature_extractor.pretrained": f"{source}2"}))
    (tmp_path / "damaged").mkdir()
    save_tensors(tmp_path / "damaged" / "backbone.pt", {"backbone": {}})
    for unlike, place in ((other, folder), (study, tmp_path / "empty"), (study, tmp_path / "damaged")):
        with pytest.raises(ConfigError, match="feature_extractor.pretrained: .*no such file or folder"):
            make_plan(unlike, place)


@pytest.mark.heavy
def test_pretraining_and_searched_extractors_are_refused(tiny_dataset: Path, source: Path, tmp_path: Path):
    weights = {"feature_extractor.pretrained": str(source)}
    for settings, reason in (
        ({"pretrain": {"epochs": 1}}, "pretrain: on, but the extractor starts"),
        ({"space": {"feature_extractor.model_path": {"choice": ["test_efficientnet", "test_vit"]}}}, "searched, but"),
    ):
        asked = request(tmp_path, tiny_dataset)
        study = load_study(Request(asked.space, "s", None, asked.data_paths, weights, settings))
        with pytest.raises(ConfigError, match=reason):
            make_plan(study, tmp_path / "s")


@pytest.mark.training
def test_a_study_in_a_bucket_starts_runs_on_this_machine(
    bucket: Bucket, source: Path, tiny_dataset: Path, call: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HEARAI_HOME", str(tmp_path / "home"))
    ObjectStore(bucket.uri).below("words").push(source)
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    tiny = {**TINY, "train_parameters": {**TINY["train_parameters"], "epochs": 1}, "feature_extractor": {}}
    config.write_text(yaml.safe_dump({**tiny, "transformer": {}}))
    options = ["--config", config, "--data-path", tiny_dataset, "--set", f"general_parameters.path_to_save={run}"]
    code, _, errors = call("train", *options, "--from", f"{bucket.uri}/words")
    assert code == 0, errors
    assert {"feature_extractor", "transformer"} <= yaml.safe_load((run / "weights.yaml").read_text())["taken"].keys()
    code, _, errors = call("train", *options, "--from", f"{bucket.uri}/none")
    assert code == 2 and "holds neither state.pt nor best/state.pt" in errors and "Traceback" not in errors
