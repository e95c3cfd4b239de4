"""A complete search that ends at a plateau: what is recorded, and how it continues."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.study import Study
from hearai.reporting.study_report.study_record import read_record
from hearai.search.run import Options, run_study

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.training, pytest.mark.slow]


def test_a_search_ends_at_a_plateau_and_stays_ended(make_study: Callable[..., Study], tmp_path: Path) -> None:
    settings = {
        "budget": {"trials": 16, "stop_when": "plateau"},
        "sampler": {"startup_trials": 0},
        "early_stopping": {"name": "auto"},
        "finalists": {"count": 0},
    }
    same_scores = {"train_parameters.epochs": 5, "train_parameters.lr": 1e-9}
    study = make_study({**settings, "space": {"transformer.dropout_rate": {"float": [0.0, 0.5]}}}, changes=same_scores)
    printed: list[str] = []
    run_study(study, Options(tmp_path, max_concurrent=1), printed.append)
    (line,) = [line for line in printed if line.startswith("Stopped: ")]
    assert line.startswith("Stopped: plateau: 10 more trials are expected to gain 0.0")
    record = read_record(tmp_path / "tiny")
    assert record.notes["ended_by"] == line.removeprefix("Stopped: ")
    assert record.finished and 10 <= len(record.complete) < 16

    again: list[str] = []
    run_study(study, Options(tmp_path, max_concurrent=1), again.append)
    assert not any("Stopped" in line for line in again)
    assert len(read_record(tmp_path / "tiny").trials) == len(record.trials)
    more = make_study(
        {
            **settings,
            "budget": {"trials": len(record.trials) + 1},
            "space": {"transformer.dropout_rate": {"float": [0.0, 0.5]}},
        },
        changes=same_scores,
    )
    run_study(more, Options(tmp_path, max_concurrent=1), again.append)
    assert len(read_record(tmp_path / "tiny").trials) == len(record.trials) + 1
