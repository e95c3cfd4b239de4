"""Errors of the connection to a cluster's dashboard."""

import socketserver
import threading

import pytest

from hearai.errors import UserError
from hearai.search.cluster.dashboard import require_token
from hearai.search.cluster.job_client import check_dashboard, relevant_line


class NotHttp(socketserver.BaseRequestHandler):
    """Answers as an SSH server does."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.heavy
def test_a_server_without_http_is_refused() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), NotHttp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with pytest.raises(UserError, match="no connection"):
            check_dashboard(f"http://127.0.0.1:{port}")
        with pytest.raises(UserError, match="no trusted TLS certificate"):
            check_dashboard(f"https://127.0.0.1:{port}")
        require_token(f"http://[::ffff:127.0.0.1]:{port}")
        server.shutdown()


def test_the_relevant_line_of_an_error_is_shown() -> None:
    assert relevant_line("Request failed with status code 400: bad.\nmore") == "bad"
    assert relevant_line("Traceback (most recent call last):\n  File\nValueError: wrong\n") == "ValueError: wrong"
    assert "the cluster has been restarted since" in relevant_line("Job a-1 does not exist")
