"""A server from its making to its end: settings, listeners, start, signals, stop."""

from __future__ import annotations

import dataclasses
import http.client
import logging
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import gevent
import pytest
from commands import GREENBAS, Running, fill, finished, running
from launch import free_port
from support import wait_until
from web import Client, get, serving

from greenbas import Request, Response, Server
from greenbas.errors import AlreadyInserted, BindFailed, IncorrectUse, SettingError
from greenbas.http import AccessLog, HttpSettings
from greenbas.vfs import Directory


def ready(**settings: Any) -> Server:
    """A server that answers "here", neither listening nor started."""
    server = Server(**settings)
    server.directory()(lambda request, response: "here")
    return server


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # just between the last accept and the close
        pass
    return False


# -- settings -----------------------------------------------------------------------------------------------------


def test_settings_are_frozen() -> None:
    server = Server(idle_timeout=3)
    assert isinstance(server.settings, HttpSettings)
    assert (server.settings.idle_timeout, server.settings.head_timeout) == (3, 15.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        server.settings.idle_timeout = 4  # type: ignore[misc]
    with pytest.raises(AttributeError):
        server.settings = HttpSettings()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"idel_timeout": 3}, "unknown setting 'idel_timeout'; did you mean 'idle_timeout'"),
        ({"xyz": 3}, "unknown setting 'xyz'; there are head_timeout, .*, dev"),
        ({"idle_timeout": "3"}, "idle_timeout: '3' is not a number"),
        ({"idle_timeout": 0}, "idle_timeout: 0 must be more than zero"),
        ({"max_workers": 1.5}, "max_workers: 1.5 is not a whole number"),
        ({"dev": 1}, "dev: 1 is neither True nor False"),
        ({"trusted_proxies": "127.0.0.1"}, "trusted_proxies: '127.0.0.1' is not a tuple"),
        ({"server_name": "a\r\nb"}, "server_name: .*"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Server(**settings)
    server = Server()
    with pytest.raises(SettingError, match=words):
        server.configure(**settings)
    assert server.settings == HttpSettings()


def test_configure() -> None:
    server = Server(idle_timeout=3, head_timeout=2)
    server.configure(idle_timeout=4, dev=True)
    assert (server.settings.idle_timeout, server.settings.head_timeout) == (4, 2)
    assert server.site.dev
    server.start()
    with pytest.raises(IncorrectUse, match="while the server runs"):
        server.configure(idle_timeout=5)
    assert server.settings.idle_timeout == 4
    server.stop()


# -- the site -----------------------------------------------------------------------------------------------------


def test_the_decorator_returns_the_function() -> None:
    def function(request: Request, response: Response) -> str:
        return "x"

    server = Server()
    assert server.directory("a", priority=5)(function) is function
    assert server.directory()(function) is function
    assert [repr(child) for child in server.root.children] == [
        "<Directory 'a' priority 5>",
        "<Directory '(unnamed)' priority 0>",
    ]


def test_an_unnamed_directory_sees_every_path() -> None:
    with serving(lambda request, response: f"sees {request.relpath}") as server:
        for path in ("/", "/a", "/a/b?c"):
            assert get(server, path).body == f"sees {path[1:].partition('?')[0]}".encode()


def test_the_decorator_without_parentheses_says_so() -> None:
    def function(request: Request, response: Response) -> str:
        return "x"

    server = Server()
    with pytest.raises(TypeError, match="with parentheses"):
        server.directory(function)  # type: ignore[arg-type]
    assert server.root.children == []


def test_insert() -> None:
    server, made = Server(), Directory("x")
    server.insert(made)
    assert made.parent is server.root
    with pytest.raises(AlreadyInserted):
        Server().insert(made)


# -- listeners ----------------------------------------------------------------------------------------------------


def test_listen_before_and_after_the_start() -> None:
    server = ready()
    first = server.listen(0)
    server.start()
    second = server.listen(0)
    assert first.port != second.port
    assert server.listeners == [first, second]
    assert [get(listener.port, "/").body for listener in (first, second)] == [b"here", b"here"]
    ports = [first.port, second.port]
    server.stop()
    assert server.listeners == []
    assert [refused(port) for port in ports] == [True, True]


def test_before_the_start_nothing_is_accepted_and_nothing_lost() -> None:
    server = ready()
    port = server.listen(0).port
    with Client(port) as client:
        client.send("GET / HTTP/1.1\nHost: x\n\n")
        gevent.sleep(0)
        server.start()
        assert client.answer().body == b"here"
    server.stop()


def test_a_hangup_of_the_terminal_stops_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    # SIGHUP reads certificates again, but not when it comes because the window was closed.
    server = Server()
    server.start()
    monkeypatch.setattr("os.isatty", lambda fd: True)
    server._on_hangup(True)
    gevent.sleep(0.01)
    assert not server._stopped.is_set()
    monkeypatch.setattr("os.isatty", lambda fd: False)
    server._on_hangup(False)
    gevent.sleep(0.01)
    assert not server._stopped.is_set()
    server._on_hangup(True)
    server.wait()
    assert server._stopped.is_set()


def test_listen_twice_on_one_port() -> None:
    server = ready()
    port = server.listen(0).port
    with pytest.raises(BindFailed, match=rf"cannot listen on 127.0.0.1:{port}: Address already in use") as caught:
        server.listen(port)
    assert caught.value.code == "bind"
    assert len(server.listeners) == 1
    server.start()
    assert get(port, "/").body == b"here"
    server.stop()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be(port: int) -> None:
    server = Server()
    with pytest.raises(BindFailed, match="0 to 65535"):
        server.listen(port)
    assert server.listeners == []


def test_set_port_moves_the_listener_and_leaves_the_connections() -> None:
    with serving(lambda request, response: "here") as server:
        listener = server.listeners[0]
        old = listener.port
        with Client(old) as client:
            assert client.ask("GET / HTTP/1.1\nHost: x\n\n").body == b"here"
            listener.set_port(0)
            assert listener.port != old
            assert refused(old)
            assert get(listener.port, "/").body == b"here"
            assert client.ask("GET / HTTP/1.1\nHost: x\n\n").body == b"here"


def test_set_port_to_a_taken_one_leaves_the_listener_where_it_is() -> None:
    with serving(lambda request, response: "here") as server, socket.create_server(("127.0.0.1", 0)) as taken:
        listener = server.listeners[0]
        old = listener.port
        with pytest.raises(BindFailed, match="Address already in use"):
            listener.set_port(taken.getsockname()[1])
        assert listener.port == old
        assert get(old, "/").body == b"here"


# -- start and stop -----------------------------------------------------------------------------------------------


def test_before_the_start() -> None:
    server = Server()
    assert repr(server) == "<Server not started>"
    assert server.watchdog is None
    with pytest.raises(IncorrectUse, match="not started"):
        assert server.service
    with gevent.Timeout(1):
        server.wait()


def test_repr() -> None:
    server = ready()
    port = server.listen(0).port
    server.start()
    assert repr(server).startswith(f"<Server 127.0.0.1:{port} <ConnectionTable 0 of ")
    server.stop()
    assert repr(server).startswith("<Server no listener stopped ")


def test_start_twice() -> None:
    server = ready()
    server.listen(0)
    server.start()
    service = server.service
    server.start()
    assert server.service is service
    assert server.watchdog is not None
    server.stop()


def test_stop_before_the_start() -> None:
    server = ready()
    port = server.listen(0).port
    assert server.stop() == []
    assert refused(port)
    assert server.listeners == []
    listener = server.listen(0)
    server.start()
    assert get(listener.port, "/").body == b"here"
    server.stop()


def test_stop_again() -> None:
    server = ready()
    server.listen(0)
    server.start()
    assert (server.stop(), server.stop()) == ([], [])
    with gevent.Timeout(1):
        server.wait()


def test_a_stopped_server_does_not_start_again_in_silence() -> None:
    """start() did nothing, and run() ended at once without a word."""
    server = ready()
    server.listen(0)
    server.start()
    server.stop()
    for call in (server.start, lambda: server.listen(0)):
        with pytest.raises(IncorrectUse, match="has been stopped"):
            call()
    (made,) = server.root.children
    made.unlink()
    other = Server()
    other.insert(made)
    port = other.listen(0).port
    other.start()
    assert get(port, "/").body == b"here"
    other.stop()


class Waiting:
    """A handler that waits until it may go on."""

    def __init__(self) -> None:
        self.entered = 0
        self.go_on = Event()

    def __call__(self, request: Request, response: Response) -> str:
        self.entered += 1
        self.go_on.wait(20)
        return "waited"


def test_stop_lets_running_requests_end() -> None:
    handler = Waiting()
    with serving(handler) as server:
        port = server.listeners[0].port
        with Client(server) as busy, Client(server) as idle, Client(server) as begun:
            busy.send("GET / HTTP/1.1\nHost: x\n\n")
            begun.send("GET / HTTP/1.1\nHo")
            wait_until(lambda: handler.entered)
            stopping = gevent.spawn(server.stop, 10)
            wait_until(lambda: refused(port))
            assert repr(server).startswith("<Server no listener stopping ")
            assert server.stop() == []  # a second one does not wait
            begun.send("st: x\n\n")
            wait_until(lambda: handler.entered == 2)
            assert idle.closed()
            assert not stopping.ready()
            handler.go_on.set()
            for client in (busy, begun):
                answer = client.answer()
                assert (answer.body, answer["connection"]) == (b"waited", "close")
                assert client.closed()
            assert stopping.get(timeout=5) == []


def test_stop_kills_what_does_not_end_and_says_what(caplog: pytest.LogCaptureFixture) -> None:
    handler = Waiting()
    with serving(handler) as server, Client(server) as client:
        client.send("GET /endless HTTP/1.1\nHost: x\n\n")
        wait_until(lambda: handler.entered)
        (killed,) = server.stop(drain_timeout=0.05)
        assert "GET /endless" in killed
        assert client.closed()
    assert any(killed in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


def test_stop_by_a_handler() -> None:
    """As a greenlet of its own: the handler that asks for it has to end first."""
    from greenbas import spawn

    server = Server()

    def function(request: Request, response: Response) -> str:
        spawn(server.stop)
        return "good bye"

    server.directory()(function)
    port = server.listen(0).port
    server.start()
    assert get(port, "/").body == b"good bye"
    with gevent.Timeout(5):
        server.wait()
    assert refused(port)


# -- the access log -----------------------------------------------------------------------------------------------


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.targets.append(vars(record)["target"])


@pytest.fixture
def records() -> Iterator[tuple[AccessLog, list[str]]]:
    """An access log of one's own, and the targets in it."""
    logger = logging.getLogger("greenbas.tests.access")
    handler = Records()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield AccessLog(logger), handler.targets
    logger.removeHandler(handler)


def test_log_requests_before_the_start_and_later(records: tuple[AccessLog, list[str]]) -> None:
    log, targets = records
    server = ready()
    server.log_requests(log)
    port = server.listen(0).port
    server.start()
    get(port, "/one")
    wait_until(lambda: targets == ["/one"])
    server.log_requests(None)
    get(port, "/two")
    server.log_requests(log)
    get(port, "/three")
    wait_until(lambda: targets == ["/one", "/three"])
    server.stop()


# -- run ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import time
from greenbas import Server
server = Server()

@server.directory("sleep")
def sleep(request, response):
    seconds = float(request.relpath)
    response.flush()
    try:
        time.sleep(seconds)
    finally:
        print("handler ends", flush=True)
    return "slept"

@server.directory("deaf")
def deaf(request, response):
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass

@server.directory("quick")
def quick(request, response):
    return "quick"

if __name__ == "__main__":
    server.run(0)
    print("after run", flush=True)
"""
COMMANDS = {
    "python": [sys.executable, "app.py"],
    "serve": [*GREENBAS, "serve", "app:server", "--port", "0"],
}


@pytest.fixture(params=COMMANDS)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """PROGRAM in a process of its own, started by either way."""
    fill(tmp_path, {"app.py": PROGRAM})
    with running(tmp_path, COMMANDS[request.param]) as started:
        yield started


def ask_to_sleep(program: Running, seconds: float, kind: str = "sleep") -> Client:
    """A client whose request has reached its handler."""
    client = Client(program.port)
    client.send(f"GET /{kind}/{seconds} HTTP/1.1\nHost: x\n\n")
    if kind == "sleep":
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.sock.recv(1)
        assert b" 200 " in head
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_end(program: Running, number: signal.Signals) -> None:
    client = ask_to_sleep(program, 0.5)
    idle = Client(program.port)
    program.send(number)
    assert idle.closed()
    assert refused(program.port)
    assert program.process.poll() is None
    data = b""
    while piece := client.sock.recv(100):
        data += piece
    assert data == b"5\r\nslept\r\n0\r\n\r\n"
    assert program.code(5) == 0
    assert "Traceback" not in program.err
    assert ("after run" in program.out) == (program.process.args == COMMANDS["python"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(program: Running, number: signal.Signals) -> None:
    client = ask_to_sleep(program, 30)
    program.send(number)
    wait_until(lambda: refused(program.port))
    start = time.monotonic()
    program.send(number)
    assert program.code(5) == 0
    assert time.monotonic() - start < 2
    assert "handler ends" in program.out  # its `finally` has run
    assert client.sock.recv(100) == b""


def test_a_second_signal_does_not_wait_for_a_head_that_does_not_come(tmp_path: Path) -> None:
    """It only killed workers; a connection in the middle of a head kept the server until its time-out."""
    fill(tmp_path, {"app.py": PROGRAM})
    with running(tmp_path, COMMANDS["serve"]) as program, Client(program.port) as client:
        client.send("GET / HTTP/1.1\nHo")
        assert get(program.port, "/quick").status == 200
        program.send(signal.SIGTERM)
        wait_until(lambda: refused(program.port))
        assert program.process.poll() is None
        program.send(signal.SIGTERM)
        assert program.code(5) == 0


def test_a_second_signal_does_not_wait_for_a_handler_that_will_not_end(tmp_path: Path) -> None:
    fill(tmp_path, {"app.py": PROGRAM})
    with running(tmp_path, COMMANDS["serve"]) as program:
        ask_to_sleep(program, 0, "deaf")
        assert get(program.port, "/quick").status == 200
        program.send(signal.SIGTERM)
        wait_until(lambda: refused(program.port))
        program.send(signal.SIGINT)
        assert program.code(5) == 0


def test_a_signal_at_once_after_the_line(tmp_path: Path) -> None:
    """The line came before the handlers of the signals: who read it and sent one killed the process."""
    fill(tmp_path, {"app.py": PROGRAM})
    script = "read line; kill -TERM $!; wait $!"
    command = f"{' '.join(COMMANDS['serve'])} > pipe & exec < pipe; {script}"
    for _ in range(3):
        done = finished(tmp_path, ["bash", "-c", f"rm -f pipe; mkfifo pipe; {command}"])
        assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_under_load_drops_no_request(tmp_path: Path) -> None:
    fill(tmp_path, {"app.py": PROGRAM})
    with running(tmp_path, [*COMMANDS["serve"], "--log", "none"]) as program:
        answered: list[int] = []
        failures: list[BaseException] = []
        jobs = [gevent.spawn(keep_asking, program.port, answered, failures) for _ in range(8)]
        wait_until(lambda: len(answered) > 200)
        program.send(signal.SIGTERM)
        gevent.joinall(jobs, timeout=10)
        assert program.code(5) == 0
    assert failures == []
    assert set(answered) == {200}


def keep_asking(port: int, answered: list[int], failures: list[BaseException]) -> None:
    """Ask again and again on one connection, until an answer says that it is the last."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        while True:
            connection.request("GET", "/quick/")
            response = connection.getresponse()
            response.read()
            answered.append(response.status)
            if response.getheader("connection") == "close":
                return
    except (OSError, http.client.HTTPException) as error:
        failures.append(error)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("from time import sleep\n", "too late to patch: __main__ has time.sleep. .*greenbas run.*first line."),
        ("from socket import create_connection, socket\n", "too late to patch: __main__ has socket.create_c.*"),
        ("import other\n", "too late to patch: other has threading.Lock. .*"),
        ("import requests\n", "too late to patch: .*ssl.SSLContext.*"),
    ],
)
def test_run_after_copies_of_blocking_calls_is_one_clear_line(tmp_path: Path, source: str, line: str) -> None:
    program = f"{source}from greenbas import Server\nServer().run(0)\nprint('served')\n"
    fill(tmp_path, {"app.py": program, "other.py": "from threading import Lock\n"})
    done = finished(tmp_path, [sys.executable, "app.py"])
    assert re.fullmatch(f"greenbas: {line}\n", done.stderr), done.stderr
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("first", ["import greenbas; greenbas.patch()\n", ""])
def test_run_after_early_patching(tmp_path: Path, first: str) -> None:
    fill(tmp_path, {"app.py": f"{first}from time import sleep\nfrom greenbas import Server\nServer().run(0)\n"})
    command = [sys.executable, "app.py"] if first else [*GREENBAS, "run", "app.py"]
    with running(tmp_path, command) as program:
        assert get(program.port, "/").status == 404
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("run(70000)", "cannot listen on 127.0.0.1:70000: a port is 0 to 65535"),
        ("run({taken})", "cannot listen on 127.0.0.1:{taken}: Address already in use"),
        ("run(0, host='no.such.host.invalid')", "cannot listen on no.such.host.invalid:0: .*"),
        ("run(0, log='xml')", "log 'xml': use text, json, none"),
    ],
)
def test_run_that_cannot_start_is_one_clear_line(tmp_path: Path, call: str, line: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        call, line = call.replace("{taken}", port), line.replace("{taken}", port)
        fill(tmp_path, {"app.py": f"from greenbas import Server\nServer().{call}\nprint('served')\n"})
        done = finished(tmp_path, [sys.executable, "app.py"])
    assert re.fullmatch(f"greenbas: {line}\n", done.stderr), done.stderr
    assert (done.returncode, done.stdout) == (1, "")


def test_run_on_several_ports(tmp_path: Path) -> None:
    port = free_port()
    program = PROGRAM.replace("server.run(0)", f"server.listen({port})\n    server.run(0)")
    fill(tmp_path, {"app.py": program})
    with running(tmp_path, COMMANDS["python"]) as started:
        assert started.port == port
        ports = re.findall(r"127\.0\.0\.1:(\d+)/", started.out)
        assert [get(int(number), "/quick").body for number in ports] == [b"quick", b"quick"]
        assert started.stop() == 0


def test_a_listener_that_was_closed_is_listed_no_more() -> None:
    server = Server()
    first, second = server.listen(0), server.listen(0)
    server.start()
    first.close()
    assert server.listeners == [second]
    assert f":{second.port} " in repr(server)
    server.stop(0)
    assert server.listeners == []
