"""evaluate.py on a small trained run."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hearai.data.annotations import load as folders
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
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


def test_a_renamed_copy_is_recognised_and_trained_clips_counted(
    call: Callable, make_config: Callable, make_dataset: Callable, tmp_path: Path
):
    data, run = make_dataset(clips=24, first_seed=0), tmp_path / "run"
    config = make_config(data, {"train_parameters.epochs": 1})
    fit(config, LocalRuntime("cpu", run))
    parts = load_data(config).split
    assert call("evaluate", "--checkpoint", run, "--out", tmp_path / "original")[0] == 0
    copied = shutil.copytree(data, tmp_path / "another name", copy_function=shutil.copyfile)
    code, out, _ = call("evaluate", "--checkpoint", run, "--data-path", copied, "--out", tmp_path / "copied")
    original, scored = evaluation(tmp_path / "original"), evaluation(tmp_path / "copied")
    assert scored["heads"] == original["heads"] and scored["split"] == "test" and "the model was trained on" not in out
    some = shutil.copytree(data, tmp_path / "some")
    rows = (data / "test_gloss.txt").read_text().splitlines()
    kept = [parts.train[0].name, parts.train[1].name, parts.val[0].name, parts.test[0].name]
    (some / "test_gloss.txt").write_text("\n".join(row for row in rows if row.split()[0] in kept) + "\n")
    code, out, _ = call("evaluate", "--checkpoint", run, "--data-path", some, "--out", tmp_path / "part")
    assert code == 0 and "the model was trained on 2 of these 4 clips" in " ".join(out.split())
    assert evaluation(tmp_path / "part")["split"] == "all"


def test_frames_of_other_names_and_symlinks_are_scored(
    call: Callable, run: Path, make_dataset: Callable, tmp_path: Path
):
    other = make_dataset("other", clips=3, signers=1)
    assert call("evaluate", "--checkpoint", run, "--data-path", other, "--out", tmp_path / "plain")[0] == 0
    other = other.rename(tmp_path / "renamed-frames")
    options = ("--checkpoint", run, "--data-path", other, "--out")
    for path in [*other.glob("*/*.jpg")]:
        path.rename(path.with_name(f"img {int(path.stem.rpartition('_')[2]):03d}.jpg"))
    (other / "c1").rename(tmp_path / "c1")
    (other / "c1").symlink_to(tmp_path / "c1")
    code, _, err = call("evaluate", *options, tmp_path / "refused")
    assert code == 2 and "--frame-pattern" in err and "--follow-symlinks" in err
    reading = ("--frame-pattern", "img {number}.jpg", "--follow-symlinks")
    assert call("evaluate", *options, tmp_path / "renamed", *reading)[0] == 0
    assert evaluation(tmp_path / "renamed")["heads"] == evaluation(tmp_path / "plain")["heads"]
    code, out, err = call("predict", "--checkpoint", run, "--frame-pattern", "img {number}.jpg", other / "c0")
    assert (code, err) == (0, "") and "c0" in out
    code, _, err = call("predict", "--checkpoint", run, "--frame-pattern", "img*.jpg", other / "c0")
    assert code == 2 and "perhaps 'img{number}.jpg'" in err


def test_validation_clips_give_the_reported_score(call: Callable, run: Path, tmp_path: Path):
    assert call("evaluate", "--checkpoint", run / "best", "--split", "val", "--out", tmp_path / "val")[0] == 0
    best = load_checkpoint(run / "best")["metrics"]
    assert evaluation(tmp_path / "val")["mean_macro_f1"] == pytest.approx(best["val/macro_f1"])


def test_data_with_unknown_classes_is_refused(call: Callable, run: Path, make_dataset: Callable):
    code, _, err = call("evaluate", "--checkpoint", run, "--data-path", make_dataset("more", classes=5))
    assert code == 2 and "the model has 3 classes of gloss, the data 5" in err


def write_words(folder: Path, *words: str) -> Path:
    """A folder's glosses.csv: the word of each number from 0 on; data read earlier in this process is forgotten."""
    rows = [f"{number},{word}" for number, word in enumerate(words)]
    (folder / "glosses.csv").write_text("\n".join(["gloss_id,word", *rows]) + "\n")
    folders._read.cache_clear()
    folders._split.cache_clear()
    return folder


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_other_words_are_refused_and_matched_on_request(call: Callable, run: Path, make_dataset: Callable, tmp_path):
    other = write_words(make_dataset("other", clips=9), "cat", "house", "tree")
    args = ("evaluate", "--checkpoint", run, "--gpu", -1, "--data-path", other, "--out", tmp_path / "out")
    code, out, err = call(*args)
    assert code == 2 and out == "" and not (tmp_path / "out").exists() and "Traceback" not in err
    for number, theirs, ours in ((0, "cat", "house"), (1, "house", "tree"), (2, "tree", "cat")):
        assert f"gloss {number} is '{theirs}' in other and '{ours}' in the model" in err
    with pytest.raises(ConfigError, match="gloss 0 is 'cat' in other and 'house' in the model"):
        score_split(run / "best", LocalRuntime("cpu", run), data_path=[str(other)])
    code, out, _ = call(*args, "--match", "words")
    rows = predictions(tmp_path / "out")
    assert code == 0 and "compared by word; 3 of 3 have another number" in out
    assert [row["true"] for row in rows] == ["cat", "house", "tree"] * 3
    gloss = evaluation(tmp_path / "out")["heads"]["gloss"]
    assert [sum(row) for row in gloss["confusion"]] == [3, 3, 3]
    assert sum(row["true"] == row["predicted"] for row in rows) / 9 == pytest.approx(gloss["accuracy"])
    assert call(*args, "--match", "numbers")[0] == 0 and predictions(tmp_path / "out")[0]["true"] == "house"


