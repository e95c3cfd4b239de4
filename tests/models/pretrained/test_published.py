"""Published weights of timm models: loaded from the cache, or a clear error within seconds."""

import http.server
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from hearai.errors import ConfigError
from hearai.models.pretrained import published as pretrained
from hearai.models.pretrained.published import check_model_name, load_pretrained, resolve_pretrained, timm_weights

MODEL = "test_efficientnet"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path


@pytest.fixture(params=["model.safetensors", "pytorch_model.bin"])
def full_cache(empty_cache: Path, request: pytest.FixtureRequest) -> dict[str, torch.Tensor]:
    """Weights in the cache folder of the hub, in the layout of the hub's client."""
    torch.manual_seed(7)
    weights = timm.create_model(MODEL).state_dict()
    repository = empty_cache / ("models--" + timm.get_pretrained_cfg(MODEL).hf_hub_id.replace("/", "--"))
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    save = save_file if request.param.endswith("safetensors") else torch.save
    save(weights, repository / "snapshots" / "abc" / request.param)
    return weights


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """hub(address): the hub is at this address, without a proxy."""
    monkeypatch.setenv("no_proxy", "*")

    def move(address: str) -> None:
        template = f"http://{address}/{{repo_id}}/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)

    return move


class OldFormatHub(http.server.BaseHTTPRequestHandler):
    """A hub whose repositories have pytorch_model.bin only."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path.endswith("pytorch_model.bin") else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_false_does_not_query_the_hub(empty_cache: Path, hub: Callable, closed_port: str):
    hub(closed_port)
    assert resolve_pretrained(timm_weights(MODEL), False) is False


@pytest.mark.parametrize("wanted", [True, "auto"])
def test_cached_weights_are_loaded_without_network(
    full_cache: dict[str, torch.Tensor], hub: Callable, closed_port: str, wanted: bool | str
):
    hub(closed_port)
    assert resolve_pretrained(timm_weights(MODEL), wanted) is True
    start = time.monotonic()
    backbone = load_pretrained(MODEL)
    assert time.monotonic() - start < 5  # the hub's client would retry for 45 s
    assert all(torch.equal(value, full_cache[name]) for name, value in backbone.state_dict().items())


def test_cached_weights_are_available_offline(full_cache: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert resolve_pretrained(timm_weights(MODEL), True) is True


@pytest.mark.heavy
def test_weights_on_the_hub_are_available(empty_cache: Path, hub: Callable):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OldFormatHub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub(f"127.0.0.1:{server.server_port}")
        assert resolve_pretrained(timm_weights(MODEL), True) is True
        server.shutdown()


def test_true_without_network_or_cache_is_a_config_error(empty_cache: Path, hub: Callable, closed_port: str):
    hub(closed_port)
    start = time.monotonic()
    for load in (lambda: resolve_pretrained(timm_weights(MODEL), True), lambda: load_pretrained(MODEL)):
        with pytest.raises(ConfigError) as caught:
            load()
        (problem,) = caught.value.problems
        assert f"weights of {MODEL} are not available (not cached, and http://{closed_port}" in problem
        assert "set pretrained to auto or false, or give a feature_extractor.checkpoint" in problem
    assert time.monotonic() - start < 3


def test_auto_without_network_or_cache_logs_one_line(
    empty_cache: Path, hub: Callable, closed_port: str, caplog: pytest.LogCaptureFixture
):
    hub(closed_port)
    with caplog.at_level(logging.INFO, logger="hearai"):
        assert resolve_pretrained(timm_weights(MODEL), "auto") is False
    (record,) = caplog.records
    assert "starting from random weights" in record.getMessage() and "\n" not in record.getMessage()


@pytest.mark.heavy
def test_timeout_of_an_unresponsive_host(empty_cache: Path, hub: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pretrained, "ANSWER_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        hub(f"127.0.0.1:{unresponsive.getsockname()[1]}")
        start = time.monotonic()
        assert resolve_pretrained(timm_weights(MODEL), "auto") is False
        assert time.monotonic() - start < 2


@pytest.mark.heavy
def test_timeout_of_a_dns_lookup(empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    def hang(*_: object, **__: object) -> None:
        time.sleep(2)
        raise OSError("timed out")

    monkeypatch.setattr(pretrained, "ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    assert resolve_pretrained(timm_weights(MODEL), "auto") is False
    assert time.monotonic() - start < 1.5


def test_hf_hub_offline_is_respected(empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        resolve_pretrained(timm_weights(MODEL), True)


def test_model_without_published_weights(empty_cache: Path):
    assert resolve_pretrained(timm_weights("coatnet_0_224"), "auto") is False
    with pytest.raises(ConfigError, match="none are published"):
        resolve_pretrained(timm_weights("coatnet_0_224"), True)


@pytest.mark.parametrize("name", ["resnet18", "resnet18.a1_in1k", "coatnet_0_224"])
def test_names_with_and_without_tags_are_valid(name: str):
    check_model_name(name)


@pytest.mark.parametrize(("name", "close"), [("resnet19", "resnet18"), ("resnet18.a1", "resnet18.a1_in1k"), ("?", "")])
def test_unknown_name_is_an_error_with_close_matches(name: str, close: str):
    with pytest.raises(ConfigError) as caught:
        check_model_name(name)
    assert close in str(caught.value) and len(str(caught.value)) < 300
