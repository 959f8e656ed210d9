"""What tests share: waiting for a condition, and programs that may be missing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import pytest

# nginx is in sbin, which is often not in a user's PATH.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def wait_until(condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Return as soon as the condition holds; fail the test when it does not within the time-out."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s in vain for {getattr(condition, '__name__', condition)}")
        time.sleep(0.005)


def need_command(name: str) -> str:
    """The path of a program that the test runs.

    Without it the test is skipped; where CI=true it fails, so that nothing goes untested there unseen.
    """
    path = shutil.which(name, path=SEARCH_PATH)
    if path is not None:
        return path
    reason = f"needs the program {name}, which is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
