"""Files to and from a real FTP server in a process of its own, and scripts that misbehave."""

from __future__ import annotations

import contextlib
import socket as stdlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from ftpserver import PASSWORD, USER
from gevent.event import Event
from leaks import nothing_left
from scripted import Conversation, dialogue, program, scripted

from greenbas.luasocket import ftp, ltn12, socket, url

TESTS = Path(__file__).parent.parent
SECONDS = 10.0
LOGIN = f"{USER}:{url.escape(PASSWORD)}"
# What a server makes of CR and LF depends on the type; this is the same in both.
DATA = bytes(code for code in range(256) if code not in b"\r\n") * 2000
LINES = b"one\rtwo\nthree\r\n" * 100


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[int]:
    with program(TESTS / "ftpserver.py", str(folder), *options) as (port, _):
        yield port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("ftp")
    (found / "data.bin").write_bytes(DATA)
    (found / "lines.bin").write_bytes(LINES)
    (found / "with space;type").write_bytes(b"odd")
    (found / "sub").mkdir()
    (found / "sub" / "lines.txt").write_bytes(b"one\r\ntwo\r\n")
    return found


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running(folder) as found:
        yield found


# -- a real server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("data.bin", DATA),
        ("data.bin;type=i", DATA),
        ("lines.bin;type=i", LINES),
        ("sub/lines.txt;type=a", b"one\r\ntwo\r\n"),
        ("with%20space%3btype", b"odd"),
    ],
)
@pytest.mark.parametrize("login", ["", f"{LOGIN}@"])
def test_get(port: int, login: str, path: str, data: bytes) -> None:
    with nothing_left():
        assert ftp.get(f"ftp://{login}localhost:{port}/{path}") == (data, None)


def test_put(port: int, folder: Path) -> None:
    with nothing_left():
        assert ftp.put(f"ftp://{LOGIN}@localhost:{port}/new.bin;type=i", LINES) == (len(LINES), None)
    assert (folder / "new.bin").read_bytes() == LINES


def test_put_a_generator_as_text(port: int, folder: Path) -> None:
    def lines() -> Iterator[bytes]:
        for number in range(100):
            gevent.sleep(0)
            yield b"line %d\r\n" % number

    done = ftp.put(f"ftp://{LOGIN}@localhost:{port}/sub/text;type=a", lines())
    expected = b"".join(b"line %d\r\n" % number for number in range(100))
    assert done == (len(expected), None)
    assert (folder / "sub" / "text").read_bytes().replace(b"\r\n", b"\n") == expected.replace(b"\r\n", b"\n")


def test_tables(port: int, folder: Path) -> None:
    take, chunks = ltn12.sink.table()
    where = {"host": "localhost", "port": port, "user": USER, "password": PASSWORD, "type": "i"}
    assert ftp.get({**where, "path": "/data.bin", "sink": take}) == (1, None)
    assert b"".join(chunks) == DATA
    source = ltn12.source.string(b"appended")
    assert ftp.put({**where, "argument": "app.txt", "command": "appe", "source": source}) == (8, None)
    assert (folder / "app.txt").read_bytes() == b"appended"


def test_a_list_of_files(port: int) -> None:
    take, chunks = ltn12.sink.table()
    assert ftp.get({"url": f"ftp://localhost:{port}/sub", "command": "nlst", "sink": take}) == (1, None)
    assert b"lines.txt\r\n" in b"".join(chunks)


def test_commands(port: int, folder: Path) -> None:
    (folder / "old").write_bytes(b"x")
    where = {"url": f"ftp://{LOGIN}@localhost:{port}/"}
    with nothing_left():
        renaming = {"command": ["rnfr", "rnto"], "argument": ["old", "renamed"], "check": [350, "2.."]}
        assert ftp.command({**where, **renaming}) == (1, None)
        assert (folder / "renamed").exists()
        assert ftp.command({**where, "command": "dele", "argument": "renamed"}) == (1, None)
        assert not (folder / "renamed").exists()
        assert ftp.command({**where, "command": ["noop", "pwd"]}) == (1, None)
        done, error = ftp.command({**where, "command": "dele", "argument": "renamed"})
        assert done is None
        assert error is not None and error.startswith("550 ")


@pytest.mark.parametrize(
    ("address", "code"),
    [("ftp://localhost:{}/none", "550"), ("ftp://ann:wrong@localhost:{}/data.bin", "530")],
)
def test_refusals_are_the_servers_words(port: int, address: str, code: str) -> None:
    with nothing_left():
        done, error = ftp.get(address.format(port))
        assert done is None
        assert error is not None and error.startswith(code)
        assert "wrong" not in error


