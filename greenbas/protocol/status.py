"""Status codes: reason phrases and what each says about a body."""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["BODILESS", "reason"]

BODILESS = frozenset({204, 205, 304})  # RFC 9110 15.3.5, 15.3.6, 15.4.5: never a body; 1xx are not final responses

_REASONS = {status.value: status.phrase for status in HTTPStatus}
# RFC 9110 renamed these.
_REASONS |= {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
_CLASSES = {1: "Informational", 2: "Success", 3: "Redirection", 4: "Client Error", 5: "Server Error"}


def reason(code: int) -> str:
    """The reason phrase of a status code; a code nobody registered gets the name of its class."""
    return _REASONS.get(code) or _CLASSES.get(code // 100, "Unknown")
