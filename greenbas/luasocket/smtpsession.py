"""The steps of a mail transaction (LuaSocket ``smtp.open``, RFC 5321)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from greenbas.luasocket import esmtp, mime, socket
from greenbas.luasocket.ltn12 import source
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import Source, Step, as_chunk
from greenbas.luasocket.tp import Transport

__all__ = ["Session"]

_LOGIN = re.compile(r"AUTH[^\n]+LOGIN", re.IGNORECASE)
_PLAIN = re.compile(r"AUTH[^\n]+PLAIN", re.IGNORECASE)


class Session:
    """A connection to a mail server. Each step raises what `socket.protect` turns into ``(None, err)``.

    A step that fails closes the connection first.

    Args:
        tp: the connection, which the session owns from here.
        domain: what EHLO says unless told otherwise.

    Attributes:
        try_: checks a result as `socket.try_` does, and closes the session when it failed.
        greeting: what the server said to EHLO.
    """

    def __init__(self, tp: Transport, domain: str = "localhost") -> None:
        self.tp = tp
        self.try_ = socket.newtry(self.close)
        self._domain = domain
        self.greeting = ""

    def _checked(self, ok: Any) -> tuple[int, str]:
        code, text = self.try_(self.tp.check(ok))
        return code, text

    def _ask(self, ok: Any, cmd: str, arg: Any = None) -> tuple[int, str]:
        self.try_(self.tp.command(cmd, arg))
        return self._checked(ok)

    def greet(self, domain: str | None = None) -> str:
        """Wait for the server's greeting and answer it (``smtp:greet``).

        Args:
            domain: our own name.

        Returns:
            What the server said to EHLO, which names its extensions.
        """
        self._checked("2..")
        return self._ehlo(domain)

    def _ehlo(self, domain: str | None) -> str:
        self.greeting = self._ask("2..", "EHLO", domain or self._domain)[1]
        return self.greeting

    def upgrade(self, context: Any = None, server_name: str | None = None) -> int:
        """Begin with TLS, before the greeting (BAS ``smtp:upgrade``).

        Args:
            context: a TLS client context; the default one, which verifies the server, unless given.
            server_name: the name in its certificate; the one connected to unless given.
        """
        self.try_(self.tp.upgrade(context, server_name))
        return 1

    def starttls(self, domain: str | None = None, context: Any = None, server_name: str | None = None) -> str:
        """Go on with TLS, after `greet` (BAS ``smtp:starttls``, RFC 3207).

        Args:
            domain: our own name.
            context: as for `upgrade`.
            server_name: as for `upgrade`.

        Returns:
            What the server said to the second EHLO; what it said in clear counts no more.
        """
        self._ask("2..", "STARTTLS")
        self.upgrade(context, server_name)
        return self._ehlo(domain)

    def auth(self, user: Any, password: Any, ext: str) -> Any:
        """Log in the way that the server offers: LOGIN, else PLAIN (``smtp:auth``, RFC 4954).

        Args:
            user: without user or password nothing happens.
            password: its password.
            ext: what `greet` returned.
        """
        if not user or not password:
            return 1
        if _LOGIN.search(ext):
            return self.login(user, password)
        if _PLAIN.search(ext):
            return self.plain(user, password)
        return self._fail("authentication not supported")

    def login(self, user: Any, password: Any) -> tuple[int, str]:
        """Log in by AUTH LOGIN (``smtp:login``)."""
        secrets = [b64encode(as_chunk(user)), b64encode(as_chunk(password))]
        self._ask("3..", "AUTH", "LOGIN")
        self.try_(self.tp.credentialcmd(secrets[0]))
        self._secret_check("3..", user, password, *secrets)
        self.try_(self.tp.credentialcmd(secrets[1]))
        return self._secret_check("2..", user, password, *secrets)

    def plain(self, user: Any, password: Any) -> tuple[int, str]:
        """Log in by AUTH PLAIN (``smtp:plain``, RFC 4616).

        Raises:
            ValueError: the user or the password holds NUL.
        """
        name, word = as_chunk(user), as_chunk(password)
        if b"\0" in name + word:
            raise ValueError("bad argument to 'plain' (the user or the password holds NUL)")
        secret = b64encode(b"\0%b\0%b" % (name, word))
        self.try_(self.tp.command("AUTH", b"PLAIN " + secret))
        return self._secret_check("2..", user, password, secret)

    def _secret_check(self, ok: str, *secrets: Any) -> tuple[int, str]:
        """Read a reply; credentials that a server repeats in a refusal are taken out of it."""
        code, text = self.tp.check(ok)
        if code is None:
            self._fail(_without(text, secrets))
        return code, text

    def _fail(self, error: str) -> NoReturn:
        self.try_(None, error)
        raise AssertionError("not reached: try_ raises")

    def mail(self, sender: str | bytes, options: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Begin a transaction (``smtp:mail``).

        Args:
            sender: as in ``<a@b>``; the brackets may be left away.
            options: the fields size, 8bit, deliverby and dsn of a mail; each counts if the server has the extension.

        Raises:
            ValueError: the address holds CR, LF or NUL.
        """
        address = esmtp.path(sender, "mail")
        ext = esmtp.keywords(self.greeting)
        if not address.isascii() and "SMTPUTF8" not in ext:
            self._fail("the server takes no addresses with other letters than ASCII")
        return self._ask("2..", "MAIL", b"FROM:" + address + esmtp.mail_options(address, options or {}, ext))

    def rcpt(self, recipient: str | bytes, options: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Name a recipient (``smtp:rcpt``).

        Args:
            recipient: as in ``<a@b>``; the brackets may be left away.
            options: as for `mail`.

        Raises:
            ValueError: the address holds CR, LF or NUL.
        """
        address = esmtp.path(recipient, "rcpt")
        ext = esmtp.keywords(self.greeting)
        if not address.isascii() and "SMTPUTF8" not in ext:
            self._fail("the server takes no addresses with other letters than ASCII")
        return self._ask("2..", "RCPT", b"TO:" + address + esmtp.rcpt_options(options or {}, ext))

    def data(self, content: Source | Iterable[bytes], step: Step | None = None) -> tuple[int, str]:
        """Send the message (``smtp:data``).

        Args:
            content: a source whose dots are doubled already; when it fails the connection is closed, so that the server
                drops what it got.
            step: moves one chunk.
        """
        self._ask("3..", "DATA")
        self.try_(self.tp.source(content, step))
        self.try_(self.tp.send(b"\r\n.\r\n"))
        return self._checked("2..")

    def send(self, mailt: Mapping[str, Any]) -> None:
        """Send a mail: sender, recipients and message (``smtp:send``).

        Args:
            mailt: see `greenbas.luasocket.smtp.send`. Line ends of the source become CRLF: a bare CR or LF may not be
                sent, and receivers that take one for a line end could be made to see a second mail.
        """
        rcpt = mailt["rcpt"]
        self.mail(mailt["from"], mailt)
        for recipient in rcpt if isinstance(rcpt, list | tuple) else (rcpt,):
            self.rcpt(recipient, mailt)
        filters = (mime.normalize(), mime.stuff())
        self.data(source.chain(as_source(mailt.get("source")), *filters), mailt.get("step"))

    def help(self, cmd: str | None = None) -> str:
        """Ask the server for help (BAS ``smtp:help``).

        Args:
            cmd: about which command; about all unless given.

        Returns:
            Its text.
        """
        return self._ask("2..", "HELP", cmd)[1]

    def quit(self) -> tuple[int, str]:
        """Say good-bye (``smtp:quit``)."""
        return self._ask("2..", "QUIT")

    def close(self) -> int:
        """Close the connection; returns 1."""
        return self.tp.close()


def _without(text: str, secrets: tuple[Any, ...]) -> str:
    for secret in secrets:
        word = as_chunk(secret).decode("utf-8", "surrogateescape")
        if word:
            text = text.replace(word, "***")
    return text
