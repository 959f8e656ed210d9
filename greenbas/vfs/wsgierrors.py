"""`ErrorLog`: the text stream ``wsgi.errors``, which ends in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable

__all__ = ["ErrorLog"]

MAX_RECORD = 8192  # characters; a longer line becomes several records

_log = logging.getLogger("greenbas.wsgi")


class ErrorLog:
    """What WSGI applications write about their errors: each line is a record of the logger "greenbas.wsgi".

    A line that is longer than `MAX_RECORD` characters is several records, so that what never ends a line is not kept.
    One for all requests, as standard error is.
    """

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[str] = []  # of a line that has not ended
        self._size = 0

    def write(self, text: str) -> int:
        """Add text; returns its length."""
        *lines, begun = text.split("\n")
        for line in lines:
            self._add(line)
            self.flush()
        self._add(begun)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Add several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log also what has no line end yet."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        _record("".join(pieces))

    def _add(self, text: str) -> None:
        """Add a text without line ends."""
        while self._size + len(text) >= MAX_RECORD:
            fits = MAX_RECORD - self._size
            self._pieces.append(text[:fits])
            text = text[fits:]
            self.flush()
        if text:
            self._pieces.append(text)
            self._size += len(text)


def _record(line: str) -> None:
    if line.strip():
        _log.error("%s", line.rstrip())
