"""What is stored with a model about when not to believe it: at the end of a run, and later."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import hearai
from hearai.config.config import to_dict
from hearai.data.annotations.load import forget_data, load_data
from hearai.errors import ConfigError
from hearai.training.fit import fit
from hearai.training.inference.measure_reliability import add_reliability
from hearai.training.inference.reliability import is_uncertain, uncertain_clips
from hearai.training.inference.trained_model import load_trained
from hearai.training.outputs.checkpoint import copy_checkpoint, is_same_model, load_checkpoint, save_checkpoint
from hearai.training.runtime import LocalRuntime

CPU = torch.device("cpu")


def test_low_probability_or_small_margin_is_uncertain():
    assert not is_uncertain([0.6, 0.4]) and not is_uncertain([1.0])
    assert is_uncertain([0.49, 0.1]) and is_uncertain([0.52, 0.48])
    assert uncertain_clips(torch.tensor([[0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])) == [False, True]
    assert uncertain_clips(torch.ones(2, 1)) == [False, False]


@pytest.fixture
def run(make_config: Callable, make_dataset: Callable, tmp_path: Path) -> Path:
    """A run as a trial leaves it: not measured."""
    ratios = {"general_parameters.ratio_train_test": 0.5}  # a temperature needs 20 validation clips
    config = make_config(make_dataset(clips=80, frames=3), {"train_parameters.epochs": 2, **ratios})
    fit(config, LocalRuntime("cpu", tmp_path / "run"))
    return tmp_path / "run"


@pytest.mark.training
def test_a_run_is_measured_once_and_keeps_its_weights(run: Path):
    assert load_trained(run / "best", CPU).reliability is None, "trials of a search do not pay for it"
    before = load_checkpoint(run / "best")
    measured = add_reliability(run / "best", CPU)
    assert measured and set(measured.temperatures) == {"gloss"} and 0 < measured.limit <= 2
    trained = load_trained(run / "best", CPU)
    stored, train = trained.reliability, load_data(trained.config).split.train
    assert stored and stored.temperatures == measured.temperatures and stored.vectors_MD.dtype == torch.float16
    assert len(stored.vectors_MD) == len(train)
    after = load_checkpoint(run / "best")
    assert all(torch.equal(before["model"][name], after["model"][name]) for name in before["model"])
    time = (run / "best" / "state.pt").stat().st_mtime_ns
    assert add_reliability(run / "best", CPU).limit == measured.limit
    assert (run / "best" / "state.pt").stat().st_mtime_ns == time


@pytest.mark.training
def test_a_copy_of_the_dataset_serves_when_the_original_is_gone(run: Path):
    (folder,) = load_trained(run / "best", CPU).config.general_parameters.data_path
    copy = Path(folder).rename(run.parent / "another name")
    with pytest.raises(ConfigError, match=r"is gone \(.*or a copy \(--data-path\)"):
        add_reliability(run / "best", CPU)
    measured = add_reliability(run / "best", CPU, copies=[str(copy)])
    assert measured and len(measured.vectors_MD) == 40


@pytest.mark.training
@pytest.mark.parametrize("values", [{}, {"freeze_scheduler.model_params": {"feature_extractor.backbone": [True]}}])
def test_fit_measures_at_its_end_from_images_and_features(
    values: dict, make_config: Callable, make_dataset: Callable, tmp_path: Path
):
    config = make_config(make_dataset(clips=24), {"train_parameters.epochs": 2, **values})
    hearai.fit(to_dict(config), tmp_path / "run")
    model = hearai.load_model(tmp_path / "run", gpu=-1)
    clips = load_data(model.config).split
    rows = model.predict([clip.folder / clip.name for clip in (*clips.train, *clips.val)])
    distances = [row["unlike_training"]["distance"] for row in rows]
    assert max(distances[: len(clips.train)]) < 1e-3, "they are the clips whose vectors are kept"
    assert not any(row["unlike_training"]["unlike"] for row in rows)
    shown = [row["heads"]["gloss"][0]["confidence"] for row in rows]
    exact = model.probabilities([clip.folder / clip.name for clip in (*clips.train, *clips.val)])["gloss"].max(1)
    assert shown == pytest.approx(exact.tolist(), abs=1e-4)
    assert [row["uncertain"] for row in rows] == [["gloss"] if is_uncertain(_top(row)) else [] for row in rows]


def _top(row: dict) -> list[float]:
    return [one["confidence"] for one in row["heads"]["gloss"]]


@pytest.mark.training
def test_clips_unlike_the_training_clips_are_named(call: Callable, run: Path):
    trained = load_trained(run / "best", CPU)
    measured = add_reliability(run / "best", CPU)
    flipped = -measured.vectors_MD.float()
    assert all(measured.is_unlike(distance) for distance in measured.distances(flipped))
    clip = load_data(trained.config).split.train[0]
    state = load_checkpoint(run / "best")
    state["reliability"]["vectors"] = -state["reliability"]["vectors"]
    save_checkpoint(run / "best", state)
    code, out, _ = call("predict", "--checkpoint", run, clip.folder / clip.name, "--gpu", -1)
    assert code == 0 and "unlike the training clips (distance" in out and "95 % of validation below" in out
    assert max(map(len, out.splitlines()[1:])) <= 80


@pytest.mark.training
def test_a_model_without_it_says_so_once_and_can_get_it(call: Callable, run: Path):
    clips = [clip.folder / clip.name for clip in load_data(load_trained(run / "best", CPU).config).split.val]
    code, out, err = call("predict", "--checkpoint", run, *clips, "--gpu", -1, "--json")
    assert code == 0 and all(row["unlike_training"] is None for row in json.loads(out))
    _, out, err = call("evaluate", "--checkpoint", run, "--gpu", -1)
    assert " ".join(out.split()).count("not calibrated") == 1 and "--calibrate" in out
    code, out, _ = call("evaluate", "--checkpoint", run, "--gpu", -1, "--calibrate")
    assert code == 0 and "not calibrated" not in out and "unlike the training clips" in out
    found = json.loads((run / "best" / "evaluation-test" / "evaluation.json").read_text())
    calibration = found["heads"]["gloss"]["calibration"]
    assert calibration["temperature"] == load_trained(run / "best", CPU).reliability.temperatures["gloss"]
    assert 0 <= calibration["calibrated_error"] <= 1 and found["unlike_training"]["clips"] <= found["clips"]


@pytest.mark.training
def test_calibration_changes_no_score(call: Callable, run: Path):
    scores = []
    for options in ([], ["--calibrate"]):
        assert call("evaluate", "--checkpoint", run, "--gpu", -1, *options)[0] == 0
        gloss = json.loads((run / "best" / "evaluation-test" / "evaluation.json").read_text())["heads"]["gloss"]
        assert gloss.pop("calibration")["error"] >= 0
        scores.append(gloss)
    assert scores[0] == scores[1]


@pytest.mark.training
def test_a_model_of_all_clips_takes_the_limits_of_the_search(run: Path, tmp_path: Path):
    add_reliability(run / "best", CPU)
    config = load_trained(run / "best", CPU).config
    values = to_dict(config)
    values["general_parameters"]["train_on_validation"] = True
    fit(type(config).model_validate(values), LocalRuntime("cpu", tmp_path / "final"))
    final = tmp_path / "final" / "best"
    assert add_reliability(final, CPU) is None, "its validation clips were trained on"
    found, known = add_reliability(final, CPU, of_search=run / "best"), load_trained(run / "best", CPU).reliability
    assert (found.temperatures, found.limit) == (known.temperatures, known.limit)
    assert len(found.vectors_MD) > len(known.vectors_MD)


@pytest.mark.training
def test_a_changed_dataset_is_refused(run: Path):
    folder = load_data(load_trained(run / "best", CPU).config).clips[0].folder
    rows = (folder / "test_gloss.txt").read_text().splitlines()
    (folder / "test_gloss.txt").write_text("\n".join(rows[:-2]) + "\n")
    forget_data()
    with pytest.raises(ConfigError, match="is not the dataset that it was trained on, or has changed since"):
        add_reliability(run / "best", CPU)


@pytest.mark.training
def test_equal_models_are_recognised_whatever_was_added(run: Path, tmp_path: Path):
    assert not is_same_model(run / "best", tmp_path / "copy"), "there is none"
    copy_checkpoint(run / "best", tmp_path / "copy")
    add_reliability(tmp_path / "copy", CPU)
    assert is_same_model(run / "best", tmp_path / "copy")
    state = load_checkpoint(tmp_path / "copy")
    name = next(name for name, values in state["model"].items() if values.is_floating_point())
    save_checkpoint(tmp_path / "copy", {**state, "model": {**state["model"], name: state["model"][name] + 1}})
    assert not is_same_model(run / "best", tmp_path / "copy")
    (tmp_path / "copy" / "state.pt").write_bytes(b"torn")
    assert not is_same_model(run / "best", tmp_path / "copy")
