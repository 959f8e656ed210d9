"""The access log: one record a request, through the standard `logging`."""

from __future__ import annotations

import json
import logging
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenbas.http.request import Request
    from greenbas.http.response import Response

__all__ = ["AccessLog", "AccessRecord", "JsonFormatter", "TextFormatter"]

LOGGER = "greenbas.access"
NO_ANSWER = 499  # the connection ended before the head of a response; nginx logs the same number
_NEEDS_QUOTES = re.compile(r"[^!#-\[\]-~]")
_NEEDS_ESCAPE = re.compile(r"[^ -!#-\[\]-~]")


# What formatters may ask any record for. Finding out about threads and callers costs more than the rest of the record;
# each is what logging itself uses when it does not know, or is told not to ask.
_USUAL: dict[str, Any] = {
    "name": LOGGER,
    "levelno": logging.INFO,
    "levelname": "INFO",
    "msg": "",
    "args": None,
    "relativeCreated": 0.0,
    "pathname": "",
    "filename": "",
    "module": "",
    "lineno": 0,
} | dict.fromkeys(
    ["exc_info", "exc_text", "stack_info", "funcName", "thread", "threadName", "process", "processName", "taskName"]
)


class AccessRecord(logging.LogRecord):
    """A log record of one request, with what the usual constructor finds out about threads and callers left out.

    Args:
        request: still valid.
        response: finished or broken.
        seconds: from the whole head to the last byte handed to the kernel.

    Attributes:
        client, user, method, target, status, bytes, seconds, id: of the request.
    """

    def __init__(self, request: Request, response: Response, seconds: float) -> None:
        self.__dict__.update(_USUAL)
        self.created = created = time.time()
        self.msecs = created % 1 * 1000
        self.client = request.peername()[0] or "-"  # unknown once the socket is closed
        session = request.used_session
        user = None if session is None else session._record.user
        self.user = None if user is None else user.name
        self.method = request.method
        self.target = request.target
        self.status = response.get_status() if response.committed() else NO_ANSWER
        self.bytes = response.body_sent
        self.seconds = round(seconds, 6)
        self.id = request.id

    def getMessage(self) -> str:
        """The request in short, for formatters that know no access records."""
        return f"{self.method} {self.target} {self.status}"


class AccessLog:
    """Makes the records.

    Args:
        logger: where they go, at level INFO.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger(LOGGER)

    def record(self, request: Request, response: Response, seconds: float) -> None:
        """Note one finished request; the arguments are those of `AccessRecord`."""
        if self._logger.isEnabledFor(logging.INFO):
            self._logger.handle(AccessRecord(request, response, seconds))


class TextFormatter(logging.Formatter):
    """Lines such as ``2026-11-21T08:15:00.123Z 127.0.0.1 - "GET /hello" 200 13 0.000123 3f9a1c-7``.

    The request is a JSON string, so no quote or control character in it can forge a line. Other records are written as
    time, level, logger and message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        stamp = _timestamp(record)
        if not isinstance(record, AccessRecord):
            line = f"{stamp} {record.levelname} {record.name}: {record.getMessage()}"
            return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")
        request = f"{record.method} {record.target}"
        request = json.dumps(request) if _NEEDS_ESCAPE.search(request) else f'"{request}"'
        user = record.user or "-"
        if _NEEDS_QUOTES.search(user):
            user = json.dumps(user)  # it must not pass for other fields
        return (
            f"{stamp} {record.client} {user} {request} {record.status} {record.bytes} {record.seconds:.6f} {record.id}"
        )


class JsonFormatter(logging.Formatter):
    """One JSON object a line; access records with their fields, others with logger, level and message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        line: dict[str, Any] = {"time": _timestamp(record)}
        if isinstance(record, AccessRecord):
            line.update(
                client=record.client,
                user=record.user,
                method=record.method,
                target=record.target,
                status=record.status,
                bytes=record.bytes,
                seconds=record.seconds,
                id=record.id,
            )
        else:
            line.update(logger=record.name, level=record.levelname, message=record.getMessage())
            if record.exc_info:
                line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _timestamp(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
