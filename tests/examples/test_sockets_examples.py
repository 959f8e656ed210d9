"""The examples of sockets: each as a module on free ports, and the programs by their commands."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import random
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
from launch import ROOT, free_port, launched
from leaks import nothing_left
from support import need_command, wait_until
from web import Client, get, head

from greenbas import net
from greenbas.crypto import self_signed
from greenbas.errors import CannotConnect, TimedOut
from greenbas.net import socketbase

SOCKETS = ROOT / "examples" / "sockets"
TIMEOUT = 10.0
MUCH = random.Random("much").randbytes(3 * 1024 * 1024)


def load(name: str) -> Any:
    """An example as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"socket_example_{name}", SOCKETS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with nothing_left():
        yield


@contextlib.contextmanager
def listening(listener: net.Socket) -> Iterator[int]:
    """The port of a listening socket, which is closed at the end."""
    with listener:
        yield listener.sockname()[1]


def connect(port: int, buffer: int | None = None) -> socket.socket:
    made = socket.socket()
    made.settimeout(TIMEOUT)
    if buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.connect(("127.0.0.1", port))
    return made


def rest(sock: socket.socket) -> bytes:
    found = []
    while data := sock.recv(65536):
        found.append(data)
    return b"".join(found)


def once(function: Callable[[socket.socket], None]) -> tuple[gevent.Greenlet, int]:
    """A server for one connection, and its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, contextlib.closing(listener.accept()[0]) as sock:
            function(sock)

    return gevent.spawn(serve), listener.getsockname()[1]


# -- UDP ----------------------------------------------------------------------------------------------------------


def test_ntp_client_and_server() -> None:
    ntp = load("ntp")
    with ntp.serve() as server:
        host, port, _ = server.sockname()
        assert abs(ntp.ask(host, port)) < 1


def test_ntp_time_on_the_wire() -> None:
    ntp = load("ntp")
    assert ntp.to_ntp(0) == (2_208_988_800).to_bytes(4) + bytes(4)
    assert ntp.from_ntp(ntp.to_ntp(1_700_000_000.25)) == 1_700_000_000.25


def test_ntp_asks_again_and_believes_only_answers() -> None:
    ntp = load("ntp")
    asked: list[bytes] = []

    def answer(sock: net.Socket) -> None:
        while True:
            data, address, port = sock.recvfrom()
            asked.append(data)
            reply = ntp.ANSWER + bytes(23) + data[40:48] + ntp.to_ntp(1000.0) + ntp.to_ntp(1000.0)
            # The first time an answer to somebody else's question; the second one is lost.
            if len(asked) == 1:
                sock.sendto(reply[:24] + bytes(8) + reply[32:], address, port)
            elif len(asked) == 3:
                sock.sendto(reply, address, port)

    with net.udpcon(intf="127.0.0.1") as server:
        server.event(answer, "s")
        assert ntp.ask(*server.sockname()[:2], wait=0.02) < -1_000_000_000
        assert len(set(asked)) == 3
        with pytest.raises(TimedOut, match="has not answered 2 times"):
            ntp.ask(*server.sockname()[:2], tries=2, wait=0.01)


# -- echo ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def echo() -> Any:
    return load("echo")


@pytest.mark.parametrize("mode", ["r", "s"])
def test_echo(echo: Any, mode: str) -> None:
    with listening(echo.listen(mode)) as port, contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connect(port)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        assert [client.recv(100) for client in clients] == [b"%d" % number for number in range(20)]
        for client in clients:
            client.sendall(b"the end")
            client.shutdown(socket.SHUT_WR)
        assert [rest(client) for client in clients] == [b"the end"] * 20


def test_echo_in_handlers(echo: Any) -> None:
    echo.server.listen(0)
    echo.server.start()
    try:
        with listening(echo.listen("r")), listening(echo.listen("s")):
            for mode in "rs":
                assert get(echo.server, f"/ask?mode={mode}&text=Gr%C3%BC%C3%9Fe").body.decode() == "Grüße"
        with Client(echo.server) as client:
            client.send(head("GET /echo HTTP/1.1") + "first, ")
            client.send("second")
            client.half_close()
            assert client.rest() == b"first, second"
    finally:
        echo.server.stop(drain_timeout=0)


# -- pairs of cosockets -------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "much"
    path.write_bytes(MUCH)
    return path


def test_file_is_sent(file: Path) -> None:
    with listening(load("filesender").listen(file)) as port, connect(port) as client:
        assert rest(client) == MUCH


def states() -> list[str]:
    """Of all sockets there are."""
    return [sock.state()[0] for sock in socketbase.sockets]


def pause(client: socket.socket) -> bytes:
    """Have the sender rest; what it had sent until then."""
    client.sendall(b"pause\n")
    found = []
    client.settimeout(0.01)
    while "disabled" not in states():
        with contextlib.suppress(TimeoutError):
            found.append(client.recv(65536))
    with contextlib.suppress(TimeoutError):
        while True:  # what is on its way still
            found.append(client.recv(65536))
    client.settimeout(TIMEOUT)
    return b"".join(found)


def test_receiver_throttles_the_sender(file: Path) -> None:
    with listening(load("filesender").listen(file)) as port, connect(port, buffer=4096) as client:
        found = pause(client)
        assert 0 < len(found) < len(MUCH)
        client.sendall(b"go\ngo\n")
        found += client.recv(1, socket.MSG_WAITALL)
        assert found + rest(client) == MUCH


def test_receiver_leaves_while_the_sender_rests(file: Path) -> None:
    with listening(load("filesender").listen(file)) as port:
        with connect(port, buffer=4096) as client:
            pause(client)
        wait_until(lambda: "disabled" not in states())


def test_duplex(echo: Any) -> None:
    with listening(echo.listen("s")) as port:
        assert load("duplex").through("127.0.0.1", port, MUCH * 4) == MUCH * 4


def test_duplex_without_a_server() -> None:
    with pytest.raises(CannotConnect, match="refused"):
        load("duplex").through("127.0.0.1", free_port(), b"")


# -- the proxy ----------------------------------------------------------------------------------------------------


def test_proxy_passes_on_both_ways(echo: Any) -> None:
    with listening(echo.listen("s")) as far, listening(load("proxy").listen(0, "127.0.0.1", far)) as port:
        duplex = load("duplex")
        answers = [gevent.spawn(duplex.through, "127.0.0.1", port, MUCH + b"%d" % number) for number in range(3)]
        assert [answer.get(timeout=TIMEOUT) for answer in answers] == [MUCH + b"%d" % number for number in range(3)]


def test_proxy_client_sends_no_more_and_reads_on() -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(hashlib.sha256(rest(sock)).digest() * 100_000)

    server, far = once(serve)
    with listening(load("proxy").listen(0, "127.0.0.1", far)) as port, connect(port) as client:
        client.sendall(MUCH)
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == hashlib.sha256(MUCH).digest() * 100_000
    server.get(timeout=TIMEOUT)


def test_proxy_server_sends_no_more_and_reads_on() -> None:
    came: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"that is all")
        sock.shutdown(socket.SHUT_WR)
        came.append(rest(sock))

    server, far = once(serve)
    with listening(load("proxy").listen(0, "127.0.0.1", far)) as port:
        with connect(port) as client:
            assert rest(client) == b"that is all"
            client.sendall(MUCH)
        server.get(timeout=TIMEOUT)
    assert came == [MUCH]


def test_proxy_passes_breaks_on() -> None:
    server, far = once(lambda sock: None)
    with listening(load("proxy").listen(0, "127.0.0.1", far)) as port, connect(port) as client:
        assert rest(client) == b""
    server.get(timeout=TIMEOUT)
    with listening(load("proxy").listen(0, "127.0.0.1", far)) as port, connect(port) as client:
        assert rest(client) == b"", "nobody listens there any more"


# -- pages --------------------------------------------------------------------------------------------------------


def test_events() -> None:
    with launched("examples.sockets.events:server") as url:
        assert "<title>Events</title>" in requests.get(f"{url}/", timeout=TIMEOUT).text
        assert requests.post(f"{url}/events", timeout=TIMEOUT).status_code == 405
        first = requests.get(f"{url}/events", stream=True, timeout=TIMEOUT)
        assert (first.status_code, first.headers["Content-Type"]) == (200, "text/event-stream")
        news = events(first)
        assert next(news)["listeners"] == 0, "it counts itself with the next one"
        assert next(news)["listeners"] == 1
        with requests.get(f"{url}/events", stream=True, timeout=TIMEOUT):
            wait_until(lambda: next(news)["listeners"] == 2)
        wait_until(lambda: next(news)["listeners"] == 1)
    assert [one for one in news if not one["time"]] == [], "the stop ends the stream"


def events(answer: requests.Response) -> Iterator[Any]:
    for line in answer.iter_lines(chunk_size=1):
        if line:
            assert line.startswith(b"data: ")
            yield json.loads(line[6:])


def test_queue_full_is_told_to_a_person() -> None:
    with launched("examples.sockets.queuefull:server") as url:
        assert "The printer is ready." in requests.get(url, timeout=TIMEOUT).text
        assert requests.get(f"{url}/favicon.ico", timeout=TIMEOUT).status_code == 404
        said: list[tuple[int, str]] = []
        while not said or said[-1][0] == 200:
            answer = requests.post(url, timeout=TIMEOUT)
            said.append((answer.status_code, re.findall(r'role="status">(.*?)<', answer.text)[0]))
        assert said[0] == (200, "Your report is being printed.")
        assert said[-2] == (200, "Your report waits for its turn.")
        assert said[-1] == (503, "The printer has enough to do. Nothing was printed: try again in a moment.")
        assert 64 // 8 <= len(said) < 30
        assert int(answer.headers["Retry-After"]) >= 16384 // 4096
        assert "<meter" in answer.text


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port, and the file with the certificate."""
    cert, key = self_signed(["localhost"])
    file = tmp_path / "cert.pem"
    file.write_text(cert)
    with listening(load("https").listen(cert, key)) as port:
        yield port, file


