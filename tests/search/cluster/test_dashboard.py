"""Dashboards that answer, are open to the network, or cannot be reached, with and without a proxy."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hearai.errors import UserError
from hearai.search.cluster.dashboard import is_dashboard_up, require_token
from hearai.search.cluster.job_client import JobClient
from tests.helpers.http_server import http_server


@contextmanager
def dashboard(status: int) -> Iterator[str]:
    """Its address by this machine's name, as clusters give it."""
    with http_server(b"[]", status, host="0.0.0.0") as url:
        yield f"http://{socket.gethostname()}:{url.rpartition(':')[2]}"


@pytest.fixture(params=["", "http://127.0.0.1:9"], ids=["no proxy", "proxy"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that no one answers for, as one that cannot reach this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, request.param)
    for name in ("no_proxy", "NO_PROXY", "RAY_API_SERVER_ADDRESS"):  # restored after the test
        monkeypatch.setenv(name, "")


@pytest.mark.heavy
@pytest.mark.usefixtures("proxy")
def test_an_open_dashboard_is_refused_in_spite_of_a_proxy() -> None:
    with dashboard(200) as url:
        assert is_dashboard_up(url)
        with pytest.raises(UserError, match="open to the network"):
            require_token(url)


@pytest.mark.heavy
@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("status", [401, 403])
def test_a_dashboard_that_requires_a_token_is_accepted(status: int) -> None:
    with dashboard(status) as url:
        require_token(url)
        assert is_dashboard_up(url)


@pytest.mark.heavy
@pytest.mark.parametrize("status", [204, 404, 500, 502])
def test_any_other_answer_is_not_taken_for_safe(status: int) -> None:
    with dashboard(status) as url, pytest.raises(UserError, match="open to the network|cannot check"):
        require_token(url)


@pytest.mark.heavy
@pytest.mark.usefixtures("proxy")
def test_a_dashboard_out_of_reach_is_not_taken_for_safe() -> None:
    with dashboard(200) as url:
        pass
    assert not is_dashboard_up(url)
    with pytest.raises(UserError, match=r"cannot check that this dashboard requires a token \(no answer\)"):
        require_token(url)


@pytest.mark.heavy
@pytest.mark.usefixtures("proxy")
def test_submitting_reaches_local_addresses_without_the_proxy() -> None:
    with http_server(b"hello", 200) as url, pytest.raises(UserError, match="not the dashboard of a Ray cluster"):
        JobClient(url)
