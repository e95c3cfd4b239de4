"""What a trial shows to Prometheus: its speed, its GPU memory, and zero when it has ended."""

import logging
import threading
from collections.abc import Iterator

import pytest
import torch

from hearai.search.trial.trial_metrics import CLIPS, MEMORY, TrialMetrics, trial_metrics

CPU = torch.device("cpu")


def report(epoch: float, seconds: float, clips: float = 30) -> dict[str, float]:
    return {"epoch": epoch, "seconds": seconds, "clips": clips}


@pytest.fixture
def trial() -> Iterator[TrialMetrics]:
    shown = TrialMetrics("tiny", "0003")
    yield shown
    shown.close()


def values(shown: TrialMetrics) -> dict[str, float]:
    return dict(shown._gauges._values)


def test_speed_is_clips_of_an_epoch_per_second(trial: TrialMetrics) -> None:
    trial.on_report(report(1, 10), CPU)
    assert values(trial) == {CLIPS: 3, MEMORY: 0}, "no memory without a GPU"
    trial.on_report(report(2, 15), CPU)
    assert values(trial)[CLIPS] == 6, "of this epoch, not of all so far"


def test_a_report_of_an_earlier_attempt_gives_no_speed(trial: TrialMetrics) -> None:
    trial.on_report(report(7, 70), CPU)
    assert CLIPS not in values(trial)
    trial.on_report(report(8, 73), CPU)
    assert values(trial)[CLIPS] == 10


def test_a_report_of_older_code_has_no_clips(trial: TrialMetrics) -> None:
    trial.on_report({"epoch": 1, "seconds": 2.0}, CPU)
    assert values(trial) == {MEMORY: 0}


def test_an_ended_trial_shows_zero_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(SystemExit), trial_metrics("tiny", "0000") as shown:
        assert shown is not None
        shown.on_report(report(1, 10), CPU)
        assert values(shown)[CLIPS] > 0
        raise SystemExit  # how Tune stops a trial
    assert values(shown) == {CLIPS: 0, MEMORY: 0}
    assert threading.active_count() == before


def test_only_the_first_worker_of_a_trial_has_gauges() -> None:
    before = threading.active_count()
    with trial_metrics(None, "") as shown:
        assert shown is None and threading.active_count() == before


def test_an_export_error_is_logged_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    odd = TrialMetrics("tiny", 7)  # Ray takes strings as tags, and raises otherwise
    with caplog.at_level(logging.WARNING, "hearai"):
        for epoch in (1, 2):
            odd.on_report(report(epoch, epoch), CPU)
        odd.on_report({}, CPU)
        odd.close()
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "Tag values must be str" in text]) == 1
    assert len([text for text in texts if "KeyError" in text]) == 1
