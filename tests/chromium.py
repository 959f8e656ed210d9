"""A headless Chromium, driven over the pipe of its DevTools protocol: no driver program, no WebSocket, no port."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from support import need_command

# What a test needs no answer from: the sandbox wants rights a container lacks, the rest would call the network.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--remote-debugging-pipe",
]
# Chromium reads commands from descriptor 3 and writes answers to 4; this moves the pipes there and becomes Chromium.
MOVE_PIPES = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
ANSWER_SECONDS = 30.0


class PageError(AssertionError):
    """JavaScript of the test or of the page raised."""


class Chromium:
    """One browser with one tab; a context manager.

    Attributes:
        errors: what the page's scripts raised or wrote with console.error, since it was opened.
    """

    def __init__(self) -> None:
        program = need_command("chromium")
        self.errors: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="greenbas-chromium-", ignore_cleanup_errors=True)
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._loaded = False
        self._buffer = b""
        self._session = ""
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        command = [sys.executable, "-c", MOVE_PIPES, str(their_in), str(their_out), program, *FLAGS]
        command += [f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(their_in, their_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)

    def __enter__(self) -> Chromium:
        try:
            targets = self.call("Target.getTargets")["targetInfos"]
            page = next(target["targetId"] for target in targets if target["type"] == "page")
            self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove its profile."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._folder.cleanup()

    def open(self, url: str) -> None:
        """Load a page; returns after its load event."""
        self._loaded = False
        self.errors.clear()
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"
        self.wait_for_load()

    def wait_for_load(self) -> None:
        """Wait for the load event of a page that `open` or a click in the page began to load."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._loaded:
            self._receive(deadline)

    def click(self, selector: str, *, loads: bool = False) -> None:
        """Click an element; with `loads`, also wait for the page that comes then."""
        self._loaded = False
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        if loads:
            self.wait_for_load()

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it resolves to."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise PageError(describe(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of an element as a person sees it."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def show_as(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Give the tab the size of a screen, and light or dark colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """Save the whole page, as far as it scrolls, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(image["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        rest = memoryview(json.dumps(message).encode() + b"\0")
        while rest:
            rest = rest[os.write(self._out, rest) :]
        deadline = time.monotonic() + ANSWER_SECONDS
        while number not in self._answers:
            self._receive(deadline)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def _receive(self, deadline: float) -> None:
        """Take in what Chromium says next."""
        # select, so that the other greenlets of the test process run meanwhile.
        if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError(f"Chromium said nothing for {ANSWER_SECONDS:g} s")
        data = os.read(self._in, 1 << 20)
        if not data:
            raise RuntimeError(f"Chromium ended with exit code {self._process.wait(5)}")
        *whole, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, whole):
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        event, details = message["method"], message["params"]
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.errors.append(describe(details["exceptionDetails"]))
        elif event == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.errors.append(f"{details['entry']['text']} {details['entry'].get('url', '')}")
        elif event == "Runtime.consoleAPICalled" and details["type"] == "error":
            self.errors.append(" ".join(str(argument.get("value", "")) for argument in details["args"]))


def describe(details: dict[str, Any]) -> str:
    """The message of a JavaScript exception."""
    return str(details.get("exception", {}).get("description") or details.get("text"))
