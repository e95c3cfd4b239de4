"""evaluate.py on a small trained run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_a_model_is_scored_on_the_test_clips_of_its_data(call: Callable, run: Path):
    code, out, _ = call("evaluate", "--checkpoint", run, "--gpu", -1)
    assert code == 0 and max(map(len, out.splitlines()[2:])) <= 80 or "figures" in out
    found, expected = evaluation(run / "best" / "evaluation-test"), score_split(run / "best", LocalRuntime("cpu", run))
    gloss = found["heads"]["gloss"]
    assert found["split"] == "test" and found["clips"] == expected["clips"] == sum(map(sum, gloss["confusion"]))
    assert found["mean_macro_f1"] == pytest.approx(expected["mean_macro_f1"])
    assert gloss["accuracy"] == pytest.approx(expected["heads"]["gloss"]["accuracy"])
    assert gloss["top3"] == 1.0, "there are three classes"
    assert gloss["floor"]["name"] in ("house", "tree", "cat") and gloss["floor"]["macro_f1"] <= 0.5
    assert f"{gloss['macro_f1']:.3f}" in out and f"{gloss['floor']['macro_f1']:.3f}" in out
    assert Image.open(run / "best" / "evaluation-test" / "gloss.png").width > 200


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copyfile], ids=["moved", "copied"])
def test_moved_data_is_recognised_and_other_data_scored_fully(
    call: Callable, run: Path, data: Path, make_dataset: Callable, tmp_path: Path, copy: Callable
):
    assert call("evaluate", "--checkpoint", run, "--out", tmp_path / "original")[0] == 0
    copied = shutil.copytree(data, tmp_path / "elsewhere" / "data", copy_function=copy)
    shutil.rmtree(data)
    assert call("evaluate", "--checkpoint", run, "--data-path", copied, "--out", tmp_path / "moved")[0] == 0
    original, moved = evaluation(tmp_path / "original"), evaluation(tmp_path / "moved")
    assert moved["split"] == "test" and moved["heads"] == original["heads"]
    other = make_dataset("other", clips=3, signers=1)  # too small to be split, one signer
    assert call("evaluate", "--checkpoint", run, "--data-path", other, "--out", tmp_path / "other")[0] == 0
    assert (evaluation(tmp_path / "other")["split"], evaluation(tmp_path / "other")["clips"]) == ("all", 3)
    code, _, err = call("evaluate", "--checkpoint", run, "--data-path", other, "--split", "val")
    assert code == 2 and "has no such split; omit --split" in err


def test_validation_clips_give_the_reported_score(call: Callable, run: Path, tmp_path: Path):
    assert call("evaluate", "--checkpoint", run / "best", "--split", "val", "--out", tmp_path / "val")[0] == 0
    best = load_checkpoint(run / "best")["metrics"]
    assert evaluation(tmp_path / "val")["mean_macro_f1"] == pytest.approx(best["val/macro_f1"])


def test_data_with_unknown_classes_is_refused(call: Callable, run: Path, make_dataset: Callable):
    code, _, err = call("evaluate", "--checkpoint", run, "--data-path", make_dataset("more", classes=5))
    assert code == 2 and "the model has 3 classes of gloss, the data 5" in err
