"""Commands and replies of SMTP and FTP: one transport for both (LuaSocket ``socket.tp``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from greenbas.luasocket import socket
from greenbas.luasocket.ltn12 import pump
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import Pumped, Source, Step, as_chunk, truth

__all__ = ["TIMEOUT", "Transport", "connect"]

TIMEOUT = 60.0  # seconds for each call, unless `connect` is told otherwise
# A reply is for people and programs to read. Servers that list their extensions need some kilobytes; more than this is
# no reply but a way to fill memory.
REPLY_SIZE = 256 * 1024  # bytes

_CODE = re.compile(r"([0-9]{3})(.?)", re.DOTALL)
_BREAKING = re.compile(rb"[\r\n\0]")
_CLASSES = {"d": "[0-9]", "a": "[A-Za-z]", "w": "[0-9A-Za-z]", "s": r"\s", "x": "[0-9A-Fa-f]"}

# A pattern or number, several, or a function of code and text whose result is that of the check.
Expected = str | int | list[Any] | tuple[Any, ...] | Callable[[int, str], Any]


def connect(
    host: str | bytes, port: int | str, timeout: float | None = None, create: Callable[[], Any] | None = None
) -> tuple[Transport | None, str | None]:
    """Connect to a server (``tp.connect``).

    Args:
        host: name or address.
        port: its port.
        timeout: seconds for each call; TIMEOUT unless given.
        create: makes the socket, `socket.tcp` unless given; has to have the methods of one.

    Returns:
        ``(transport, None)`` or ``(None, err)``.
    """
    made = (create or socket.tcp)()
    control, error = made if isinstance(made, tuple) else (made, None)
    if control is None:
        return None, error
    try:
        control.settimeout(TIMEOUT if timeout is None else timeout)
        connected, error = control.connect(host, port)[:2]
    except BaseException:
        control.close()
        raise
    if not truth(connected):
        control.close()
        return None, error
    return Transport(control), None


def line_safe(text: Any, function: str, number: int) -> bytes:
    """Take text that becomes part of a command.

    Args:
        text: str, bytes or number.
        function: who was given it, for the message.
        number: which argument it was.

    Returns:
        The bytes.

    Raises:
        ValueError: it holds CR, LF or NUL, and would become another command. It is not shown, as it may be a password.
    """
    octets = as_chunk(text)
    if _BREAKING.search(octets):
        raise ValueError(f"bad argument #{number} to '{function}' (it holds CR, LF or NUL)")
    return octets


class Transport:
    """A connection for commands and replies; calls have LuaSocket's results.

    Args:
        control: a connected socket, which the transport owns from here.
    """

    def __init__(self, control: Any) -> None:
        self._control = control

    def check(self, ok: Expected) -> tuple[Any, Any]:
        """Read a reply and compare its code (``tp:check``, RFC 5321 4.2, RFC 959 4.2).

        Args:
            ok: a pattern such as "2..", a number, several of them, or a function of code and text.

        Returns:
            ``(code, text)``, lines of text joined by LF, with their codes; ``(None, text)`` when the code is another,
            ``(None, err)`` when no reply came; for a function what it returns.
        """
        code, text = self._reply()
        if code is None:
            return None, text
        if callable(ok):
            result = ok(int(code), text)
            return result if isinstance(result, tuple) else (result, None)
        if any(_matches(code, one) for one in (ok if isinstance(ok, list | tuple) else (ok,))):
            return int(code), text
        return None, text

    def _reply(self) -> tuple[str | None, str]:
        lines: list[str] = []
        code, size = "", 0
        while True:
            line, error, _ = self._control.receive("*l")
            if error:
                return None, error
            size += len(line) + 2
            text = line.decode("utf-8", "surrogateescape")
            match = _CODE.match(text)
            if not lines:
                if match is None:
                    return None, "invalid server reply"
                code = match[1]
            lines.append(text)
            # The first line and all but the last one have "-" behind the code; lines between may have no code at all.
            last = match is not None and match[1] == code and match[2] in ("", " ")
            if last or (len(lines) == 1 and match is not None and match[2] != "-"):
                return code, "\n".join(lines)
            if size > REPLY_SIZE:
                return None, "invalid server reply"

    def command(self, cmd: str | bytes, arg: Any = None) -> tuple[int | None, str | None]:
        """Send a command (``tp:command``).

        Args:
            cmd: sent in upper case.
            arg: sent behind it.

        Returns:
            ``(1, None)`` or ``(None, err)``.

        Raises:
            ValueError: one holds CR, LF or NUL.
        """
        line = line_safe(cmd, "command", 1).upper()
        if arg is not None:
            line += b" " + line_safe(arg, "command", 2)
        return self.send(line + b"\r\n")

    def credentialcmd(self, text: str | bytes) -> tuple[int | None, str | None]:
        """Send a line as it is, such as encoded credentials (BAS ``tp:credentialcmd``).

        Raises:
            ValueError: it holds CR, LF or NUL.
        """
        return self.send(line_safe(text, "credentialcmd", 1) + b"\r\n")

    def send(self, data: Any) -> tuple[int | None, str | None]:
        """Send data as they are (``tp:send``).

        Returns:
            The number of bytes, and None; or ``(None, err)``.
        """
        sent, error, _ = self._control.send(data)
        return sent, error

    def receive(self, pattern: str | int = "*l") -> tuple[bytes | None, str | None, bytes | None]:
        """Receive as the socket does (``tp:receive``)."""
        return self._control.receive(pattern)  # type: ignore[no-any-return]

    def source(self, source: Source | Iterable[bytes], step: Step | None = None) -> Pumped:
        """Send all that a source gives (``tp:source``).

        Args:
            source: a source, an iterable of bytes, or bytes.
            step: moves one chunk.

        Returns:
            ``(1, None)`` or ``(None, err)``.
        """
        return pump.all(as_source(source), socket.sink("keep-open", self._control), step)

    def sink(self, sink: Callable[..., Any], pattern: str | int = "*l") -> Any:
        """Receive once and give it to a sink (``tp:sink``).

        Returns:
            What the sink returns.
        """
        chunk, error, _ = self._control.receive(pattern)
        return sink(chunk, error)

    def upgrade(self, context: Any = None, server_name: str | None = None) -> tuple[int | None, str | None]:
        """Go on with TLS (BAS ``tp:upgrade``).

        Args:
            context: a client context; the default one, which verifies the server, unless given.
            server_name: the name that the certificate has to have; that of `connect` unless given.

        Returns:
            ``(1, None)`` or ``(None, err)``.
        """
        if self._control.dirty():
            # Sent in clear by somebody, and would be taken for what the server says under TLS (CVE-2011-0411).
            return None, "data before the TLS handshake"
        done, error = self._control.upgrade(context, server_name)[:2]
        return done, error

    def getcontrol(self) -> Any:
        """Return the socket (``tp:getcontrol``)."""
        return self._control

    def getfd(self) -> int:
        """Return the socket's descriptor, for `socket.select`."""
        return int(self._control.getfd())

    def dirty(self) -> bool:
        """Say whether received data wait to be read, for `socket.select`."""
        return bool(self._control.dirty())

    def getpeername(self) -> Any:
        """Return the server's address, as the socket does."""
        return self._control.getpeername()

    def getsockname(self) -> Any:
        """Return our own address, as the socket does (LuaSocket returns the server's by mistake)."""
        return self._control.getsockname()

    def close(self) -> int:
        """Close the socket; returns 1."""
        self._control.close()
        return 1


def _matches(code: str, pattern: Any) -> bool:
    """Whether a pattern of Lua, or a number, is found in a code."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else str(pattern)
    regex = re.sub(r"%(.)", lambda match: _CLASSES.get(match[1], re.escape(match[1])), text)
    try:
        return re.search(regex, code) is not None
    except re.error:
        raise ValueError(f"bad argument #1 to 'check' (malformed pattern {text!r})") from None