def test_a_sink_that_fails(port: int) -> None:
    with nothing_left():
        table = {"url": f"ftp://localhost:{port}/data.bin", "sink": ltn12.sink.error("disk full")}
        assert ftp.get(table) == (None, "disk full")


def test_a_source_that_fails(port: int) -> None:
    with nothing_left():
        source = ltn12.source.cat(ltn12.source.string(b"some"), ltn12.source.error("broken"))
        assert ftp.put(f"ftp://{LOGIN}@localhost:{port}/half", source) == (None, "broken")


def test_many_at_once(port: int) -> None:
    jobs = [gevent.spawn(ftp.get, f"ftp://localhost:{port}/data.bin") for _ in range(6)]
    gevent.joinall(jobs, timeout=SECONDS)
    assert [job.value for job in jobs] == [(DATA, None)] * 6


def test_an_old_server(folder: Path) -> None:
    with running(folder, "--old") as port, nothing_left():
        assert ftp.get(f"ftp://localhost:{port}/data.bin") == (DATA, None)


def test_ipv6(folder: Path) -> None:
    if not stdlib.has_ipv6:
        pytest.skip("needs IPv6")
    with running(folder, "--ipv6") as port, nothing_left():
        assert ftp.get(f"ftp://[::1]:{port}/data.bin") == (DATA, None)
        assert steps(port, lambda session: session.eprt(), host="::1") == [DATA]


def steps(port: int, prepare: Callable[[ftp.Session], Any], host: str = "127.0.0.1") -> list[bytes]:
    """Fetch the file by the steps of a session."""

    def run() -> list[bytes]:
        session = ftp.open(host, port)
        try:
            session.greet()
            session.login("anonymous", "me@example")
            session.type("i")
            session.cwd("/")
            prepare(session)
            take, chunks = ltn12.sink.table()
            session.receive({"path": "data.bin", "sink": take})
            session.quit()
            return [b"".join(chunks)]
        finally:
            session.close()

    found: list[bytes] = socket.protect(run)()
    return found


@pytest.mark.parametrize("how", ["pasv", "epsv", "passive", "port", "eprt"])
def test_ways_to_connect(port: int, how: str) -> None:
    with nothing_left():
        assert steps(port, lambda session: getattr(session, how)()) == [DATA]


def test_active_after_passive_and_back(port: int) -> None:
    with nothing_left():
        assert steps(port, lambda session: (session.epsv(), session.port())) == [DATA]
        assert steps(port, lambda session: (session.port(), session.pasv())) == [DATA]


def test_a_transfer_needs_a_connection(port: int) -> None:
    with nothing_left():
        assert steps(port, lambda session: None) == (None, "need port or pasv first")


# -- scripts ------------------------------------------------------------------------------------------------------

IN = [(b"", b"220 hi\r\n"), (b"USER ", b"331 word?\r\n"), (b"PASS ", b"230 in\r\n")]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([(b"", b"")], "closed"),
        ([(b"", b"421 busy\r\n")], "421 busy"),
        ([(b"", b"120 wait\r\n220 now\r\n"), (b"USER ftp", b"530 no\r\n")], "530 no"),
        ([*IN[:2], (b"PASS anonymous@anonymous.org", b"530 no\r\n")], "530 no"),
        ([*IN, (b"EPSV", b"229 listening (|||x|)\r\n")], "invalid epsv response"),
        ([*IN, (b"EPSV", b"229 listening (|||70000|)\r\n")], "invalid epsv response"),
        ([*IN, (b"EPSV", b"229 listening\r\n")], "invalid epsv response"),
        ([*IN, (b"EPSV", b"421 bye\r\n")], "421 bye"),
        ([*IN, (b"EPSV", b"500 what?\r\n"), (b"PASV", b"227 (1,2,3)\r\n")], "227 (1,2,3)"),
        ([*IN, (b"EPSV", b"500 what?\r\n"), (b"PASV", b"227 (1,2,3,4,256,1)\r\n")], "227 (1,2,3,4,256,1)"),
        ([*IN, (b"EPSV", b"229 (|||1|)\r\n")], "connection refused"),
    ],
)
def test_failures_of_servers(script: list[tuple[bytes, bytes]], error: str) -> None:
    with scripted(dialogue(*script)) as server, nothing_left():
        assert ftp.get(f"ftp://127.0.0.1:{server.port}/x") == (None, error)


