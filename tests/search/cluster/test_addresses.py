"""Addresses of clusters: what does not answer is refused at once; own addresses are not asked through a proxy."""

import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hearai.errors import UserError
from hearai.search.cluster import addresses
from hearai.search.cluster.addresses import bypass_proxy, is_loopback, needs_no_proxy, resolve_address
from tests.helpers.http_server import http_server

SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """HOST:PORT of a server that sends these bytes to each client; None = accepts and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    clients.append(listener.accept()[0])
                except OSError:
                    return
                if answer is not None:
                    clients[-1].sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "address",
    ["", "local", "head", "head:", ":6379", "head:0", "head:70000", "head:x", "ray://head:10001", "::1:6379", "a b:1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="give HOST:PORT of a cluster's head"):
        resolve_address(address)


def test_an_address_that_answers_like_a_cluster_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(SETTINGS_FRAME) as address:
        assert resolve_address(address) == address
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert resolve_address("auto") == address


@pytest.mark.heavy
def test_addresses_of_nothing_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "ANSWER_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UserError, match=rf"--address 127\.0\.0\.1:{port}: no connection \(Connection refused\)"):
        resolve_address(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match=r"there is no host 'head\.invalid'"):
        resolve_address("head.invalid:6379")
    with server(None) as address, pytest.raises(UserError, match=r"no answer within 0\.3 s"):
        resolve_address(address)
    for answer in (b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00" * 9):
        with server(answer) as address, pytest.raises(UserError, match="it is not the head of a Ray cluster"):
            resolve_address(address)
    with http_server(b"[]", 200) as url, pytest.raises(UserError, match="it is not the head of a Ray cluster"):
        resolve_address(url.removeprefix("http://"))


def test_hosts_that_mean_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("", "127.0.0.1.example.org", "10.0.0.1", "::ffff:10.0.0.1", "head")))
    assert all(map(needs_no_proxy, ("localhost", "10.1.2.3", "192.168.0.9", socket.gethostname())))
    assert not any(map(needs_no_proxy, ("93.184.215.14", "head.invalid")))


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_own_addresses_are_added_to_no_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "")  # restored after the test
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv(name, "intranet.example")
    bypass_proxy(["head"])
    for host in ("localhost", "127.0.0.1", socket.gethostname(), "head", "intranet.example"):
        assert urllib.request.proxy_bypass(host), host
    assert not urllib.request.proxy_bypass("example.org") and os.environ["no_proxy"] == os.environ["NO_PROXY"]


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    bypass_proxy(["head"])
    assert "no_proxy" not in os.environ
