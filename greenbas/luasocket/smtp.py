"""Sending mail (LuaSocket ``socket.smtp`` with what BAS adds).

TIMEOUT, SERVER, PORT, DOMAIN and ZONE may be set by programs; each call looks at them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from greenbas.luasocket import esmtp, smtpmessage, socket, tp
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import Source
from greenbas.luasocket.smtpsession import Session

__all__ = [
    "DOMAIN",
    "PORT",
    "SERVER",
    "TIMEOUT",
    "TLS_PORT",
    "ZONE",
    "Session",
    "extensions",
    "help",
    "message",
    "open",
    "send",
]

TIMEOUT = 60.0  # seconds for each call
SERVER = "localhost"
PORT = 25
TLS_PORT = 465  # for TLS from the first byte (RFC 8314 7.3)
DOMAIN = os.environ.get("SERVER_NAME") or "localhost"  # our own name
ZONE = smtpmessage.ZONE

Mail = Mapping[str, Any]
Done = tuple[int | None, str | None]


def open(
    server: str | bytes | None = None, port: int | str | None = None, create: Callable[[], Any] | None = None
) -> Session:
    """Connect to a mail server (``smtp.open``).

    Args:
        server: name or address; SERVER unless given.
        port: PORT unless given.
        create: makes the socket.

    Returns:
        The session; its steps raise what `socket.protect` catches, as this function does when it fails.
    """
    connected = tp.connect(server or SERVER, port or PORT, TIMEOUT, create)
    return Session(socket.try_(connected)[0], DOMAIN)


def message(mesgt: Mapping[str, Any]) -> Source:
    """Make a message a source (``smtp.message``).

    Args:
        mesgt: ``headers``, a dict, and ``body``: bytes or str; a source or an iterator of bytes; or parts, each like
            `mesgt`, in a list, or in a dict with the keys 1, 2, ... and perhaps ``preamble`` and ``epilogue``. Names of
            headers may be in any case. ``zone`` stands behind the date, else ZONE.

    Returns:
        The source. Date, X-Mailer and the content type are added unless given, MIME-Version always. Header values of
        type str are sent as UTF-8. An error of a source in it, and OSError, is the error of this one.

    Raises:
        TypeError: a body or a part is of no kind that can be sent.
        ValueError: a header name or value is malformed, by CR, LF or NUL in it for example.
    """
    return smtpmessage.message(mesgt, socket._VERSION, ZONE)


def send(mailt: Mail) -> Done:
    """Send a mail (``smtp.send``).

    Args:
        mailt: a dict with

            - ``from`` (str or bytes): the sender, ``<a@b>``
            - ``rcpt`` (one or a list): the recipients, alike
            - ``source``: the message, from `message` mostly; a source, an iterable of bytes, or bytes
            - ``server``, ``port``, ``domain``, ``create``, ``step``: instead of the defaults
            - ``user``, ``password``: for AUTH; left away when one of them lacks
            - ``tls``, BAS's ``shark`` too: a TLS client context, or True for the default one: TLS from the first byte,
              on port TLS_PORT unless given
            - ``starttls``: True: TLS by STARTTLS, or no mail at all; "opportunistic": in clear if the server does not
              offer it, as BAS does with True
            - ``servername``: the name in the server's certificate, if it is not ``server``
            - ``size`` (bytes), ``8bit``, ``deliverby`` (seconds), ``dsn`` (dict of ``notify``, ``ret``, ``id``): asked
              for where the server has the extension

    Returns:
        ``(1, None)`` once the server has taken the mail, or ``(None, err)``: the server's words, "timeout", "closed".

    Raises:
        TypeError: the source is none.
        ValueError: sender or recipient lacks, or an address holds CR, LF or NUL.
    """
    if not mailt.get("from"):
        raise ValueError("Sender (from) is required")
    if not mailt.get("rcpt"):
        raise ValueError("Recipient (rcpt) is required")
    as_source(mailt.get("source"))

    def transaction(session: Session) -> int:
        session.send(mailt)
        # The mail is taken, whatever comes now; a failure here would make the caller send it twice.
        session.tp.command("QUIT")
        session.tp.check("2..")
        return session.close()

    return _within(mailt, transaction)


def help(mailt: Mail) -> tuple[str | None, str | None]:
    """Ask a server for its help text (BAS ``smtp.help``).

    Args:
        mailt: the fields of `send` that tell how to connect.

    Returns:
        ``(text, None)`` or ``(None, err)``.
    """
    return _within(mailt, lambda session: _last(session, session.help()))


def extensions(mailt: Mail) -> tuple[dict[str, bool | int | str] | None, str | None]:
    """Ask a server for its extensions (BAS ``smtp.extensions``).

    Args:
        mailt: the fields of `send` that tell how to connect.

    Returns:
        ``(keywords, None)``: in upper case, each with True, its number, or the text behind it; or ``(None, err)``.
    """
    return _within(mailt, lambda session: _last(session, esmtp.keywords(session.greeting)))


def _last(session: Session, result: Any) -> Any:
    session.quit()
    session.close()
    return result


def _within(mailt: Mail, job: Callable[[Session], Any]) -> tuple[Any, str | None]:
    """Connect, secure the connection, log in, do the job; nothing stays open."""

    def run() -> tuple[Any, None]:
        context = mailt.get("tls") or mailt.get("shark")
        implicit = bool(context) and not mailt.get("starttls")
        port = mailt.get("port") or (TLS_PORT if implicit else PORT)
        session = open(mailt.get("server"), port, mailt.get("create"))
        try:
            greeting = _secured(session, mailt, None if context is True else context, implicit)
            session.auth(mailt.get("user"), mailt.get("password"), greeting)
            return job(session), None
        except BaseException:
            session.close()
            raise

    return socket.protect(run)()  # type: ignore[no-any-return]


def _secured(session: Session, mailt: Mail, context: Any, implicit: bool) -> str:
    name = mailt.get("servername")
    if implicit:
        session.upgrade(context, name)
    greeting = session.greet(mailt.get("domain"))
    wanted = mailt.get("starttls")
    if not wanted:
        return greeting
    if "STARTTLS" in esmtp.keywords(greeting):
        return session.starttls(mailt.get("domain"), context, name)
    if wanted != "opportunistic":
        # BAS goes on in clear here, and whoever sits in between can make it do so.
        session.try_(None, "the server does not offer STARTTLS")
    return greeting
