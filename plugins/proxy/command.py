"""``greenbas proxy``: a server that is nothing but a reverse proxy."""

from __future__ import annotations

import argparse
from pathlib import Path

from greenbas import Server
from greenbas.errors import SettingError
from greenbas.limits import raise_descriptor_limit
from greenbas.logs import LOG_STYLES
from greenbas.vfs import Directory
from greenbas_plugins.proxy.redirector import redirector

__all__ = ["main", "make_server"]

PORT = 9357


def main(arguments: list[str]) -> int:
    """Run the command.

    Args:
        arguments: behind ``greenbas proxy``.
    """
    options = _parser().parse_args(arguments)
    raise_descriptor_limit()
    server = make_server(options)
    if options.tls_port is not None:
        from greenbas.tlsport import make_tls

        server.listen(options.tls_port, host=options.host, tls=make_tls(options.cert, options.key, options.host))
    if options.tls_port is None or options.port is not None:
        server.listen(PORT if options.port is None else options.port, host=options.host)
    server.serve_forever(options.log)
    return 0


def make_server(options: argparse.Namespace) -> Server:
    """The server with its proxies.

    Args:
        options: as of the command line: `backends`, `trust`, `rewrite_links`, `host_header`, `ca`.

    Raises:
        SettingError: a backend or an address that is none.
    """
    server = Server(trusted_proxies=tuple(options.trust))
    places: dict[str, list[str]] = {}
    for backend in options.backends:
        prefix, url = _split(backend)
        places.setdefault(prefix, []).append(url)
    for prefix, urls in places.items():
        *parents, last = prefix.split("/")
        made = redirector(
            last or None,
            priority=0 if last else -1,
            to=tuple(urls),
            rewrite_links=options.rewrite_links,
            host=options.host_header,
            ca=options.ca,
        )
        _place(server.root, parents).insert(made)
    return server


def _split(backend: str) -> tuple[str, str]:
    prefix, equals, url = backend.partition("=")
    if not equals or ":" in prefix:  # the "=" is one of the URL
        return "", backend
    prefix = prefix.strip("/")
    if any(segment in ("", ".", "..") for segment in prefix.split("/")) and prefix:
        raise SettingError(
            f"{backend!r:.80}: {prefix!r} is no path: write PREFIX=URL, such as /shop=http://127.0.0.1:8000"
        )
    return prefix, url


def _place(root: Directory, segments: list[str]) -> Directory:
    for segment in segments:
        found = next((one for one in root.children if one.name() == segment and type(one) is Directory), None)
        if found is None:
            found = Directory(segment)
            root.insert(found)
        root = found
    return root


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="greenbas proxy", description="A reverse proxy in front of other servers.")
    parser.add_argument(
        "backends",
        nargs="+",
        metavar="[PREFIX=]URL",
        help="http://host:port, https://host or unix:/path; several with one PREFIX share its requests",
    )
    parser.add_argument(
        "--trust", action="append", default=[], metavar="ADDRESS", help="a proxy in front of this one, or their network"
    )
    parser.add_argument("--rewrite-links", action="store_true", help="change the backends' absolute URLs in HTML")
    parser.add_argument(
        "--host-header", default="keep", metavar="HOST", help="what backends see: 'keep' (default), 'backend', a name"
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="whose certificates https backends have (PEM)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; '' for all (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help=f"port to listen on (default {PORT}; none with --tls-port)")
    parser.add_argument("--tls-port", type=int, help="port for HTTPS")
    parser.add_argument("--cert", action="append", default=[], metavar="FILE", help="certificate and chain (PEM)")
    parser.add_argument("--key", action="append", default=[], metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--log", choices=LOG_STYLES, default="text", help="of requests and events (default text)")
    return parser
