"""A headless Chromium that a test asks about a page, over the DevTools protocol in a pair of pipes."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
SECONDS = 60


class Browser:
    """One tab."""

    def __init__(self, commands: int, answers: int):
        self._commands, self._answers, self._buffer = commands, answers, b""
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the page wrote to its console as a warning or an error, and exceptions of its script."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Sends a command and returns its result; events that arrive before it are looked at."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": dict(params or {})}
        session = getattr(self, "_session", None)
        message |= {"sessionId": session} if session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._answers, 1 << 16)
            assert piece, "Chromium ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if message["params"]["type"] in ("warning", "error"):
                self.complaints.append(str(message["params"]["args"]))
            case "Log.entryAdded" if message["params"]["entry"]["level"] in ("warning", "error"):
                self.complaints.append(message["params"]["entry"]["text"])
        return message

    def open(self, url: str | Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Loads a page, after what is known of the page before has been forgotten."""
        self.complaints.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", {"features": scheme})
        self.call("Page.navigate", {"url": url.absolute().as_uri() if isinstance(url, Path) else url})
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Presses and releases a key, such as `ArrowRight` or `Enter`."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key})

    def mouse(self, kind: str, x: float, y: float) -> None:
        """kind: mouseMoved, mousePressed or mouseReleased. x, y: in the window."""
        held = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" else {}
        self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **held})

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """whole: the page, not only the window."""
        data = self.call("Page.captureScreenshot", {"captureBeyondViewport": whole})["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A browser within a with block. folder: for its profile."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    options += ["--no-first-run", "--disable-background-networking", "--hide-scrollbars", "about:blank"]
    launch = f"import os, sys; os.dup2({in_read}, 3); os.dup2({out_write}, 4); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(  # Chromium reads from 3 and writes to 4
        [sys.executable, "-S", "-c", launch, str(CHROMIUM), *options],
        pass_fds=(in_read, out_write),
        stderr=subprocess.DEVNULL,
    )
    os.close(in_read)
    os.close(out_write)
    try:
        yield Browser(in_write, out_read)
    finally:
        process.kill()
        process.wait(SECONDS)
        os.close(in_write)
        os.close(out_read)
