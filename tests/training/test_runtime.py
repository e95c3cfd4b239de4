"""Devices and local runs."""

import logging

import pytest
import torch

from hearai.errors import ConfigError
from hearai.training import runtime
from hearai.training.runtime import LocalRuntime, choose_device


def test_minus_one_is_the_cpu():
    assert choose_device(-1) == torch.device("cpu")


def test_without_a_gpu_the_cpu_is_used_and_logged_once(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    runtime._log_no_gpu.cache_clear()  # logged once per process
    with caplog.at_level(logging.INFO):
        assert choose_device(0) == torch.device("cpu")
    assert len(caplog.records) == 1 and "no GPU on this machine: the CPU is used" in caplog.text


def test_a_missing_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(1) == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="this machine has 0..1"):
        choose_device(2)


def test_a_local_run_resumes_only_on_request_from_a_checkpoint(tmp_path):
    assert LocalRuntime("cpu", tmp_path, resume=True).restore_from() is None
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / ".state.pt.1").touch()  # of a process that was killed while writing
    assert LocalRuntime("cpu", tmp_path, resume=True).restore_from() is None
    (tmp_path / "last" / "state.pt").touch()
    assert LocalRuntime("cpu", tmp_path).restore_from() is None
    assert LocalRuntime("cpu", tmp_path, resume=True).restore_from() == tmp_path / "last"