def test_https_by_hand(https: tuple[int, Path]) -> None:
    port, cert = https
    curl = [need_command("curl"), "--silent", "--show-error", "--cacert", str(cert), f"https://localhost:{port}/a?b"]
    for options, expected in {
        (): r"You asked for /a\?b by TLS_1_3 with \w+, in a new session\.\n",
        ("--tls-max", "1.2"): r"You asked for /a\?b by TLS_1_2 with \w+, in a new session\.\n",
        ("--data", "x"): r"This server knows GET alone\.\n",
        ("--head",): r"HTTP/1.1 200 OK\r\n(.*\r\n)*\r\n",
    }.items():
        done = subprocess.run([*curl, *options], capture_output=True, timeout=TIMEOUT, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert re.fullmatch(expected, done.stdout.decode())


def test_https_and_who_does_not_speak_tls(https: tuple[int, Path]) -> None:
    port, cert = https
    with connect(port) as silent, connect(port) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"You asked" not in rest(plain)  # an alert, if anything
        answer = requests.get(f"https://localhost:{port}/", verify=str(cert), timeout=TIMEOUT)
        assert answer.text.startswith("You asked for / by ")
        silent.close()


# -- programs -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def program(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """``greenbas run`` with an example, until the end of the block."""
    command = [sys.executable, "-u", "-m", "greenbas", "run", str(SOCKETS / f"{name}.py"), *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_programs_that_end() -> None:
    with program("ntp") as ntp:
        said, _ = ntp.communicate(timeout=TIMEOUT)
        assert re.fullmatch(r"our own clock is [+-]0\.\d{6} s ahead of ours\n", said)
    assert ntp.returncode == 0


def test_programs_that_serve(file: Path) -> None:
    with program("filesender", file) as sender:
        assert sender.stdout is not None
        port = int(sender.stdout.readline().removeprefix("connect to port "))
        forwarded = free_port()
        with program("proxy", forwarded, "127.0.0.1", port):
            wait_until(lambda: can_connect(forwarded))
            with connect(forwarded) as client:
                assert rest(client) == MUCH


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_echo_program_and_duplex(file: Path) -> None:
    source = (SOCKETS / "echo.py").read_text("utf-8").replace("9357", str(free_port()))
    script = file.with_name("echo_here.py")
    script.write_text(source, "utf-8")
    command = [sys.executable, "-u", "-m", "greenbas", "run", str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as echoing:
        try:
            assert echoing.stdout is not None
            ports = [int(echoing.stdout.readline().rpartition(" ")[2]) for _ in "rs"]
            url = echoing.stdout.readline().removeprefix("greenbas serves ").strip()
            assert requests.get(f"{url}ask", {"mode": "r"}, timeout=TIMEOUT).text == "hello"
            with program("duplex", "127.0.0.1", ports[1], file) as duplex:
                said, _ = duplex.communicate(timeout=TIMEOUT)
            assert (duplex.returncode, said) == (0, f"{len(MUCH)} bytes came back, the same\n")
        finally:
            echoing.terminate()


def test_proxy_is_short() -> None:
    lines = (SOCKETS / "proxy.py").read_text("utf-8").partition("\n\n\n")[2].splitlines()
    assert len([line for line in lines if line]) <= 40


def test_readme_names_every_example() -> None:
    readme = (SOCKETS / "README.md").read_text("utf-8")
    assert [path.name for path in SOCKETS.glob("*.py") if f"`{path.name}`" not in readme] == []
