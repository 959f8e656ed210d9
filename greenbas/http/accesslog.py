"""The access log: one record a request, through the standard `logging`."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenbas.http.request import Request
    from greenbas.http.response import Response

__all__ = ["AccessLog", "JsonFormatter", "TextFormatter"]

LOGGER = "greenbas.access"
NO_ANSWER = 499  # the connection ended before the head of a response; nginx logs the same number
_FIELDS = ("client", "user", "method", "target", "status", "bytes", "seconds", "id")


class AccessLog:
    """Makes the records.

    Args:
        logger: where they go, at level INFO. Each record has the attributes client, user, method, target, status,
            bytes, seconds and id.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger(LOGGER)

    def record(self, request: Request, response: Response, seconds: float) -> None:
        """Note one finished request.

        Args:
            request: still valid.
            response: finished or broken.
            seconds: from the whole head to the last byte handed to the kernel.
        """
        if not self._logger.isEnabledFor(logging.INFO):
            return
        fields: dict[str, Any] = {
            "client": request.peername()[0],
            "user": None,
            "method": request.method,
            "target": request.target,
            "status": response.get_status() if response.committed() else NO_ANSWER,
            "bytes": response.body_sent,
            "seconds": round(seconds, 6),
            "id": request.id,
        }
        self._logger.info("%(method)s %(target)s %(status)s", fields, extra=fields)


class TextFormatter(logging.Formatter):
    """Lines such as ``2026-11-21T08:15:00.123Z 127.0.0.1 - "GET /hello" 200 13 0.000123 3f9a1c-7``.

    The request is a JSON string, so no quote or control character in it can forge a line. Other records are written as
    time, level, logger and message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        if record.name != LOGGER:
            line = f"{_timestamp(record.created)} {record.levelname} {record.name}: {record.getMessage()}"
            return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")
        values = vars(record)
        user = values["user"] or "-"
        request = json.dumps(f"{values['method']} {values['target']}")
        return (
            f"{_timestamp(record.created)} {values['client']} {user} {request} "
            f"{values['status']} {values['bytes']} {values['seconds']:.6f} {values['id']}"
        )


class JsonFormatter(logging.Formatter):
    """One JSON object a line; access records with their fields, others with logger, level and message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        values = vars(record)
        line: dict[str, Any] = {"time": _timestamp(record.created)}
        if record.name == LOGGER:
            line.update((name, values[name]) for name in _FIELDS)
        else:
            line.update(logger=record.name, level=record.levelname, message=record.getMessage())
            if record.exc_info:
                line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
