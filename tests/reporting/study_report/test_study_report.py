"""What a report says of a search, checked against numbers worked out by hand (see search_folder.py)."""

import csv
import io
import json
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.errors import UserError
from hearai.reporting.study_report.page import write_results
from tests.helpers import ROOT
from tests.helpers.html_page import page_of
from tests.helpers.search_folder import LR, SHARP, write_test_scores

BLUR = "augmentations_parameters.blur_limit"
SCRIPT = ROOT / "experiments" / "report.py"


def summary_of(folder: Path) -> dict:
    write_results(folder)
    return json.loads((folder / "summary.json").read_text())


def rows_of(folder: Path) -> list[dict[str, str]]:
    write_results(folder)
    return list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))


def test_the_summary_holds_the_figures_of_the_search(finished: Path) -> None:
    summary = summary_of(finished)
    assert summary["study"] == "tiny" and summary["space"] == "space" and summary["finished"]
    assert summary["objective"] == {
        **{"metric": "val/macro_f1", "mode": "max", "words": "macro-F1"},
        **{"heads": [], "metrics": ["objective"]},
    }
    assert summary["pareto"] == []
    assert summary["trials"] == {"total": 5, "complete": 2, "pruned": 2, "failed": 1}
    assert summary["diverged"] == 1
    assert {key: summary["best"][key] for key in ("trial", "value", "epoch")} == {"trial": 1, "value": 0.6, "epoch": 2}
    assert summary["best"]["params"][LR] == 0.01 and BLUR not in summary["best"]["params"]
    assert summary["baseline"] == {"trial": 0, "value": 0.4, "epoch": 2}
    assert summary["memory_pss_gb"] == 1.234
    assert summary["importance"] == {} and summary["warnings"] == []
    assert summary["importance_note"] == "too few complete trials (2; 10 are needed)"
    assert set(summary["versions"]) == {"python", "torch", "ray", "optuna", "timm", "hearai"}


def test_finalists_are_told_with_mean_and_sample_deviation_the_best_first(finished: Path) -> None:
    best, base = summary_of(finished)["finalists"]
    assert (best["trial"], best["seeds"], best["values"], best["is_base"]) == (1, [1, 2], [0.55, 0.61], False)
    assert best["mean"] == pytest.approx(0.58)
    assert best["std"] == pytest.approx(0.06 / 2**0.5)
    assert (base["trial"], base["mean"], base["is_base"]) == (0, pytest.approx(0.42), True)


def test_one_seed_has_no_spread(begin: Callable) -> None:
    with begin() as search:
        search.run(search.study.base_params(), [0.2, 0.4], "COMPLETE")
        search.retrain(0, 1, 0.3)
    text = write_results(search.folder)
    assert re.search(r"base config +0\.300 +1 seed\n", text) and "+- 0.000" not in text


def test_overhead_is_what_the_slots_spent_beside_training(finished: Path) -> None:
    seconds = summary_of(finished)["seconds"]
    training = 2.0 + 2.5 + 0.5 + 1.0 + 4 * 1.0  # five trials, of which one failed, and four finals
    assert seconds["trial_phase"] == 7.0 and seconds["training"] == pytest.approx(training)
    assert seconds["overhead_per_trial"] == pytest.approx((7.0 * 2 - training) / 9, abs=1e-3)
    assert seconds["wall"] == 30.0


def test_the_test_scores_are_those_of_the_file(finished: Path) -> None:
    summary = summary_of(finished)
    assert summary["test"] == json.loads((finished / "test.json").read_text())


def test_the_most_frequent_class_of_the_training_clips_is_scored_on_the_test_clips(finished: Path) -> None:
    with (finished / "split.csv").open() as file:
        part = {row["name"].rpartition("/c")[2]: row["split"] for row in csv.DictReader(file)}
    gloss = {number: int(number) % 3 for number in part}  # as tests/conftest.py labels clip cN
    train, test = ([gloss[n] for n in part if part[n] == name] for name in ("train", "test"))
    common = max(sorted(set(train)), key=train.count)
    share = test.count(common) / len(test)
    f1 = 2 * share / (1 + share)  # precision = share, recall = 1; the other classes score 0
    floor = summary_of(finished)["most_frequent"]["heads"]["gloss"]
    assert floor == {"class": common, "accuracy": pytest.approx(share), "macro_f1": pytest.approx(f1 / len(set(test)))}