def passive(answer: Callable[[Conversation, Conversation], None], way: str = "EPSV") -> Callable[[Conversation], None]:
    """A server that waits for a transfer over a passive connection, and answers it."""

    def run(control: Conversation) -> None:
        dialogue(*IN)(control)
        with stdlib.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            assert control.line() == b"EPSV"
            if way == "PASV":
                # The address is a lie, as that of a server behind a router is, or of one that wants us to attack it.
                control.send(b"502 what?\r\n")
                assert control.line() == b"PASV"
                control.send(b"227 at (192,0,2,1,%d,%d)\r\n" % divmod(port, 256))
            else:
                control.send(b"229 at (|||%d|)\r\n" % port)
            listening.settimeout(SECONDS)
            data, _ = listening.accept()
            with data:
                answer(control, Conversation(data))

    return run


def test_the_address_that_a_server_tells_is_not_used() -> None:
    def answer(control: Conversation, data: Conversation) -> None:
        assert control.line() == b"RETR x"
        control.send(b"150 comes\r\n")
        data.send(b"here")
        data.sock.close()
        dialogue((b"", b"226 done\r\n"), (b"QUIT", b"221 bye\r\n"))(control)

    with scripted(passive(answer, "PASV")) as server, nothing_left():
        assert ftp.get(f"ftp://127.0.0.1:{server.port}/x") == (b"here", None)


def test_a_transfer_that_the_server_gives_up() -> None:
    def answer(control: Conversation, data: Conversation) -> None:
        control.line()
        control.send(b"150 comes\r\n")
        data.send(b"he")
        data.sock.close()
        control.send(b"426 disk error\r\n")

    with scripted(passive(answer)) as server, nothing_left():
        assert ftp.get(f"ftp://127.0.0.1:{server.port}/x") == (None, "426 disk error")


def test_an_upload_that_the_server_gives_up() -> None:
    def answer(control: Conversation, data: Conversation) -> None:
        control.line()
        control.send(b"150 go\r\n")
        data.sock.recv(1)
        data.sock.close()
        control.send(b"552 quota\r\n")
        control.rest()

    with scripted(passive(answer)) as server, nothing_left():
        endless = iter(lambda: b"x" * 65536, None)
        assert ftp.put(f"ftp://127.0.0.1:{server.port}/x", endless) == (None, "552 quota")


def test_a_reply_that_is_the_data() -> None:
    def answer(control: Conversation, data: Conversation) -> None:
        dialogue((b"STAT", b"211-status\r\n211 end\r\n"), (b"QUIT", b"221 bye\r\n"))(control)

    take, chunks = ltn12.sink.table()
    with scripted(passive(answer)) as server, nothing_left():
        table = {"url": f"ftp://127.0.0.1:{server.port}/x", "command": "stat", "sink": take}
        assert ftp.get(table) == (1, None)
    assert chunks == [b"211-status\n211 end"]


def test_a_kill_leaves_nothing() -> None:
    reached = Event()

    def answer(control: Conversation, data: Conversation) -> None:
        control.line()
        control.send(b"150 comes\r\n")
        reached.set()
        control.rest()

    with scripted(passive(answer)) as server, nothing_left():
        job = gevent.spawn(ftp.get, f"ftp://127.0.0.1:{server.port}/x")
        assert reached.wait(SECONDS)
        job.kill(timeout=SECONDS)
        assert job.dead


# -- wrong use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ftp.get("http://h/x"), "wrong scheme 'http'"),
        (lambda: ftp.get("ftp:///x"), "missing hostname"),
        (lambda: ftp.get(""), "invalid url"),
        (lambda: ftp.get("ftp://h/x;type=b"), "invalid type 'b'"),
        (lambda: ftp.get("ftp://h/x;kind=a"), "invalid type 'kind=a'"),
        (lambda: ftp.get({"path": "x"}), "missing hostname"),
        (lambda: ftp.command({"host": "h"}), "missing command"),
    ],
)
def test_incomplete_requests(call: Callable[[], Any], error: str) -> None:
    assert call() == (None, error)


@pytest.mark.parametrize("path", ["x%0d%0aDELE%20y", "x%0aDELE", "x%00"])
def test_a_path_adds_no_command(port: int, path: str) -> None:
    with nothing_left(), pytest.raises(ValueError, match="holds CR, LF or NUL"):
        ftp.get(f"ftp://localhost:{port}/{path}")


@pytest.mark.parametrize("login", ["a%0d%0aDELE%20y:b", "ann:b%0aDELE"])
def test_credentials_add_no_command(port: int, login: str) -> None:
    with nothing_left(), pytest.raises(ValueError, match="holds CR, LF or NUL") as error:
        ftp.get(f"ftp://{login}@localhost:{port}/data.bin")
    assert "DELE" not in str(error.value)


def test_there_has_to_be_a_source() -> None:
    for call in (lambda: ftp.put("ftp://h/x"), lambda: ftp.put({"host": "h"})):
        with pytest.raises(TypeError, match="a source or an iterable of bytes expected, got nil"):
            call()
