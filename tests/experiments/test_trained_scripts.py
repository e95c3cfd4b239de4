"""evaluate.py, predict.py and export.py on a small trained run, as a user calls them."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from hearai.sign.hamnosys import HEADS
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime

WORDS = "name,word,gloss_id\nc0,house,0\nc1,tree,1\nc2,cat,2\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(make_dataset: Callable[..., Path]) -> Path:
    folder = make_dataset(clips=24)
    (folder / "glosses.csv").write_text(WORDS)
    return folder


@pytest.fixture
def run(make_config: Callable, data: Path, tmp_path: Path) -> Path:
    """The folder of a finished run over glosses."""
    fit(make_config(data, {"train_parameters.epochs": 3}), LocalRuntime("cpu", tmp_path / "run"))
    return tmp_path / "run"


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_a_model_is_scored_on_the_test_clips_of_its_own_data(call: Callable, run: Path):
    code, out, _ = call("evaluate", "--checkpoint", run, "--gpu", -1)
    assert code == 0 and max(map(len, out.splitlines()[2:])) <= 80 or "figures" in out
    found, wanted = evaluation(run / "best" / "evaluation-test"), score_split(run / "best", LocalRuntime("cpu", run))
    gloss = found["heads"]["gloss"]
    assert found["split"] == "test" and found["clips"] == wanted["clips"] == sum(map(sum, gloss["confusion"]))
    assert found["mean_macro_f1"] == pytest.approx(wanted["mean_macro_f1"])
    assert gloss["accuracy"] == pytest.approx(wanted["heads"]["gloss"]["accuracy"])
    assert gloss["top3"] == 1.0, "there are three classes"
    assert gloss["floor"]["name"] in ("house", "tree", "cat") and gloss["floor"]["macro_f1"] <= 0.5
    assert f"{gloss['macro_f1']:.3f}" in out and f"{gloss['floor']['macro_f1']:.3f}" in out
    assert Image.open(run / "best" / "evaluation-test" / "gloss.png").width > 200


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copyfile], ids=["moved", "copied"])
def test_data_that_has_moved_is_known_again_and_other_data_is_scored_whole(
    call: Callable, run: Path, data: Path, make_dataset: Callable, tmp_path: Path, copy: Callable
):
    assert call("evaluate", "--checkpoint", run, "--out", tmp_path / "own")[0] == 0
    moved = shutil.copytree(data, tmp_path / "elsewhere" / "data", copy_function=copy)
    shutil.rmtree(data)
    assert call("evaluate", "--checkpoint", run, "--data-path", moved, "--out", tmp_path / "moved")[0] == 0
    own, again = evaluation(tmp_path / "own"), evaluation(tmp_path / "moved")
    assert again["split"] == "test" and again["heads"] == own["heads"]
    other = make_dataset("other", clips=3, signers=1)  # too small to be split, one signer
    assert call("evaluate", "--checkpoint", run, "--data-path", other, "--out", tmp_path / "other")[0] == 0
    assert (evaluation(tmp_path / "other")["split"], evaluation(tmp_path / "other")["clips"]) == ("all", 3)
    code, _, err = call("evaluate", "--checkpoint", run, "--data-path", other, "--split", "val")
    assert code == 2 and "has no such split; leave --split out" in err


def test_validation_clips_give_the_score_that_the_run_reported(call: Callable, run: Path, tmp_path: Path):
    assert call("evaluate", "--checkpoint", run / "best", "--split", "val", "--out", tmp_path / "val")[0] == 0
    best = load_checkpoint(run / "best")["metrics"]
    assert evaluation(tmp_path / "val")["mean_macro_f1"] == pytest.approx(best["val/macro_f1"])


def test_data_with_classes_the_model_does_not_have_is_refused(call: Callable, run: Path, make_dataset: Callable):
    code, _, err = call("evaluate", "--checkpoint", run, "--data-path", make_dataset("more", classes=5))
    assert code == 2 and "the model has 3 classes of gloss, the data 5" in err


def test_clips_get_their_likeliest_classes_in_words(call: Callable, run: Path, data: Path):
    code, out, err = call("predict", "--checkpoint", run, data / "c0", data / "c4", "--top", 2, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["clip"] for row in rows] == [str(data / "c0"), str(data / "c4")]
    for row in rows:
        first, second = row["heads"]["gloss"]
        assert first["name"] == ("house", "tree", "cat")[first["class"]] and first["symbol"] is None
        assert 1 >= first["confidence"] >= second["confidence"] >= 0
    code, out, _ = call("predict", "--checkpoint", run, data / "c0")
    assert code == 0 and all(word in out for word in ("house", "tree", "cat", "%"))


def test_heads_of_a_notation_are_told_with_symbol_and_meaning_and_glosses_found(
    call: Callable, make_config: Callable, data: Path, tmp_path: Path
):
    config = make_config(data, {"train_parameters.classification_mode": "hamnosys", "train_parameters.epochs": 1})
    fit(config, LocalRuntime("cpu", tmp_path / "run"))
    args = ("predict", "--checkpoint", tmp_path / "run", data / "c1", "--lexicon", data / "test_gloss.txt")
    code, out, _ = call(*args, "--json")
    (row,) = json.loads(out)
    shape = row["heads"]["hand_shape_base_form"][0]
    known = HEADS["hand_shape_base_form"].classes[shape["class"]]
    assert code == 0 and (shape["symbol"], shape["name"]) == (known.symbol, known.meaning)
    assert [entry["gloss"] for entry in row["glosses"]] and row["glosses"][0]["distance"] <= 8
    assert {entry["gloss"] for entry in row["glosses"]} <= {"house", "tree", "cat"}
    code, out, _ = call(*args)
    assert code == 0 and "nearest glosses" in out and max(map(len, out.splitlines()[1:])) <= 80


def test_a_lexicon_is_no_help_to_a_model_of_glosses(call: Callable, run: Path, data: Path):
    code, _, err = call("predict", "--checkpoint", run, data / "c0", "--lexicon", data / "test_gloss.txt")
    assert code == 2 and "glosses are found by HamNoSys heads" in err


def test_wrong_clips_are_named_all_at_once(call: Callable, run: Path, data: Path, tmp_path: Path):
    (data / "c1" / "c1_2.jpg").write_bytes(b"")
    code, out, err = call("predict", "--checkpoint", run, tmp_path / "none", data)
    assert code == 2 and f"{tmp_path / 'none'}: no such file" in err and f"{data}: holds no frames" in err
    code, out, err = call("predict", "--checkpoint", run, data / "c1")
    assert code == 2 and f"{data / 'c1' / 'c1_2.jpg'}: cannot be decoded" in err and "Traceback" not in err


def test_the_exported_file_lies_in_the_checkpoint(call: Callable, run: Path):
    code, out, _ = call("export", "--checkpoint", run, "--to", "pt2")
    assert code == 0 and (run / "best" / "model.pt2").is_file() and "differ from the model's by" in out
    said = json.loads((run / "best" / "model.json").read_text())
    assert said["outputs"]["gloss"]["classes"] == ["house", "tree", "cat"]


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def damage(kind: str, run: Path, tmp_path: Path) -> None:
    file = run / "best" / "state.pt"
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    elif kind == "pickle inside":
        torch.save({**load_checkpoint(run / "best"), "class_names": Trap(tmp_path / "sprung")}, file)
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "other architecture":
        state = load_checkpoint(run / "best")
        state["config"]["transformer"]["output_size"] = 24
        torch.save(state, file)
    elif kind == "no state":
        torch.save({"weights": torch.zeros(2)}, file)
    elif kind == "a list":
        torch.save([1, 2], file)
    else:
        shutil.rmtree(run / "best")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pickle", "cannot be read as a checkpoint"),
        ("pickle inside", "cannot be read as a checkpoint"),
        ("truncated", "cannot be read as a checkpoint"),
        ("empty", "cannot be read as a checkpoint"),
        ("other architecture", "the weights do not fit the config beside them"),
        ("no state", "lacks model, config, num_class"),
        ("a list", "cannot be read as a checkpoint"),
        ("gone", "holds neither state.pt nor best/state.pt"),
    ],
)
@pytest.mark.parametrize("script", ["evaluate", "predict", "export"])
def test_checkpoints_that_cannot_be_used_are_named_and_nothing_in_them_is_run(
    call: Callable, run: Path, data: Path, tmp_path: Path, script: str, kind: str, words: str
):
    damage(kind, run, tmp_path)
    more = {"evaluate": [], "predict": [data / "c0"], "export": ["--to", "pt2"]}[script]
    code, _, err = call(script, "--checkpoint", run, *more)
    assert code == 2 and str(run) in err and words in err and "Traceback" not in err
    assert not (tmp_path / "sprung").exists()