def test_the_most_frequent_class_is_left_out_where_the_dataset_is_gone_or_changed(
    finished: Path, dataset: Path, tmp_path: Path
) -> None:
    study = (finished / "study.yaml").read_text()
    (finished / "study.yaml").write_text(study.replace(str(dataset), str(tmp_path / "data")))
    assert summary_of(finished)["most_frequent"] is None
    assert "most frequent" not in (finished / "report.html").read_text()
    shutil.copytree(dataset, tmp_path / "data")
    labels = tmp_path / "data" / "test_gloss.txt"
    labels.write_text(labels.read_text().replace("c0 0 0 0", "c0 0 0 1"))
    assert summary_of(finished)["most_frequent"] is None


def test_the_most_frequent_class_is_known_of_a_copy_of_the_dataset(
    finished: Path, dataset: Path, tmp_path: Path
) -> None:
    before = summary_of(finished)["most_frequent"]
    copy = shutil.copytree(dataset, tmp_path / "elsewhere" / dataset.name, copy_function=shutil.copyfile)
    shutil.rmtree(dataset)
    study = (finished / "study.yaml").read_text()
    (finished / "study.yaml").write_text(study.replace(str(dataset), str(copy)))
    assert before and summary_of(finished)["most_frequent"] == before


def test_the_table_has_one_row_a_trial_with_parameters_head_scores_and_reasons(finished: Path) -> None:
    base, best, stopped, failed, diverged = rows_of(finished)
    assert (base["kind"], base["state"], base["objective"], base["seconds"]) == ("base", "COMPLETE", "0.4", "2.0")
    assert (best["epochs"], best["best_epoch"], best["val/gloss/macro_f1"]) == ("3", "2", "0.61")
    assert (best[LR], best["augmentations_parameters.apply_blur"], best[BLUR]) == ("0.01", "false", "")
    assert (stopped["state"], stopped["epochs"], stopped["objective"]) == ("PRUNED", "1", "0.1")
    assert (failed["state"], failed["objective"], failed["seconds"]) == ("FAIL", "", "")
    assert failed["failure"] == 'ValueError: <b>no, "such"</b>'
    assert (diverged["diverged"], stopped["diverged"]) == ("true", "false")


def test_a_point_that_was_asked_twice_is_counted_once(finished: Path, begin: Callable) -> None:
    with begin(finished) as search:
        search.search.enqueue(SHARP, {"wish": "the winner's point"})
        proposal = search.search.propose(lambda trial: search.ask(trial, SHARP))
        assert proposal.number == 6  # a random point; number 5 is the winner's, asked again
        search.search.finish(proposal.number, TrialState.FAIL)
    assert summary_of(finished)["trials"]["total"] == 6
    assert [row["number"] for row in rows_of(finished)] == ["0", "1", "2", "3", "4", "6"]


@pytest.mark.parametrize(
    ("base", "best", "winner", "words"),
    [
        ([0.40, 0.42], [0.50, 0.54], 1, "The winner, trial 1, beats the base config"),
        ([0.40, 0.50], [0.44, 0.54], 1, "is not clearly better than the base config"),
        ([0.40, 0.50], [0.40, 0.44], 1, "does not beat the base config"),
        ([0.40, 0.50], [0.40, 0.50], 0, "The base config itself is the winner"),
    ],
)
def test_the_headline_says_honestly_whether_the_search_helped(
    finished: Path, base: list[float], best: list[float], winner: int, words: str
) -> None:
    write_test_scores(finished, winner=winner, base=base, best=best)
    text = write_results(finished)
    assert words in " ".join(text.split())
    assert words in page_of(finished).text


