"""`ResponseIn`: a backend's response, for the hook ``modify_response``; and what the hooks look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenbas import Request, Response
from greenbas_plugins.proxy.failure import BadGateway, ProxyFailure
from greenbas_plugins.proxy.fields import Fields

__all__ = ["ModifyResponse", "OnError", "ResponseIn"]

READ_MOST = 1024 * 1024  # bytes of a body that a hook reads unless it says otherwise


class ResponseIn:
    """A response on its way to the client; nothing of it has left.

    Args:
        status: as the backend sent it.
        reason: its phrase.
        fields: the header fields as the client will get them.
        next_piece: what follows of the body, b"" at its end.

    Attributes:
        status: the status; assign to change it.
        reason: the phrase; "" for the usual one.
        headers: the header fields; those that frame the message are not among them.
        body: bytes to send instead of what the backend sends, None to pass that on.
    """

    __slots__ = ("_next_piece", "body", "headers", "reason", "status")

    def __init__(
        self, status: int, reason: str, fields: list[tuple[bytes, bytes]], next_piece: Callable[[], bytes]
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = Fields(fields, responses=True)
        self.body: bytes | None = None
        self._next_piece = next_piece

    def __repr__(self) -> str:
        return f"<ResponseIn {self.status} {self.reason}>"

    def read(self, most: int = READ_MOST) -> bytes:
        """The whole body, which is what is sent from here on unless another is assigned to `body`.

        Args:
            most: bytes; a larger one makes the answer a 502.

        Raises:
            ProxyFailure: the body is larger, or cannot be had.
        """
        if self.body is None:
            pieces, size = [], 0
            while piece := self._next_piece():
                size += len(piece)
                if size > most:
                    raise BadGateway(f"a hook reads at most {most} bytes of a body, and this one has more")
                pieces.append(piece)
            self.body = b"".join(pieces)
        return self.body


ModifyResponse = Callable[[Request, ResponseIn], Any]
OnError = Callable[[Request, Response, ProxyFailure], Any]
