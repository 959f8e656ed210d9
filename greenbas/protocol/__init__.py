"""The wire, as pure code: bytes and values in, bytes and values out. Nothing here waits or knows a socket."""

from greenbas.protocol.chunked import ChunkedBody
from greenbas.protocol.cookies import Cookie, parse_cookies
from greenbas.protocol.dates import http_date, parse_http_date
from greenbas.protocol.forwarded import Networks, client_address, parse_networks, trusts
from greenbas.protocol.head import HeadParser, ReaderLimits
from greenbas.protocol.headers import RequestHeaders, header_line, is_token
from greenbas.protocol.http1 import RequestReader
from greenbas.protocol.message import Message
from greenbas.protocol.mime import content_type, guess_type
from greenbas.protocol.status import reason

__all__ = [
    "ChunkedBody",
    "Cookie",
    "HeadParser",
    "Message",
    "Networks",
    "ReaderLimits",
    "RequestHeaders",
    "RequestReader",
    "client_address",
    "content_type",
    "guess_type",
    "header_line",
    "http_date",
    "is_token",
    "parse_cookies",
    "parse_http_date",
    "parse_networks",
    "reason",
    "trusts",
]
