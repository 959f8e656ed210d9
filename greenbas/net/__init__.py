"""Sockets: the socket API in its three modes, `Stream`, the transport below all of it, and `Listener`."""

from importlib import import_module as _import
from typing import Any as _Any

from greenbas.codec.byteorder import fh2n, fn2h, h2n, n2h
from greenbas.net import handback, pipe
from greenbas.net.api import bind, connect, event, http2sock, req2sock, sock2req, stat, udpcon
from greenbas.net.coroutine import getsock, join
from greenbas.net.filesend import read_piece, send_file
from greenbas.net.listener import Listener
from greenbas.net.resolver import resolve, toip
from greenbas.net.socket import Socket
from greenbas.net.stream import Buffer, Channel, Stream

__all__ = [
    "Buffer",
    "Channel",
    "Deflate",
    "Listener",
    "Socket",
    "Stream",
    "WebSocket",
    "bind",
    "connect",
    "event",
    "fh2n",
    "fn2h",
    "getsock",
    "h2n",
    "handback",
    "http2sock",
    "join",
    "n2h",
    "pipe",
    "read_piece",
    "req2sock",
    "resolve",
    "send_file",
    "sock2req",
    "stat",
    "tls",
    "toip",
    "udpcon",
]

# Imported at first use: their libraries take some 50 ms each.
_LATER = {
    "Deflate": "greenbas.protocol.websocketdeflate",
    "WebSocket": "greenbas.net.websocket",
    "tls": "greenbas.net.tls",
}


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import(_LATER[name])
    return getattr(module, name, module)
