"""Health checks: each on a study where it passes and where it does not."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.config.overrides import override
from hearai.data.tools.dataset_facts import DatasetFacts, HeadFacts, PaddingFacts, PartFacts
from hearai.reporting.study_report.final_scores import ConfigScores, HeadScore, MajorityHeadScore, MajorityScores
from hearai.reporting.study_report.findings.health import CHECKS, health_line, health_of
from hearai.reporting.study_report.study_record import StudyRecord, read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.summary import FinalistSummary, HealthCheck, StudySummary, TrialCounts
from tests.helpers.report_files import page_of, summary_of
from tests.helpers.study_builder import SHARP

pytestmark = pytest.mark.heavy


@pytest.fixture
def record(finished: Path) -> StudyRecord:
    return read_record(finished)


def check(name: str, record: StudyRecord, summary: StudySummary | None = None) -> HealthCheck:
    checks = health_of(record, summary or summarize(record))
    return next(one for one in checks if one.id == name)


def scored_as(summary: StudySummary, base: list[float], winner: list[float], trial: int = 1) -> StudySummary:
    """With other test scores of each seed."""

    def scores(number: int, values: list[float]) -> ConfigScores:
        mean = sum(values) / len(values)
        std = abs(values[0] - values[-1]) / 2**0.5
        return ConfigScores(number, mean, std, values, mean, {"gloss": HeadScore(mean, mean)}, (1, 2))

    return replace(summary, test=replace(summary.test, base=scores(0, base), winner=scores(trial, winner)))


@pytest.mark.parametrize(
    ("base", "winner", "status"),
    [
        ([0.40, 0.42], [0.50, 0.54], "PASS"),
        ([0.40, 0.42], [0.40, 0.50], "WARNING"),
        ([0.40, 0.42], [0.30, 0.32], "FAIL"),
        ([0.40], [0.80], "WARNING"),
    ],
)
def test_the_gain_is_compared_with_the_spread(
    record: StudyRecord, base: list[float], winner: list[float], status: str
) -> None:
    assert check("gain", record, scored_as(summarize(record), base, winner)).status == status


def test_a_base_config_that_wins_is_a_warning(record: StudyRecord) -> None:
    assert check("gain", record, scored_as(summarize(record), [0.4, 0.5], [0.4, 0.5], trial=0)).status == "WARNING"


@pytest.mark.parametrize(
    ("winner", "status"),
    [([0.56, 0.60], "PASS"), ([0.5, 0.5], "WARNING"), ([0.4, 0.4], "FAIL"), ([0.9, 0.9], "WARNING")],
)
def test_validation_and_test_are_compared(record: StudyRecord, winner: list[float], status: str) -> None:
    assert check("gap", record, scored_as(summarize(record), [0.4, 0.4], winner)).status == status  # validation: 0.58


FIGURE = r"the best leads the second by 0\.\d{3}, the last by 0\.\d{3}; standard error of a score 0\.100"


@pytest.mark.parametrize(
    ("means", "status"), [([0.5, 0.2, 0.1], "PASS"), ([0.5, 0.49, 0.1], "WARNING"), ([0.5, 0.49, 0.48], "FAIL")]
)
def test_finalists_must_differ_by_more_than_the_standard_error(
    record: StudyRecord, means: list[float], status: str
) -> None:
    finalists = [FinalistSummary(i, [1], mean, 0.0, [mean], is_base=False) for i, mean in enumerate(means)]
    sized = replace(record, data={"val": 25})  # standard error 0.1
    found = check("validation", sized, replace(summarize(record), finalists=finalists))
    assert found.status == status and re.fullmatch(FIGURE, found.figure)


@pytest.mark.parametrize(("majority", "status"), [(0.1, "PASS"), (0.52, "FAIL")])
def test_the_winner_must_beat_the_most_frequent_class(record: StudyRecord, majority: float, status: str) -> None:
    scores = MajorityScores(majority, {"gloss": MajorityHeadScore(0, 0.3, majority)})
    assert check("majority", record, summarize(record, scores)).status == status


def test_heads_that_are_no_better_are_named(record: StudyRecord) -> None:
    scores = MajorityScores(0.1, {"gloss": MajorityHeadScore(0, 0.3, 0.9)})
    found = check("majority", record, summarize(record, scores))
    assert found.status == "WARNING" and found.meaning == "1 of 1 heads are no better: gloss."


@pytest.mark.parametrize(
    ("counts", "statuses"),
    [
        (TrialCounts(100, 40, 60, 0), ("PASS", "PASS", "PASS")),
        (TrialCounts(100, 2, 78, 20), ("PASS", "WARNING", "PASS")),
        (TrialCounts(8, 6, 0, 2), ("WARNING", "WARNING", "PASS")),
        (TrialCounts(9, 0, 3, 6), ("FAIL", "FAIL", "PASS")),
        (TrialCounts(0, 0, 0, 0), ("UNKNOWN", "UNKNOWN", "UNKNOWN")),
    ],
)
def test_trials_are_counted(record: StudyRecord, counts: TrialCounts, statuses: tuple[str, ...]) -> None:
    summary = replace(summarize(record), trials=counts, diverged=0)
    assert tuple(check(name, record, summary).status for name in ("complete", "failed", "diverged")) == statuses


def test_a_search_that_runs_does_not_fail_for_few_trials(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2, 0.4], "COMPLETE")
        builder.run(SHARP, [0.1], "RUNNING")
    found = check("complete", read_record(builder.folder))
    assert (found.status, found.figure) == ("UNKNOWN", "needs 10 trials, and has 1 until now")


def test_many_diverged_trials_are_a_warning(record: StudyRecord) -> None:
    summary = replace(summarize(record), diverged=2)
    found = check("diverged", record, summary)
    assert (found.status, found.figure) == ("WARNING", "2 of 5 diverged (40%)")


@pytest.mark.parametrize(("span", "status"), [(2.6, "PASS"), (1.6, "WARNING"), (0.6, "FAIL")])
def test_slots_must_have_trials(record: StudyRecord, span: float, status: str) -> None:
    """Ten runs of `span` seconds, most of it training, on 2 slots within 14 s."""
    trials = [replace(one, seconds=span * 0.9, started_at=0.0, ended_at=span) for one in record.trials]
    finals = [
        replace(one, seconds=span * 0.9, started_at=0.0, ended_at=span) for one in (*record.finals, record.finals[0])
    ]
    notes = {**record.notes, "slot_seconds": 28.0, "wall_seconds": 14.0}
    assert check("slots", replace(record, trials=trials, finals=finals, notes=notes)).status == status


def facts(train: dict[int, int], test: dict[int, int], *, shared: int = 0, unknown: int = 0) -> DatasetFacts:
    parts = {name: PartFacts(clips=9, signers=2, unknown_signer=unknown) for name in ("train", "val", "test")}
    return DatasetFacts(
        datasets={"data": 27},
        frames=(1, 2, 3),
        parts=parts,
        shared_signers=shared,
        heads={"gloss": HeadFacts(classes=9, counts={"train": train, "val": {}, "test": test})},
        padding=PaddingFacts(num_segments=4, time=None, padded=0, missing_share=0.0),
    )


@pytest.mark.parametrize(
    ("test", "status"), [({0: 5, 1: 5}, "PASS"), ({0: 19, 7: 1}, "WARNING"), ({0: 5, 7: 5}, "FAIL"), ({}, "UNKNOWN")]
)
def test_test_clips_of_untrained_classes(record: StudyRecord, test: dict[int, int], status: str) -> None:
    assert check("labels", replace(record, facts=facts({0: 9, 1: 9}, test))).status == status


@pytest.mark.parametrize(("shared", "unknown", "status"), [(0, 0, "PASS"), (3, 0, "WARNING"), (0, 1, "UNKNOWN")])
def test_signers_in_two_parts(record: StudyRecord, shared: int, unknown: int, status: str) -> None:
    found = check("signers", replace(record, facts=facts({0: 9}, {0: 9}, shared=shared, unknown=unknown)))
    assert found.status == status


@pytest.mark.parametrize(
    ("starts", "seen", "status"),
    [
        (False, None, "PASS"),
        (True, None, "UNKNOWN"),
        (True, {"val": 0, "test": 0}, "PASS"),
        (True, {"val": 4, "test": 0}, "WARNING"),
        (True, {"val": 4, "test": 1}, "FAIL"),
    ],
)
def test_clips_on_which_the_weights_were_trained(
    record: StudyRecord, starts: bool, seen: dict[str, int] | None, status: str
) -> None:
    base = override(record.study.base, {"feature_extractor.weights_sha256": "0" * 64} if starts else {})
    known = facts({0: 9}, {0: 9}).model_copy(update={"seen": seen})
    found = check("seen", replace(record, study=replace(record.study, base=base), facts=known))
    assert found.status == status and ("4 of 9 validation clips" in found.figure) == (status in ("WARNING", "FAIL"))


def test_ranges_are_judged_by_the_boundary_warnings(record: StudyRecord) -> None:
    assert check("boundary", record).status == "UNKNOWN"  # two complete trials
    many = replace(record, trials=[*record.trials, *[replace(record.trials[1], number=9 + i) for i in range(10)]])
    assert check("boundary", many, replace(summarize(record), warnings=["lr: at the end"])).figure == "lr"


def test_what_is_not_a_pass_says_what_to_do(record: StudyRecord) -> None:
    checks = [*summarize(record).health, check("labels", replace(record, facts=facts({0: 9}, {1: 9})))]
    for one in checks:
        assert bool(one.meaning and one.action) == (one.status in ("WARNING", "FAIL")), one
        assert one.figure and not one.action.endswith(".")


def test_an_unfinished_study_fails_nothing_that_needs_scores(build_study: Callable) -> None:
    with build_study() as builder:
        record = read_record(builder.folder)
    assert {one.status for one in summarize(record).health} == {"UNKNOWN"}
    assert health_line(summarize(record).health) == ""


def test_the_terminal_says_only_what_it_has_not_said(record: StudyRecord) -> None:
    checks = [HealthCheck(name, name, "FAIL", "f", "m", "a") for name in CHECKS]
    line = health_line(checks)
    assert "gain" not in line and "gap" not in line and "boundary" not in line
    assert line.startswith("health checks: FAIL validation: f; FAIL majority: f")
    assert health_line([replace(one, status="PASS") for one in checks]) == ""


def test_page_and_summary_have_every_check(finished: Path) -> None:
    assert [one["id"] for one in summary_of(finished)["health"]] == list(CHECKS)
    text = page_of(finished).text
    assert all(f"{entry.name}: " in text for entry in CHECKS.values())