def test_an_unseen_word_is_wrong_or_left_out(call: Callable, run: Path, make_dataset: Callable, tmp_path: Path):
    other = write_words(make_dataset("other", clips=8, classes=4), "house", "tree", "cat", "=dog()")
    args = ("evaluate", "--checkpoint", run, "--gpu", -1, "--data-path", other, "--out", tmp_path / "out")
    code, out, _ = call(*args)
    counted, rows = evaluation(tmp_path / "out"), predictions(tmp_path / "out")
    assert code == 0 and not [line for line in out.splitlines() if len(line) > 80 and str(tmp_path) not in line]
    assert "2 of 8 labels are of classes that the model was not trained on" in " ".join(out.split())
    assert counted["unseen"] == {"gloss": {"clips": 2, "classes": ["=dog()"], "skipped": False}}
    assert (counted["heads"]["gloss"]["clips"], counted["heads"]["gloss"]["classes"]) == (8, 4)
    assert [(row["clip"], row["true"], row["rank"]) for row in rows if row["rank"] == ""] == [
        ("other/c3", "'=dog()", ""),
        ("other/c7", "'=dog()", ""),
    ]
    code, out, _ = call(*args, "--skip-unseen")
    skipped = evaluation(tmp_path / "out")
    assert code == 0 and "left out" in out and skipped["heads"]["gloss"]["clips"] == 6
    right = [one["heads"]["gloss"]["accuracy"] * one["heads"]["gloss"]["clips"] for one in (counted, skipped)]
    assert right[0] == pytest.approx(right[1])
    write_words(other, "un", "deux", "trois", "quatre")
    code, _, err = call(*args, "--match", "words")
    assert code == 2 and "no word of the data is a class of the model" in err


