"""`Environs`: the environ dictionaries that WSGI applications are called with (PEP 3333, CGI in RFC 3875)."""

from __future__ import annotations

from typing import Any

from greenbas.http import Request
from greenbas.protocol.section import HeaderSection
from greenbas.vfs.wsgierrors import ErrorLog
from greenbas.vfs.wsgifile import FileWrapper
from greenbas.vfs.wsgiinput import NO_BODY, WsgiInput

__all__ = ["Environs", "wsgi_text"]

# What no request changes, and a place for everything that each does: setting it needs no growing then.
_BASE: dict[str, Any] = {
    "REQUEST_METHOD": "",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "",
    "REMOTE_PORT": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": NO_BODY,
    "wsgi.errors": ErrorLog(),
    "wsgi.multithread": True,  # greenlets, but the same rules: the application is called while another call waits
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
    "wsgi.input_terminated": True,  # it ends by itself, also where there is no Content-Length
    "greenbas.request": None,
}
_OWN_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}  # CGI has them without "HTTP_"
_DEFAULT_PORTS = {"http": "80", "https": "443"}
# Sections that differ are kept so many at a time; each is at most as large as a head.
_REMEMBERED = 256


class Environs:
    """Makes environs. What comes from the header section is remembered: clients send the same one again and again."""

    def __init__(self) -> None:
        self._known: dict[HeaderSection, dict[str, Any]] = {}

    def make(self, request: Request, script_name: str, path_info: str) -> dict[str, Any]:
        """The environ of one request.

        Args:
            request: the request.
            script_name: the path of the application, decoded, without a slash at its end.
            path_info: the rest of the path, decoded.
        """
        message = request.message
        section = message.fields
        known = self._known.get(section)
        environ = self._template(request).copy() if known is None else known.copy()
        environ["REQUEST_METHOD"] = message.method
        environ["SCRIPT_NAME"] = script_name if script_name.isascii() else wsgi_text(script_name)
        environ["PATH_INFO"] = path_info if path_info.isascii() else wsgi_text(path_info)
        if not message.http11:
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        if message.query:
            environ["QUERY_STRING"] = message.query.decode("latin-1")
        address, port, _ = request.peername()
        environ["REMOTE_ADDR"] = address
        environ["REMOTE_PORT"] = str(port)
        if message.length != 0:
            environ["wsgi.input"] = WsgiInput(request.stream)
        environ["greenbas.request"] = request
        # An absolute target has a host of its own beside the section's, and a trusted proxy may know better than both.
        secure = request.is_secure()
        if secure or message.authority is not section.host or not section.host or "HTTP_X_FORWARDED_HOST" in environ:
            _set_host(environ, request, secure)
        if not environ["SERVER_NAME"]:  # "Host: :80"; PEP 3333 forbids an empty one
            address, port, ipv6 = request.sockname()
            environ["SERVER_NAME"] = f"[{address}]" if ipv6 else address or "localhost"  # no address: a Unix socket
            environ["SERVER_PORT"] = str(port)
        return environ

    def _template(self, request: Request) -> dict[str, Any]:
        message = request.message
        made = _template_of(message.fields)
        if message.chunks is None:  # a section about a body comes once
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[message.fields] = made
        return made


def wsgi_text(text: str) -> str:
    """Text as PEP 3333 has it: each byte of its UTF-8 form is one character, as if it were latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _template_of(section: HeaderSection) -> dict[str, Any]:
    environ = _BASE.copy()
    for name, value in section.pairs:
        field, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        if "_" in field:
            continue  # in the environ it would look like the field with "-", which a proxy in front may have checked
        key = _OWN_NAMES.get(field) or "HTTP_" + field.upper().replace("-", "_")
        if key in environ:
            text = environ[key] + ("; " if field == "cookie" else ",") + text  # RFC 9110 5.3; RFC 6265 5.4
        environ[key] = text
    if section.host:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = _split(section.host.decode("latin-1").lower(), "80")
    return environ


def _set_host(environ: dict[str, Any], request: Request, secure: bool) -> None:
    scheme = environ["wsgi.url_scheme"] = "https" if secure else "http"
    host = request.host()
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _split(host, _DEFAULT_PORTS[scheme])
    named = request.message.authority or "HTTP_X_FORWARDED_HOST" in environ
    if named and environ.get("HTTP_HOST", "").lower() != host:
        environ["HTTP_HOST"] = host  # of which applications make URLs, before they look at SERVER_NAME


def _split(host: str, default_port: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, default_port
    return name, port or default_port
