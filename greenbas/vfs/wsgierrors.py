"""`ErrorLog`: the text stream ``wsgi.errors``, which ends in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable

__all__ = ["ErrorLog"]

_log = logging.getLogger("greenbas.wsgi")


class ErrorLog:
    """What WSGI applications write about their errors: each line is a record of the logger "greenbas.wsgi".

    One for all requests, as standard error is.
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = ""  # a line that has not ended

    def write(self, text: str) -> int:
        """Add text; returns its length."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            _record(line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Add several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log also what has no line end yet."""
        if self._begun:
            begun, self._begun = self._begun, ""
            _record(begun)


def _record(line: str) -> None:
    if line.strip():
        _log.error("%s", line.rstrip())
