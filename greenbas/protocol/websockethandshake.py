"""The opening handshake of a WebSocket, the server's side (RFC 6455 section 4.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from greenbas.protocol.headers import RequestHeaders, is_token

__all__ = ["VERSION", "accept_key", "choose_subprotocol", "handshake_fault", "is_own_origin"]

VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_PORTS = {"http": 80, "https": 443}


def handshake_fault(method: str, http11: bool, headers: RequestHeaders) -> tuple[int, str] | None:
    """What is wrong with a request that wants to become a WebSocket.

    Returns:
        The status that answers it, 400, 405 or 426, and a sentence for whoever sent it; None for a good one.
    """
    if "websocket" not in _tokens(headers.get("upgrade", "")):
        return 426, "This is a WebSocket: send Upgrade: websocket and Connection: Upgrade with the request."
    if method != "GET":
        return 405, f"A WebSocket is opened with GET, not {method}."
    if not http11:
        return 400, "A WebSocket needs HTTP/1.1."
    if "upgrade" not in _tokens(headers.get("connection", "")):
        return 400, "Connection: Upgrade is missing; a proxy in between may have removed it."
    version = headers.get("sec-websocket-version", "")
    if version != VERSION:
        return 426, f"The WebSocket version {version or 'is missing; it'} has to be {VERSION}."
    keys = headers.get_all("sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return 400, "Sec-WebSocket-Key has to stand once, with 16 bytes in base64."
    return None


def accept_key(key: str) -> str:
    """The value of Sec-WebSocket-Accept for a key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


def choose_subprotocol(offers: Sequence[str], ours: Sequence[str]) -> str | None:
    """The first of ours that the client offers, or None.

    Args:
        offers: the values of Sec-WebSocket-Protocol.
        ours: the subprotocols that the server speaks, the preferred one first.

    Raises:
        ValueError: the header is malformed.
    """
    offered = [name.strip(" \t") for offer in offers for name in offer.split(",")]
    for name in offered:
        if not is_token(name):
            raise ValueError(f"Sec-WebSocket-Protocol: {name!r} is not the name of a subprotocol")
    return next((name for name in ours if name in offered), None)


def is_own_origin(origin: str, scheme: str, host: str, others: Collection[str] = ()) -> bool:
    """Whether a page of this origin may open a WebSocket here.

    Args:
        origin: the value of Origin, "null" for pages without one.
        scheme: "http" or "https", as the client sees it.
        host: the host and perhaps the port that the request is for.
        others: origins that may as well, such as "https://shop.example"; "*" for all.
    """
    if "*" in others:
        return True
    wanted = _parts(origin)
    if origin in others or (wanted is not None and any(_parts(other) == wanted for other in others)):
        return True
    return wanted is not None and wanted == _parts(f"{scheme}://{host}")


def _parts(origin: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.hostname is None or port is None or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port


def _tokens(value: str) -> list[str]:
    return [token.strip(" \t").lower() for token in value.split(",")]


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
