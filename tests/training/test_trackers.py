"""Trackers record every epoch once, and none of them can fail a run."""

import json
import logging

import pytest

from hearai.training.trackers import JsonLines, Trackers


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_epoch_is_a_line_and_a_tensorboard_event(tmp_path):
    trackers = Trackers(tmp_path, {})
    trackers.log({"val/loss": 0.5}, 1)
    trackers.log({"val/loss": 0.25}, 2)
    trackers.close()
    assert lines(tmp_path) == [{"val/loss": 0.5}, {"val/loss": 0.25}]
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = events.EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    assert [(e.step, e.value) for e in accumulator.Scalars("val/loss")] == [(1, 0.5), (2, 0.25)]


def test_a_resumed_run_repeats_no_epoch(tmp_path):
    first = Trackers(tmp_path, {})
    for epoch in (1, 2, 3):
        first.log({"epoch": epoch}, epoch)
    first.close()
    second = Trackers(tmp_path, {}, history=[{"epoch": 1}, {"epoch": 2}])  # epoch 3 was not checkpointed
    second.log({"epoch": 3}, 3)
    second.close()
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2, 3]


def test_a_failing_tracker_is_said_once_and_the_others_go_on(tmp_path, caplog):
    trackers = Trackers(tmp_path, {})
    with caplog.at_level(logging.WARNING):
        trackers.log({"val/loss": float("nan")}, 1)  # JSON has no NaN
        trackers.log({"val/loss": 0.5}, 2)
    trackers.close()
    assert [record.getMessage().split(" failed")[0] for record in caplog.records] == ["JSON lines"]


def test_json_lines_refuse_nan(tmp_path):
    tracker = JsonLines(tmp_path)
    with pytest.raises(ValueError):
        tracker.log({"val/loss": float("inf")}, 1)
    tracker.close()


def test_neptune_without_a_token_writes_into_the_run_folder(tmp_path, monkeypatch):
    pytest.importorskip("neptune")
    monkeypatch.delenv("NEPTUNE_API_TOKEN", raising=False)
    trackers = Trackers(tmp_path, {"lr": 0.1}, neptune=True)
    trackers.log({"val/loss": 0.5}, 1)
    trackers.close()
    assert list((tmp_path / "neptune" / "offline").iterdir())
