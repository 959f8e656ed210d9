"""File transfer by FTP (LuaSocket ``socket.ftp``).

TIMEOUT, PORT, USER and PASSWORD may be set by programs; each call looks at them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from greenbas.luasocket import socket, tp, url
from greenbas.luasocket.ftpsession import Session
from greenbas.luasocket.ltn12 import sink
from greenbas.luasocket.ltn12.iterators import as_source

__all__ = ["PASSWORD", "PORT", "TIMEOUT", "USER", "Session", "command", "genericform", "get", "open", "put"]

TIMEOUT = 60.0  # seconds for each call
PORT = 21
USER = "ftp"
PASSWORD = "anonymous@anonymous.org"  # what servers for everybody ask for; they like a mail address

Table = Mapping[str, Any]
Job = Callable[[Session, dict[str, Any]], Any]


def open(server: str | bytes, port: int | str | None = None, create: Callable[[], Any] | None = None) -> Session:
    """Connect to a server (``ftp.open``).

    Args:
        server: name or address.
        port: PORT unless given.
        create: makes the socket of the control connection.

    Returns:
        The session; its steps raise what `socket.protect` catches, as this function does when it fails.
    """
    connected = tp.connect(server, port or PORT, TIMEOUT, create)
    return Session(socket.try_(connected)[0], TIMEOUT)


def genericform(address: str | bytes) -> dict[str, Any]:
    """Make the table that a URL stands for (``ftp.genericform``).

    Args:
        address: ``ftp://user:password@host:port/path;type=a``; user and password are unescaped.

    Returns:
        The parts of the URL, and ``type``. What is wrong with it is raised for `socket.protect`.
    """
    table: dict[str, Any] = socket.try_(url.parse(address, {"path": "/", "scheme": "ftp"}))[0]
    if table["scheme"] != "ftp":
        socket.try_(None, f"wrong scheme '{table['scheme']}'")
    if not table.get("host"):
        socket.try_(None, "missing hostname")
    _unescape(table)
    if "params" in table:
        kind = table["params"].removeprefix("type=")
        if kind not in ("a", "i") or not table["params"].startswith("type="):
            socket.try_(None, f"invalid type '{kind}'")
        table["type"] = kind
    return table


def _unescape(table: dict[str, Any]) -> None:
    for name in ("user", "password"):
        if table.get(name) is not None:
            table[name] = url.unescape(table[name])


def _override(table: Table) -> dict[str, Any]:
    if not table.get("url"):
        return dict(table)
    parts: dict[str, Any] = socket.try_(url.parse(table["url"]))[0]
    _unescape(parts)
    return parts | dict(table)


def get(gett: str | bytes | Table) -> tuple[Any, str | None]:
    """Fetch a file (``ftp.get``).

    Args:
        gett: a URL, or a dict with ``host``, ``port``, ``user``, ``password``, ``path`` or ``argument``, ``type`` ("a",
            "i"), ``command`` (RETR), ``sink``, ``step``, ``create``; ``url`` for what these leave open.

    Returns:
        ``(data, None)`` for a URL, ``(1, None)`` for a dict, or ``(None, err)``.

    Raises:
        ValueError: there is CR, LF or NUL in what is sent to the server.
    """
    take, chunks = sink.table()

    def transfer(session: Session, table: dict[str, Any]) -> int:
        session.passive()
        return session.receive(table)

    if not isinstance(gett, str | bytes):
        return _guarded(lambda: _override(gett), transfer)
    done, error = _guarded(lambda: genericform(gett) | {"sink": take}, transfer)
    return (None, error) if done is None else (b"".join(chunks), None)


def put(putt: str | bytes | Table, body: Any = None) -> tuple[int | None, str | None]:
    """Store a file (``ftp.put``).

    Args:
        putt: a URL, or a dict as for `get`, with ``source`` instead of the sink and STOR as ``command``.
        body: with a URL: the data, or a source or an iterable of them.

    Returns:
        The number of bytes sent, and None; or ``(None, err)``.

    Raises:
        TypeError: there is no source.
        ValueError: there is CR, LF or NUL in what is sent to the server.
    """

    def transfer(session: Session, table: dict[str, Any]) -> int:
        session.passive()
        return session.send(table)

    if isinstance(putt, str | bytes):
        content = as_source(body)
        return _guarded(lambda: genericform(putt) | {"source": content}, transfer)
    as_source(putt.get("source"))
    return _guarded(lambda: _override(putt), transfer)


def command(cmdt: Table) -> tuple[int | None, str | None]:
    """Have a server do something that transfers no file (``ftp.command``).

    Args:
        cmdt: a dict with ``command`` and ``argument``, one or as many of each in lists, and ``check``: the codes that
            are right, see `tp.Transport.check`; where it lacks, those from 200 to 399. ``host``, ``port``, ``user``,
            ``password``, ``create`` and ``url`` as for `get`.

    Returns:
        ``(1, None)`` or ``(None, err)``.

    Raises:
        ValueError: there is CR, LF or NUL in what is sent to the server.
    """

    def run(session: Session, table: dict[str, Any]) -> int:
        if not isinstance(table["command"], list | tuple):
            session.ask(table.get("check") or ["2..", "3.."], table["command"], table.get("argument"))
            return 1
        arguments, checks = table.get("argument") or [], table.get("check") or []
        for number, one in enumerate(table["command"]):
            session.ask(_nth(checks, number) or ["2..", "3.."], one, _nth(arguments, number))
        return 1

    def table() -> dict[str, Any]:
        made = _override(cmdt)
        if not made.get("command"):
            socket.try_(None, "missing command")
        return made

    return _guarded(table, run)


def _nth(values: Any, number: int) -> Any:
    return values[number] if number < len(values) else None


def _guarded(make: Callable[[], dict[str, Any]], job: Job) -> tuple[Any, str | None]:
    """Connect, log in, do the job, and leave; nothing stays open."""

    def run() -> tuple[Any, None]:
        table = make()
        if not table.get("host"):
            socket.try_(None, "missing hostname")
        session = open(table["host"], table.get("port"), table.get("create"))
        try:
            session.greet()
            session.login(table.get("user") or USER, table.get("password") or PASSWORD)
            if table.get("type"):
                session.type(table["type"])
            result = job(session, table)
            # The file is there, whatever comes now.
            session.tp.command("QUIT")
            session.tp.check("2..")
            return result, None
        finally:
            session.close()

    return socket.protect(run)()  # type: ignore[no-any-return]
