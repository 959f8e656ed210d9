"""Logging for launchers: text or JSON on standard error, written in batches."""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Callable
from typing import TextIO

from gevent import get_hub, monkey

from greenbas.http import JsonFormatter, TextFormatter

__all__ = ["LOG_STYLES", "BatchHandler", "configure_logging"]

LOG_STYLES = ("text", "json", "none")
BATCH_LINES = 256  # so that a busy server keeps no more than some 30 KiB back

_native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")


class BatchHandler(logging.StreamHandler[TextIO]):
    """Writes what is logged in one turn of the hub in one go; warnings and errors at once.

    Args:
        stream: where to; the hub's thread of the caller writes.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._hub = get_hub()
        self._scheduled = False
        atexit.register(self._due)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, or write it with those that were kept."""
        try:
            self._lines.append(self.format(record) + "\n")
            if record.levelno >= logging.WARNING or len(self._lines) >= BATCH_LINES:
                self.flush()
            elif not self._scheduled:
                self._flush_later()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what was kept."""
        # Under the lock, as a thread may be about to add a line. It is a native one, and held for a write at most.
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()

    def _flush_later(self) -> None:
        if _native_ident() != self._hub.thread_ident:
            self.flush()  # callbacks of the hub cannot be added from another thread
            return
        # After what is ready now: alone a line is written at once, under load many share a write.
        self._scheduled = True
        self._hub.loop.run_callback(self._due)

    def _due(self) -> None:
        self._scheduled = False
        try:
            self.flush()
        except Exception:
            pass  # standard error is closed or broken: there is nowhere to say so, and the server goes on


def configure_logging(style: str) -> None:
    """Send greenbas's logs to standard error, unless the program has set up logging itself.

    Args:
        style: one of `LOG_STYLES`; "none" leaves warnings and errors, and switches access records off.
    """
    logger = logging.getLogger("greenbas")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = BatchHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if style == "none" else logging.INFO)
