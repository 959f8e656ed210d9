"""The wire, as pure code: bytes and values in, bytes and values out. Nothing here waits or knows a socket."""

from greenbas.protocol.cookies import Cookie, parse_cookies
from greenbas.protocol.dates import http_date, parse_http_date
from greenbas.protocol.head import HeadParser, ReaderLimits
from greenbas.protocol.headers import RequestHeaders
from greenbas.protocol.http1 import RequestReader
from greenbas.protocol.message import Message
from greenbas.protocol.mime import content_type, guess_type
from greenbas.protocol.status import reason

__all__ = [
    "Cookie",
    "HeadParser",
    "Message",
    "ReaderLimits",
    "RequestHeaders",
    "RequestReader",
    "content_type",
    "guess_type",
    "http_date",
    "parse_cookies",
    "parse_http_date",
    "reason",
]
