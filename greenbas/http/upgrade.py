"""`upgrade`: a request becomes a WebSocket (RFC 6455 section 4.2)."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NoReturn

from greenbas.errors import IncorrectUse, NetError
from greenbas.net.websocket import WebSocket
from greenbas.protocol.headers import header_line, is_token
from greenbas.protocol.websocketdeflate import Codec, Deflate, negotiate
from greenbas.protocol.websockethandshake import (
    VERSION,
    accept_key,
    choose_subprotocol,
    handshake_fault,
    is_own_origin,
)

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["upgrade"]

_log = logging.getLogger("greenbas.websocket")


def upgrade(
    request: Request,
    *,
    subprotocols: Sequence[str],
    origins: Collection[str] | None,
    compression: bool | Deflate,
    max_size: int | None,
    ping_interval: float | None,
    ping_timeout: float,
    write_timeout: float,
) -> WebSocket:
    """Make a WebSocket of a request; see `Request.upgrade`, which has the same arguments."""
    if isinstance(subprotocols, str) or isinstance(origins, str):
        raise TypeError("subprotocols and origins are lists of names, not one name")
    for name in subprotocols:
        if not is_token(name):
            raise ValueError(f"{name!r} cannot be the name of a subprotocol: use letters, digits, '.' and '-'")
    response = request.response
    if response.committed() or response.byte_count():
        raise IncorrectUse("upgrade() comes too late: something has been written. Reset the response first")
    _check(request, origins or ())
    subprotocol, codec, lines = _negotiate(request, subprotocols, compression)
    leave = _Leave()
    head = response.switch_protocols(
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        + header_line("Sec-WebSocket-Accept", accept_key(request.headers["sec-websocket-key"]))
        + lines
    )
    stream, data = request.detach(leave)
    stream.peername()  # which remembers it: the access log asks when the client is gone
    try:
        stream.write(head, write_timeout)
    except NetError:
        stream.close()
        raise
    websocket = WebSocket(
        stream,
        data=data,
        subprotocol=subprotocol,
        codec=codec,
        max_size=max_size,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        write_timeout=write_timeout,
    )
    leave.bind(websocket)
    return websocket


class _Leave:
    """What the server calls when it stops. It does not keep the WebSocket alive that nobody else wants."""

    def __init__(self) -> None:
        self._told = False
        self._websocket: weakref.ref[WebSocket] | None = None

    def __call__(self) -> None:
        self._told = True
        websocket = None if self._websocket is None else self._websocket()
        if websocket is not None:
            websocket.go_away()

    def bind(self, websocket: WebSocket) -> None:
        self._websocket = weakref.ref(websocket)
        if self._told:
            websocket.go_away()


def _check(request: Request, origins: Collection[str]) -> None:
    headers = request.headers
    fault = handshake_fault(request.method, request.message.http11, headers)
    if fault is not None:
        _refuse(request, *fault)
    if request.message.length != 0:
        _refuse(request, 400, "A request that becomes a WebSocket has no body.")
    found = headers.get_all("origin")
    if not found:
        return  # not a browser: whoever is no browser can claim any origin anyway
    scheme = "https" if request.is_secure() else "http"
    if len(found) > 1 or not is_own_origin(found[0], scheme, request.host(), origins):
        # RFC 6455 10.2. Cookies go along with a WebSocket from any page, and no same-origin rule protects it.
        _log.warning(
            "%s: a page of %r may not open a WebSocket of %s://%s%s; list it in origins= if it may, and where a proxy "
            "ends TLS see the setting trusted_proxies",
            request.peername()[0], ", ".join(found), scheme, request.host(), request.path,
        )  # fmt: skip
        _refuse(request, 403, "Pages of this origin may not open a WebSocket here.")


def _negotiate(
    request: Request, subprotocols: Sequence[str], compression: bool | Deflate
) -> tuple[str | None, Codec | None, bytes]:
    headers = request.headers
    lines: list[bytes] = []
    codec: Codec | None = None
    try:
        subprotocol = choose_subprotocol(headers.get_all("sec-websocket-protocol"), subprotocols)
        if compression is not False:
            settings = Deflate() if compression is True else compression
            agreed = negotiate(headers.get_all("sec-websocket-extensions"), settings)
            if agreed is not None:
                value, codec = agreed
                lines.append(header_line("Sec-WebSocket-Extensions", value))
    except ValueError as error:
        _refuse(request, 400, f"{error}.")
    if subprotocol is not None:
        lines.append(header_line("Sec-WebSocket-Protocol", subprotocol))
    return subprotocol, codec, b"".join(lines)


def _refuse(request: Request, status: int, words: str) -> NoReturn:
    response = request.response
    response.send_error(status, words)
    if status == 405:
        response.set_header("Allow", "GET")
    elif status == 426:  # RFC 9110 15.5.22, RFC 6455 4.4
        response.set_header("Upgrade", "websocket")
        response.set_header("Sec-WebSocket-Version", VERSION)
    response.abort()
