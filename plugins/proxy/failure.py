"""`ProxyFailure`: why a backend gave no answer, and what the client is told."""

from __future__ import annotations

from greenbas.errors import GreenbasError

__all__ = [
    "BadGateway",
    "ClientGone",
    "GatewayTimeout",
    "LoopDetected",
    "Outside",
    "ProxyFailure",
    "Refused",
    "Unavailable",
]


class ProxyFailure(GreenbasError):
    """No answer can be had from a backend.

    Args:
        message: which backend, and what happened.

    Attributes:
        status: that answers the client.
    """

    status = 502


class BadGateway(ProxyFailure):
    """502 (RFC 9110 15.6.3): the backend cannot be reached, broke off, or answered something that is not HTTP."""


class Unavailable(ProxyFailure):
    """503 (RFC 9110 15.6.4): no backend is fit for work, or all have as much as they may have."""

    status = 503


class GatewayTimeout(ProxyFailure):
    """504 (RFC 9110 15.6.5): the backend did not answer in time."""

    status = 504


class LoopDetected(ProxyFailure):
    """508 (RFC 5842 7.2): the request goes round in a circle."""

    status = 508


class Outside(ProxyFailure):
    """502 (RFC 4918 9.8.5): the request is about a place that is not the backend's; no fault of it."""


class Refused(ProxyFailure):
    """403: the gateway does not go there."""

    status = 403


class ClientGone(Exception):
    """The client is not there any more: nobody needs an answer."""

    def __str__(self) -> str:
        return "the client has gone"