def test_a_single_run_each_is_not_called_a_proof(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    for one in scores.values():
        one.update(seeds=[None], per_seed=[one["mean_macro_f1"]], std=0.0)
    (finished / "test.json").write_text(json.dumps(scores))
    assert "it may be by chance" in " ".join(write_results(finished).split())


def test_the_terminal_text_fits_80_columns_and_names_files_and_command(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.parent.parent)
    text = write_results(Path("runs/tiny"))
    assert max(map(len, text.splitlines())) <= 80
    assert "5 trials (2 complete, 2 stopped early, 1 failed; 1 diverged)" in text
    assert re.search(r"gloss +0\.410 +0\.520 +0\.\d{3}", text)
    assert re.search(r"trial 1 +0\.580 \+- 0\.042 +2 seeds", text)
    assert "importance of parameters: too few complete trials (2; 10 are needed)" in text
    assert "wall time 30.0 s; inside training 10.0 s" in text
    assert "overhead per trial 0.4 s; peak memory 1.23 GB" in text
    assert "runs/tiny/report.html" in text
    assert text.endswith("  python experiments/train.py --config runs/tiny/best.yaml")


def test_a_search_that_goes_on_after_its_test_scores_is_called_unfinished(finished: Path, begin: Callable) -> None:
    with begin(finished) as search:
        search.run({LR: 0.05}, [0.7], "RUNNING")
    summary = summary_of(finished)
    assert not summary["finished"] and summary["best"]["trial"] == 1
    assert "has gone on since" in page_of(finished).text


def test_a_search_without_test_scores_shows_what_there_is(begin: Callable) -> None:
    with begin() as search:
        search.run(search.study.base_params(), [0.2, 0.4, 0.3], "COMPLETE")
        search.run({LR: 0.05}, [0.5], "RUNNING")
    summary, page = summary_of(search.folder), page_of(search.folder)
    assert summary["trials"] == {"total": 2, "complete": 1, "pruned": 0, "failed": 0}
    assert summary["test"] is None and summary["finalists"] == [] and summary["best"]["trial"] == 0
    assert summary["seconds"]["wall"] is None and summary["seconds"]["overhead_per_trial"] is None
    assert "Best validation macro-F1 so far is 0.400 (trial 0)" in page.text
    assert "Not scored yet" in page.text and "running" in page.text
    assert "train.py" not in write_results(search.folder)


def test_a_base_config_that_failed_is_a_dash_in_the_tables(finished: Path) -> None:
    test = json.loads((finished / "test.json").read_text())
    (finished / "test.json").write_text(json.dumps({**test, "base": None}))
    text, page = write_results(finished), page_of(finished)
    assert "The base config failed" in " ".join(text.split())
    assert re.search(r"gloss +- +0\.520", text)
    assert "The base config failed" in page.text


def test_the_command_that_trains_the_winner_again_names_its_threads(finished: Path, begin: Callable) -> None:
    with begin(finished) as search:
        search.search.optuna.set_user_attr("threads", 3)
    assert write_results(finished).endswith("train.py --config " + str(finished / "best.yaml") + " --threads 3")


def test_a_search_without_a_complete_trial_says_so(begin: Callable) -> None:
    with begin() as search:
        search.run(search.study.base_params(), [], "FAIL")
    assert summary_of(search.folder)["best"] is None
    assert summary_of(search.folder)["baseline"] == {"trial": 0, "value": None, "epoch": None}
    assert "No trial is complete yet: 1 of 1 ended early or failed." in write_results(search.folder)
    assert "No epoch has been finished yet" in page_of(search.folder).text


@pytest.mark.parametrize("journal", ["without trials", "empty", "absent"])
def test_a_search_that_has_not_begun_says_so(begin: Callable, journal: str) -> None:
    with begin() as search:
        path = search.folder / "journal.log"
    if journal == "empty":
        path.write_text("")
    elif journal == "absent":
        path.unlink()
    assert summary_of(search.folder)["trials"]["total"] == 0
    assert "Nothing has run yet." in page_of(search.folder).text
    assert rows_of(search.folder) == []


def test_a_torn_last_line_is_passed_over_and_left_as_it_is(finished: Path) -> None:
    before = summary_of(finished)
    path = finished / "journal.log"
    torn = path.read_bytes() + b'{"op_code":4,"worker'
    path.write_bytes(torn)
    assert summary_of(finished) == before
    assert path.read_bytes() == torn


def test_a_broken_line_inside_the_journal_is_named(finished: Path) -> None:
    path = finished / "journal.log"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{broken\n", *lines[3:]]))
    with pytest.raises(UserError, match=r"journal\.log:4"):
        write_results(finished)


def test_a_torn_line_of_metrics_is_passed_over(finished: Path) -> None:
    path = finished / "trials" / "0001" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "val/mac')
    assert rows_of(finished)[1]["val/gloss/macro_f1"] == "0.61"


def test_a_report_is_written_beside_a_running_search_and_changes_nothing_else(finished: Path, begin: Callable) -> None:
    with begin(finished):  # holds the lock
        before = files_of(finished)
        write_results(finished)
        after = files_of(finished)
    assert after.keys() - before.keys() == {"trials.csv", "summary.json", "report.html"}
    assert {name: after[name] for name in before} == before


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_writing_again_gives_the_same_tables(finished: Path) -> None:
    first = summary_of(finished), rows_of(finished)
    assert (summary_of(finished), rows_of(finished)) == first


def run_script(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["report.py", str(folder)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return end.value.code


def test_the_script_refuses_a_folder_that_is_no_study_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_script(tmp_path, monkeypatch) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: holds no study")
    assert not list(tmp_path.iterdir())


def test_the_script_writes_the_report_anew_and_prints_it(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_script(finished, monkeypatch) == 0
    assert "The winner, trial 1, beats the base config" in capsys.readouterr().out
    assert (finished / "report.html").exists()
