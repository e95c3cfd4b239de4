"""predict.py on a small trained run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import hearai
from hearai.sign.hamnosys import HEADS
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.videos import write_damaged_video

pytestmark = pytest.mark.training


def test_clips_get_the_names_of_their_top_classes(call: Callable, run: Path, data: Path):
    code, out, err = call("predict", "--checkpoint", run, data / "c0", data / "c4", "--top", 2, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["clip"] for row in rows] == [str(data / "c0"), str(data / "c4")]
    for row in rows:
        first, second = row["heads"]["gloss"]
        assert first["name"] == ("house", "tree", "cat")[first["class"]] and first["symbol"] is None
        assert 1 >= first["confidence"] >= second["confidence"] >= 0
    code, out, _ = call("predict", "--checkpoint", run, data / "c0")
    assert code == 0 and all(word in out for word in ("house", "tree", "cat", "%"))


def test_notation_heads_give_symbols_meanings_and_glosses(
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


def test_a_lexicon_is_refused_for_a_gloss_model(call: Callable, run: Path, data: Path):
    code, _, err = call("predict", "--checkpoint", run, data / "c0", "--lexicon", data / "test_gloss.txt")
    assert code == 2 and "a lexicon needs HamNoSys heads" in err


def test_all_unusable_clips_are_named(call: Callable, run: Path, data: Path, tmp_path: Path):
    (data / "c1" / "c1_2.jpg").write_bytes(b"")
    code, out, err = call("predict", "--checkpoint", run, tmp_path / "none", data)
    assert code == 2 and f"{tmp_path / 'none'}: no such file" in err and f"{data}: contains no frames" in err
    code, out, err = call("predict", "--checkpoint", run, data / "c1")
    assert code == 2 and f"{data / 'c1' / 'c1_2.jpg'}: cannot decode" in err and "Traceback" not in err


def test_damaged_video_is_refused_or_used_with_a_remark(
    call: Callable, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    video = write_damaged_video(tmp_path / "sign.mp4")
    code, _, err = call("predict", "--checkpoint", run, video)
    assert code == 2 and f"error: {video}: cannot read (a frame is damaged at" in err and "--keep-damaged" in err
    code, out, _ = call("predict", "--checkpoint", run, video, "--keep-damaged", "--json")
    assert code == 0 and json.loads(out)[0]["clip"] == str(video)
    assert f"{video}: kept although damaged: a frame is damaged at" in caplog.text


def test_a_dictionary_ranks_its_clips_by_similarity(call: Callable, run: Path, make_dataset: Callable):
    words = make_dataset("words", clips=8, classes=4)  # one class more than the model has
    (words / "glosses.csv").write_text("name,word,gloss_id\nc0,dog,0\nc1,tree,1\nc2,cat,2\nc3,moon,3\n")
    args = ("predict", "--checkpoint", run, words / "c3", "--dictionary", words, "--gpu", -1, "--top", 8)
    code, out, _ = call(*args, "--json")
    (row,) = json.loads(out)
    found = row["dictionary"]
    distances = [entry["distance"] for entry in found]
    assert code == 0 and len(found) == 8 and distances == sorted(distances)
    assert found[0]["word"] == "moon" and found[0]["distance"] == pytest.approx(0, abs=1e-4)
    assert {entry["clip"].split("/")[-1] for entry in found} == {f"c{i}" for i in range(8)}
    assert hearai.load_model(run, gpu=-1).predict(words / "c3", top=8, dictionary=words) == [row]
    code, out, _ = call(*args)
    assert code == 0 and "most similar clips" in out and max(map(len, out.splitlines()[1:])) <= 80


def test_a_dictionary_that_is_no_dataset_is_refused(call: Callable, run: Path, data: Path, tmp_path: Path):
    code, out, err = call("predict", "--checkpoint", run, data / "c0", "--dictionary", tmp_path / "none")
    assert code == 2 and not out and str(tmp_path / "none") in err and "Traceback" not in err
