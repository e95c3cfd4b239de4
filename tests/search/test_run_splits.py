"""A search whose trials are scored on several splits."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.reporting.study_report.page import write_results
from hearai.search.run import Options, run_study
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.cross_validation import fold_config

pytestmark = pytest.mark.usefixtures("ray_session")


def test_a_search_over_two_splits_scores_and_retrains_its_winner(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    settings = {"budget": {"trials": 2}, "splits": 2, "finalists": {"count": 1, "seeds": 1, "retrain": True}}
    folder = run_study(make_study(settings), Options(tmp_path, max_concurrent=1), lambda line: None).folder
    text = write_results(folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert (
        summary["trials"] == {"total": 2, "complete": 2, "pruned": 0, "failed": 0, "paused": 0}
        and summary["splits"] == 2
    )
    assert "2 trials, each on 2 splits" in text

    base = folder / "trials" / "0000"
    assert sorted(path.name for path in base.iterdir() if path.is_dir()) == ["split0", "split1"]
    config = load_config(base / "split0" / "config.yaml")
    alone = [fit(fold_config(config, fold), LocalRuntime("cpu", tmp_path / f"alone{fold}")).best for fold in range(2)]
    assert summary["baseline"]["value"] == pytest.approx(statistics.fmean(alone), abs=1e-6)
    heads = [
        row for row in (folder / "trials.csv").read_text().splitlines()[1:] if row.startswith("0,base,COMPLETE,6,")
    ]
    assert heads, "epochs are counted over both splits"

    test = json.loads((folder / "test.json").read_text())
    assert len(test["winner"]["per_seed"]) == 1 and test["base"]["objective"] is not None
    assert load_checkpoint(folder / "best")["epoch"] >= 1
    assert summary["retrained"]["checkpoint"].endswith("final/best") and "trained once more" in text
    best, final = (load_checkpoint(folder / place / "best") for place in (".", "final"))
    assert final["config"]["general_parameters"]["train_on_validation"]
    assert final["reliability"]["temperatures"] == best["reliability"]["temperatures"], "its own cannot be measured"
    assert len(final["reliability"]["vectors"]) > len(best["reliability"]["vectors"])

    printed: list[str] = []
    again = run_study(make_study(settings), Options(tmp_path, max_concurrent=1), printed.append)
    assert again.succeeded and not any("complete epoch" in line for line in printed), "nothing is trained again"
