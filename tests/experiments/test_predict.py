"""predict.py on a small trained run."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image

import hearai
from hearai.sign.hamnosys import HEADS
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.videos import write_damaged_video, write_video

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


@pytest.mark.parametrize("absent", [None, "test_hamnosys.txt", "test_gloss.txt"])
def test_a_model_of_notations_finds_words_in_a_dictionary(
    make_config: Callable, data: Path, tmp_path: Path, absent: str | None
):
    config = make_config(data, {"train_parameters.classification_mode": "hamnosys", "train_parameters.epochs": 1})
    fit(config, LocalRuntime("cpu", tmp_path / "run"))
    if absent:
        (data / absent).unlink()
    (row,) = hearai.load_model(tmp_path / "run", gpu=-1).predict(data / "c1", dictionary=data)
    words = {entry["word"] for entry in row["dictionary"]}
    assert words <= {"house", "tree", "cat"} if absent != "test_gloss.txt" else words == {None}


def test_predictions_are_saved_as_images_and_videos(call: Callable, run: Path, data: Path, tmp_path: Path):
    args = ("predict", "--checkpoint", run, "--gpu", -1)
    code, out, _ = call(*args, data / "c0", "--save", tmp_path / "new" / "out.png")
    assert code == 0 and f"  saved: {tmp_path / 'new' / 'out.png'}" in out
    assert Image.open(tmp_path / "new" / "out.png").width == 1200
    video = write_video(tmp_path / "sign.mp4", frames=7)
    code, out, _ = call(*args, data / "c0", video, "--save", tmp_path / "out.mp4", "--json")
    assert code == 0 and [row["saved"] for row in json.loads(out)] == [
        str(tmp_path / name) for name in ("out-c0.mp4", "out-sign.mp4")
    ]
    with av.open(str(tmp_path / "out-sign.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 7 and container.streams.video[0].average_rate == 12


def test_an_unusable_file_is_refused_before_the_model(call: Callable, data: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    for name, problem in (("out.gif", "ends in .gif"), ("file/out.png", "is a file")):
        args = ("predict", "--checkpoint", tmp_path / "no-such-run", data / "c0", "--save", tmp_path / name)
        code, out, err = call(*args)
        assert code == 2 and not out and problem in err and "no-such-run" not in err and "Traceback" not in err


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
