"""Libraries that report their use to their makers do not do so here, unless the user's environment asks for it."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from hearai import NO_TELEMETRY
from hearai.threads import background
from tests.helpers import ROOT
from tests.helpers.mediapipe_material import MODELS, needs_mediapipe, needs_models

REPORTS_TO = "play.googleapis.com"
"""Where MediaPipe sends what was used, on which system, how often and how fast."""
TRUSTING = """
import sys, certifi, numpy as np
certifi.where = lambda: sys.argv[1]  # the authority that MediaPipe trusts
from pathlib import Path
from hearai.data.landmarks.extraction import extract
from hearai.data.landmarks.mediapipe_models import find_models
try:
    extract([np.zeros((64, 64, 3), np.uint8)] * 3, 25, find_models(Path(sys.argv[2])))
except Exception as error:
    assert "no hands and no body" in str(error), error
"""


def run_python(code: str, *args: object, **environment: str) -> str:
    """What a new process prints, in an environment that says nothing of telemetry."""
    clean = {name: value for name, value in os.environ.items() if name not in NO_TELEMETRY}
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(
        command, cwd=ROOT, env={**clean, **environment}, check=True, capture_output=True, text=True, timeout=120
    )
    return done.stdout


@pytest.mark.heavy
def test_onnxruntime_leaves_no_device_id(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    run_python("import hearai, onnxruntime; onnxruntime.get_available_providers()", **home)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.heavy
def test_what_the_user_has_set_is_kept() -> None:
    code = f"import os, hearai; print(*(os.environ[name] for name in {list(NO_TELEMETRY)}))"
    assert run_python(code).split() == ["1"] * len(NO_TELEMETRY)
    assert run_python(code, HF_HUB_DISABLE_TELEMETRY="0").split() == ["1", "0"]


@pytest.mark.heavy
@needs_mediapipe
@needs_models
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl, for a certificate")
def test_mediapipe_sends_nothing(tmp_path: Path) -> None:
    """It connects through a proxy that plays the receiver, with a certificate that MediaPipe would accept."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={REPORTS_TO}"]
    request += ["-addext", f"subjectAltName=DNS:{REPORTS_TO}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    attempts: list[bytes] = []
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def receive(stopping) -> None:
            while not stopping.is_set():
                try:
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(10)
                        attempts.append(connection.recv(4096))
                        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                        with context.wrap_socket(connection, server_side=True) as secure:
                            received.append(secure.recv(4096))
                except OSError:  # no connection within 0.1 s, or one that was given up
                    continue

        with background(receive):
            proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
            run_python(TRUSTING, certificate, MODELS, https_proxy=proxy, no_proxy="")
    assert attempts and REPORTS_TO.encode() in attempts[0], "MediaPipe reports nothing any more: remove the switch"
    assert not any(received)
