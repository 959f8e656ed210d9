"""Commands and replies."""

from __future__ import annotations

from typing import Any

import pytest
from leaks import nothing_left
from scripted import dialogue, scripted

from greenbas.luasocket import ltn12, socket, tp


def connected(port: int, timeout: float = 5) -> tp.Transport:
    transport, error = tp.connect("127.0.0.1", port, timeout)
    assert error is None and transport is not None
    return transport


@pytest.mark.parametrize(
    ("reply", "ok", "result"),
    [
        (b"220 ready\r\n", "2..", (220, "220 ready")),
        (b"220 ready\r\n", 220, (220, "220 ready")),
        (b"220 ready\r\n", b"220", (220, "220 ready")),
        (b"220 ready\r\n", ["1..", 220], (220, "220 ready")),
        (b"220 ready\r\n", "%d2", (220, "220 ready")),
        (b"220 ready\r\n", "[13]..", (None, "220 ready")),
        (b"220 ready\n", "2..", (220, "220 ready")),
        (b"220\r\n", "2..", (220, "220")),
        (b"550 no\r\n", "2..", (None, "550 no")),
        (b"550 no\r\n", ["1..", "2.."], (None, "550 no")),
        (b"250-a\r\n250-b\r\n250 c\r\n", "2..", (250, "250-a\n250-b\n250 c")),
        (b"250-a\r\n250\r\n", "2..", (250, "250-a\n250")),
        (b"211-Features\r\n UTF8\r\n999 x\r\n211 End\r\n", "211", (211, "211-Features\n UTF8\n999 x\n211 End")),
        (b"220 gr\xc3\xbcn \xff\r\n", "2..", (220, "220 grün \udcff")),
        (b"hello\r\n", "2..", (None, "invalid server reply")),
        (b"\r\n", "2..", (None, "invalid server reply")),
        (b"22", "2..", (None, "closed")),
        (b"250-a\r\n25", "2..", (None, "closed")),
        (b"", "2..", (None, "closed")),
        (b"250-x\r\n" * 50_000, "2..", (None, "invalid server reply")),
    ],
)
def test_check(reply: bytes, ok: Any, result: Any) -> None:
    with scripted(lambda server: server.send(reply)) as server:
        transport = connected(server.port)
        assert transport.check(ok) == result
        assert transport.close() == 1


def test_check_with_a_function() -> None:
    with scripted(lambda server: server.send(b"250 fine\r\n251 fine\r\n")) as server:
        transport = connected(server.port)
        assert transport.check(lambda code, text: (code + 1, text.upper())) == (251, "250 FINE")
        assert transport.check(lambda code, text: None) == (None, None)
        transport.close()


def test_a_malformed_pattern() -> None:
    with scripted(lambda server: server.send(b"250 fine\r\n")) as server:
        transport = connected(server.port)
        with pytest.raises(ValueError, match="malformed pattern"):
            transport.check("[")
        transport.close()


def test_a_reply_that_does_not_come() -> None:
    with scripted(lambda server: server.rest()) as server, nothing_left():
        transport = connected(server.port, timeout=0.05)
        assert transport.check("2..") == (None, "timeout")
        transport.close()


def test_what_is_sent() -> None:
    with scripted(lambda server: server.rest()) as server:
        transport = connected(server.port)
        assert transport.command("ehlo", "me.example") == (17, None)
        assert transport.command("noop")[1] is None
        assert transport.command("type", 7)[1] is None
        assert transport.credentialcmd(b"abCD==")[1] is None
        assert transport.source([b"a", b"b"]) == (1, None)
        assert transport.send(b"raw")[1] is None
        transport.close()
        assert server.said() == [b"EHLO me.example\r\nNOOP\r\nTYPE 7\r\nabCD==\r\nabraw"]


@pytest.mark.parametrize("bad", ["a\r\nQUIT", "a\nb", "a\rb", b"a\0b"])
def test_a_command_is_one_line(bad: Any) -> None:
    with scripted(lambda server: server.rest()) as server:
        transport = connected(server.port)
        with pytest.raises(ValueError, match="holds CR, LF or NUL") as error:
            transport.command("MAIL", bad)
        assert str(bad) not in str(error.value)
        with pytest.raises(ValueError, match="holds CR, LF or NUL"):
            transport.command(bad)
        with pytest.raises(ValueError, match="holds CR, LF or NUL"):
            transport.credentialcmd(bad)
        transport.close()
        assert server.said() == [b""]


def test_names_of_both_ends() -> None:
    with scripted(dialogue((b"", b"220 hi\r\n"), (b"QUIT", b""))) as server:
        transport = connected(server.port)
        assert transport.getpeername()[:2] == ("127.0.0.1", server.port)
        own = transport.getcontrol().getsockname()
        assert transport.getsockname() == own  # LuaSocket's is the server's
        assert own[1] != server.port
        assert transport.getfd() == transport.getcontrol().getfd() >= 0
        take, chunks = ltn12.sink.table()
        assert transport.sink(take) == (1, None)
        assert chunks == [b"220 hi"]
        assert transport.dirty() is False
        transport.close()


def test_nobody_there() -> None:
    unused = socket.bind("127.0.0.1", 0)[0]
    port = unused.getsockname()[1]
    unused.close()
    with nothing_left():
        assert tp.connect("127.0.0.1", port) == (None, "connection refused")


def test_a_socket_of_ones_own() -> None:
    class Broken:
        closed = False

        def settimeout(self, seconds: float) -> int:
            assert seconds == tp.TIMEOUT
            return 1

        def connect(self, host: str, port: int) -> Any:
            raise KeyError(host)

        def close(self) -> int:
            self.closed = True
            return 1

    made = Broken()
    with pytest.raises(KeyError):
        tp.connect("h", 1, create=lambda: made)
    assert made.closed
    assert tp.connect("h", 1, create=lambda: (None, "no more")) == (None, "no more")