def test_the_predictions_of_each_clip_are_listed(call: Callable, run: Path):
    assert call("evaluate", "--checkpoint", run, "--gpu", -1, "--split", "all")[0] == 0
    rows = predictions(run / "best" / "evaluation-all")
    columns = ["clip", "head", "true", "predicted", "probability", "rank", "uncertain", "distance", "unlike"]
    assert list(rows[0]) == columns and len(rows) == 24
    assert {row["clip"] for row in rows} == {f"data/c{i}" for i in range(24)}
    for row in rows:
        number = int(row["clip"].removeprefix("data/c")) % 3
        assert row["head"] == "gloss" and row["true"] == ("house", "tree", "cat")[number]
        assert (row["rank"] == "1") == (row["true"] == row["predicted"]) and row["rank"] in ("1", "2", "3")
        assert 1 / 3 <= float(row["probability"]) <= 1


def test_its_own_data_needs_no_comparison_but_changes_are_said(call: Callable, run: Path, data: Path):
    args = ("evaluate", "--checkpoint", run, "--gpu", -1)
    write_words(data, "cat", "house", "tree")
    code, out, _ = call(*args)
    assert code == 0 and "although 3 numbers have two names" in " ".join(out.split())  # the rows are those of training
    code, _, err = call(*args, "--data-path", data)
    assert code == 2 and "gloss 0 is 'cat' in data and 'house' in the model" in err
    write_words(data, "house", "tree", "cat")
    (data / "test_gloss.txt").write_text((data / "test_gloss.txt").read_text().replace("c3 0 5 0", "c3 0 5 1"))
    code, out, _ = call(*args)
    assert code == 0 and "the data has changed since the model was trained" in " ".join(out.split())
    code, out, _ = call(*args, "--split", "all")
    assert code == 0 and "the model was trained on 12 of these 24 clips" in out


def test_a_study_says_which_runs_its_report_has_scored(call: Callable, run: Path, tmp_path: Path):
    study = tmp_path / "study"
    shutil.copytree(run / "best", study / "best")
    shutil.copytree(run / "best", study / "trials" / "0004-seed2" / "best")
    shutil.copytree(run / "best", study / "final" / "best")
    scores = {"trial": 4, "seeds": [1, 2], "mean_macro_f1": 0.804, "std": 0.01, "per_seed": [0.8, 0.808], "heads": {}}
    (study / "test.json").write_text(json.dumps({"base": None, "winner": scores}))
    code, out, _ = call("evaluate", "--checkpoint", study, "--gpu", -1)
    text = " ".join(out.split())
    assert code == 0 and "the report of study has 0.804 for trial 4" in text and "the seeds 1, 2" in text
    assert "is the run with seed 0, the run of the search, which is not among them" in text
    assert evaluation(study / "best" / "evaluation-test")["notes"]
    _, out, _ = call("evaluate", "--checkpoint", study / "final", "--gpu", -1)
    assert "the report has no score of this model" in " ".join(out.split())
    _, out, _ = call("evaluate", "--checkpoint", study / "trials" / "0004-seed2", "--gpu", -1, "--split", "val")
    assert "the report of" not in out, "it has scores of test clips"


def test_a_gap_to_the_validation_score_is_remarked_on(call: Callable, run: Path):
    state = load_checkpoint(run / "best")
    for validation, words in ((1.12, "lower"), (-0.12, "higher"), (0.01, None)):
        score = score_split(run / "best", LocalRuntime("cpu", run))["mean_macro_f1"]
        save_checkpoint(run / "best", {**state, "metrics": {**state["metrics"], "val/macro_f1": score + validation}})
        text = " ".join(call("evaluate", "--checkpoint", run, "--gpu", -1)[1].split())
        assert f"The test score is {abs(validation):.3f} {words}" in text if words else "validation macro" not in text


def test_an_unusable_output_folder_is_refused_before_scoring(call: Callable, run: Path):
    code, out, err = call("evaluate", "--checkpoint", run, "--gpu", -1, "--out", run / "config.yaml")
    assert code == 2 and "config.yaml is a file; give a folder" in err and not out
