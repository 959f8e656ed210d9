"""The steps of an FTP transfer (LuaSocket ``ftp.open``, RFC 959 and 2428)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from greenbas.luasocket import socket, url
from greenbas.luasocket.ltn12 import pump
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import Chunk, Pumped, Sink, Source, give
from greenbas.luasocket.tp import Transport

__all__ = ["Session"]

_PASV = re.compile(r"(\d+)\D(\d+)\D(\d+)\D(\d+)\D(\d+)\D(\d+)")
_EPSV = re.compile(r"\((.)(.*?)\1(.*?)\1(\d+)\1\)")

Address = tuple[str, int]


class Session:
    """A connection to an FTP server. Each step raises what `socket.protect` turns into ``(None, err)``.

    A step that fails closes all connections of the session first.

    Args:
        tp: the control connection, which the session owns from here.
        timeout: seconds for each call on a data connection.

    Attributes:
        try_: checks a result as `socket.try_` does, and closes the session when it failed.
    """

    def __init__(self, tp: Transport, timeout: float | None) -> None:
        self.tp = tp
        self.try_ = socket.newtry(self.close)
        self._timeout = timeout
        self._passive: Address | None = None
        self._server: Any = None
        self._data: Any = None

    def ask(self, ok: Any, cmd: Any, arg: Any = None) -> tuple[int, str]:
        """Send a command and check its reply.

        Args:
            ok: see `Transport.check`.
            cmd: the command.
            arg: what stands behind it.

        Returns:
            Code and text of the reply.

        Raises:
            ValueError: there is CR, LF or NUL in the command.
        """
        self.try_(self.tp.command(cmd, arg))
        return self._checked(ok)

    def _checked(self, ok: Any) -> tuple[int, str]:
        code, text = self.try_(self.tp.check(ok))
        return code, text

    def greet(self) -> int:
        """Wait for the server's greeting (``ftp:greet``)."""
        code, _ = self._checked(["1..", "2.."])
        if code < 200:
            self._checked("2..")
        return 1

    def login(self, user: Any, password: Any) -> int:
        """Log in (``ftp:login``).

        Args:
            user: the name.
            password: sent if the server asks for it.
        """
        code, _ = self.ask(["2..", 331], "USER", user)
        if code == 331:
            self.ask("2..", "PASS", password)
        return 1

    def type(self, kind: str) -> int:
        """Choose how data are represented (``ftp:type``).

        Args:
            kind: "a" for text with CRLF, "i" for bytes as they are.
        """
        self.ask(200, "TYPE", kind)
        return 1

    def cwd(self, folder: str) -> int:
        """Change the folder (``ftp:cwd``)."""
        self.ask(250, "CWD", folder)
        return 1

    def pasv(self) -> Address:
        """Have the server listen for the data connection (``ftp:pasv``).

        Returns:
            Address and port that it tells. `send` and `receive` connect to the port, but at the address of the control
            connection: a server behind a translating router does not know its own, and a hostile one could name that of
            somebody else.
        """
        _, reply = self.ask("2..", "PASV")
        match = _PASV.search(reply)
        numbers = [int(number) for number in match.groups()] if match else []
        if not numbers or max(numbers) > 255:
            self.try_(None, reply)
        address, port = ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]
        self._listens(port)
        return address, port

    def epsv(self) -> Address:
        """Have the server listen, over IPv4 or IPv6 (``ftp:epsv``, RFC 2428).

        Returns:
            Address of the control connection, and the port.
        """
        return self._extended(self.ask(229, "EPSV")[1])

    def passive(self) -> Address:
        """Have the server listen, by EPSV, or by PASV if it does not know that."""
        self.try_(self.tp.command("EPSV"))
        code, reply = self._checked(["229", "50."])
        return self._extended(reply) if code == 229 else self.pasv()

    def _extended(self, reply: str) -> Address:
        match = _EPSV.search(reply)
        port = int(match[4]) if match else 0
        if not 0 < port < 65536:
            self.try_(None, "invalid epsv response")
        return self._listens(port)

    def _listens(self, port: int) -> Address:
        self._passive = (self.try_(self.tp.getpeername())[0], port)
        self._close_server()
        return self._passive

    def port(self, address: str | None = None, port: int | None = None) -> int:
        """Have the server connect to us, over IPv4 (``ftp:port``).

        Args:
            address: where somebody listens; without it the session does.
            port: its port.
        """
        if address is None:
            address, port = self._listen()
        high, low = divmod(int(port or 0), 256)
        self._passive = None
        self.ask("2..", "PORT", f"{address.replace('.', ',')},{high},{low}")
        return 1

    def eprt(self, family: int | None = None, address: str | None = None, port: int | None = None) -> int:
        """Have the server connect to us, over IPv4 or IPv6 (``ftp:eprt``, RFC 2428).

        Args:
            family: 1 for IPv4, 2 for IPv6; that of the address unless given.
            address: where somebody listens; without it the session does.
            port: its port.
        """
        if address is None:
            address, port = self._listen()
        self._passive = None
        self.ask("2..", "EPRT", f"|{family or (2 if ':' in address else 1)}|{address}|{port}|")
        return 1

    def _listen(self) -> Address:
        self._close_server()
        own = self.try_(self.tp.getsockname())[0]
        self._server = self.try_(socket.bind(own, 0))[0]
        self._server.settimeout(self._timeout)
        address, port = self.try_(self._server.getsockname())[:2]
        return address, int(port)

    def send(self, sendt: Mapping[str, Any]) -> int:
        """Send a file, after `epsv`, `pasv`, `port` or `eprt` (``ftp:send``).

        Args:
            sendt: ``source``; ``argument``, or ``path``, which is unescaped and loses its first slash; ``command``,
                STOR unless given; ``step``.

        Returns:
            The number of bytes.
        """
        self._passive_connect()
        code, _ = self.ask(["2..", "1.."], sendt.get("command") or "STOR", _argument(sendt))
        self._active_accept()
        count, data = 0, socket.sink("close-when-done", self._data)

        def counted(chunk: Chunk, error: str | None = None) -> Pumped:
            nonlocal count
            if chunk is None and error:
                # A close now would look like the end of the file.
                return None, error
            taken, failure = give(data, chunk, error)
            if taken is not None and chunk is not None:
                count += len(chunk)
            return taken, failure

        self._transfer(as_source(sendt.get("source")), counted, sendt.get("step"))
        if code < 200:
            self._checked("2..")
        self._close_data()
        return count

    def receive(self, recvt: Mapping[str, Any]) -> int:
        """Receive a file, after `epsv`, `pasv`, `port` or `eprt` (``ftp:receive``).

        Args:
            recvt: ``sink``; ``argument``, or ``path``, which is unescaped and loses its first slash; ``command``, RETR
                unless given; ``step``.
        """
        self._passive_connect()
        code, reply = self.ask(["1..", "2.."], recvt.get("command") or "RETR", _argument(recvt))
        sink: Sink = recvt["sink"]
        if code >= 200:  # the reply is all that there is
            self.try_(give(sink, reply.encode("utf-8", "surrogateescape")))
            self.try_(give(sink, None))
            self._close_data()
            return 1
        self._active_accept()
        self._transfer(socket.source("until-closed", self._data), sink, recvt.get("step"))
        self._checked("2..")
        self._close_data()
        return 1

    def _passive_connect(self) -> None:
        if self._passive is None:
            if self._server is None:
                self.try_(None, "need port or pasv first")
            return
        self._data = socket.tcp()
        self._data.settimeout(self._timeout)
        self.try_(self._data.connect(*self._passive))

    def _active_accept(self) -> None:
        if self._passive is None:
            self._data = self.try_(self._server.accept())[0]
            self._data.settimeout(self._timeout)

    def _transfer(self, source: Source, sink: Sink, step: Any) -> None:
        done, error = pump.all(source, sink, step)
        if done is None and error == "closed":
            # The server has given up, and says why on the control connection.
            self._close_data()
            self._checked("2..")
        self.try_(done, error)

    def quit(self) -> int:
        """Say good-bye (``ftp:quit``)."""
        self.ask("2..", "QUIT")
        return 1

    def close(self) -> int:
        """Close all connections; returns 1."""
        self._close_data()
        self._close_server()
        return self.tp.close()

    def _close_data(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()

    def _close_server(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


def _argument(table: Mapping[str, Any]) -> Any:
    if table.get("argument") is not None:
        return table["argument"]
    path = table.get("path") or ""
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else str(path)
    return url.unescape(text[1:] if text[:1] in ("/", "\\") else text) or None
