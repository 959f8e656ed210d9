"""The command line as its users meet it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import gevent
import pytest
from commands import GREENBAS, called, environment, fill, finished, running, working_in
from launch import free_port
from support import wait_until
from web import ask, get

from greenbas import cli
from greenbas.http import HttpSettings
from greenbas.net import resolver

# The example of the issue that fixed the interface, as it is written there.
EXAMPLE = """\
import time
from greenbas import Server
server = Server()

@server.directory("hello")
def hello(request, response):
    time.sleep(0.1)                       # blocks this greenlet only
    return {"path": request.relpath, "who": request.data("who")}

if __name__ == "__main__":
    server.run(port=9357)                 # or: greenbas serve hello:server --port 9357
"""

APP = """
from greenbas import Server, create
from greenbas.io import DiskIo, MemoryIo

server = Server(idle_timeout=7)

@server.directory("hello", priority=3)
def hello(request, response):
    return "hello"

class Handlers:
    def method(self, request, response):
        raise ValueError("word-of-the-exception")

reader = create.resrdr(MemoryIo(), name="files")
prologue = create.dir("first")
prologue.set_func(Handlers().method)
reader.insert_prologue(prologue)
inner = create.dir("in ner")
reader.insert(inner)
server.insert(reader)
server.insert(create.domainresrdr("example.com", MemoryIo(), priority=-1))
safe = create.dir("safe")
safe.redirect2tls()
server.insert(safe)

broken = Server()
broken.insert(create.domainresrdr("example.com", MemoryIo(), page404="/missing.html"))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; modules that a test imports are forgotten."""
    with working_in(tmp_path, {"hello.py": EXAMPLE, "app.py": APP, "www/index.html": "index"}, monkeypatch):
        yield tmp_path


# -- the example --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[sys.executable, "hello.py"], [*GREENBAS, "run", "hello.py"], None])
def test_the_example_works_as_written(tmp_path: Path, command: list[str] | None) -> None:
    port = free_port()
    fill(tmp_path, {"hello.py": EXAMPLE.replace("9357", str(port))})
    with running(tmp_path, command or [*GREENBAS, "serve", "hello:server", "--port", str(port)]) as server:
        assert server.port == port
        assert server.out == f"greenbas serves http://127.0.0.1:{port}/\n"
        assert json.loads(get(port, "/hello?who=you").body) == {"path": "", "who": "you"}
        tries = [two_at_once(port)]
        while min(tries) > 0.19 and len(tries) < 10:  # the machine may be busy
            tries.append(two_at_once(port))
        assert 0.1 <= min(tries) < 0.19, "one after the other they take 0.2 s"
        assert get(port, "/").status == 404
        assert server.stop() == 0
        assert len(server.err.splitlines()) == 2 + 2 * len(tries)  # an access record for each, and nothing else


def two_at_once(port: int) -> float:
    """Seconds that two requests to the sleeping handler take together."""
    start = time.monotonic()
    jobs = [gevent.spawn(get, port, f"/hello/{n}/x?who=%C3%BC") for n in range(2)]
    gevent.joinall(jobs)
    seconds = time.monotonic() - start
    assert [json.loads(job.value.body) for job in jobs] == [{"path": f"{n}/x", "who": "ü"} for n in range(2)]
    return seconds


# -- errors at the start ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serve", "nowhere"], "greenbas: nowhere: no such folder, and not of the form module:name"),
        (["check", "nowhere"], "greenbas: nowhere: no such folder, and not of the form module:name"),
        (["serve", "nomodule:x"], "greenbas: nomodule: no such module here or on the Python path"),
        (["serve", "www", "--set", "idel_timeout=3"], "greenbas: unknown setting 'idel_timeout'; did you mean .*"),
        (["check", "www", "--set", "qqq=3"], "greenbas: unknown setting 'qqq'; there are head_timeout, .*"),
        (["serve", "www", "--set", "idle_timeout"], "greenbas: --set idle_timeout: use NAME=VALUE"),
        (["serve", "www", "--set", "=3"], "greenbas: unknown setting ''; there are .*"),
        (["serve", "www", "--set", "idle_timeout=abc"], "greenbas: idle_timeout: 'abc' is not a number"),
        (["serve", "www", "--set", "idle_timeout="], "greenbas: idle_timeout: '' is not a number"),
        (["serve", "www", "--set", "idle_timeout=-1"], "greenbas: idle_timeout: -1 must be more than zero"),
        (["serve", "www", "--set", "idle_timeout=none"], "greenbas: idle_timeout: None is not allowed, .*"),
        (["serve", "www", "--set", "max_fields=1.5"], "greenbas: max_fields: 1.5 is not a whole number"),
        (["serve", "www", "--set", "dev=maybe"], "greenbas: dev: 'maybe' is neither True nor False"),
        (["serve", "www", "--set", "trusted_proxies=x y"], "greenbas: trusted proxy 'x': .*"),
        (["serve", "www", "--port", "70000"], "greenbas: --port 70000: use 0 (any that is free) to 65535"),
        (["serve", "www", "--port", "-1"], "greenbas: --port -1: use 0 (any that is free) to 65535"),
        (["serve", "www", "--port-range", "70000"], "greenbas: --port-range 70000: use 0 (any that is free) to 65535"),
        (["serve", "x="], "greenbas: 'x=' names nothing to serve: write PREFIX=APP, such as x=folder"),
        (["check", "x="], "greenbas: 'x=' names nothing to serve: write PREFIX=APP, such as x=folder"),
        (["serve", "www", "--port-range", "80"], "greenbas: --port-range 80 is below --port 9357"),
        (["serve", "www", "--host", "no.host.invalid"], "greenbas: cannot listen on no.host.invalid:9357: .*"),
        (["serve", "www", "--host", "192.0.2.1"], "greenbas: cannot listen on 192.0.2.1:9357: Cannot assign .*"),
        (["run", "missing.py"], "greenbas: missing.py: no such script"),
        (["run", "www"], "greenbas: www: no such script"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_line(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    code, out, err = called(capsys, *arguments)
    pattern = ".*".join(re.escape(part) for part in line.split(".*"))
    assert re.fullmatch(pattern + "\n", err), err
    assert (code, out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["bogus"], "choose from 'serve', 'check', 'new', 'run', 'hash-password', 'version'"),
        (["serve", "--port", "x"], "invalid int value: 'x'"),
        (["serve", "--log", "xml"], "choose from 'text', 'json', 'none'"),
        (["serve", "--bogus"], "unrecognized arguments: --bogus"),
        (["run"], "the following arguments are required: SCRIPT\n"),
        (["run", "--bogus", "x.py"], "unrecognized arguments: --bogus"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, out, err = called(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "usage: greenbas" in err


@pytest.mark.parametrize("command", [["serve", "hello:server"], [None]], ids=["serve", "python"])
def test_a_taken_port(tmp_path: Path, command: list[str | None]) -> None:
    """Seen from outside: one line on standard error, exit code 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fill(tmp_path, {"hello.py": EXAMPLE.replace("9357", str(port))})
        start = [sys.executable, "hello.py"] if command == [None] else [*GREENBAS, "serve", "hello:server"]
        done = finished(tmp_path, [*start, *([] if command == [None] else ["--port", str(port)])])
    assert done.stderr == f"greenbas: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_in_development_an_error_shows_where_it_comes_from(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"bad.py": "def f():\n    return {}['key']\nf()\n"})
    code, _, err = called(capsys, "serve", "bad:server", "--dev")
    assert code == 1
    assert "Traceback" in err and "return {}['key']" in err
    assert err.endswith(f"greenbas: bad: {here}/bad.py line 2: KeyError: 'key'\n")


# -- listening ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def two_taken_ports() -> Iterator[int]:
    """The first of two in a row."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = int(one.getsockname()[1])
            try:
                two = socket.create_server(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            with two:
                yield port
                return


def test_port_range(tmp_path: Path) -> None:
    with (
        two_taken_ports() as first,
        running(tmp_path, [*GREENBAS, "serve", ".", "--port", str(first), "--port-range", str(first + 20)]) as server,
    ):
        assert first + 2 <= server.port <= first + 20
        assert get(server.port, "/").status == 404


def test_a_full_port_range(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with two_taken_ports() as first:
        code, _, err = called(capsys, "serve", "www", "--port", str(first), "--port-range", str(first + 1))
    assert (code, err) == (1, f"greenbas: cannot listen on 127.0.0.1:{first + 1}: Address already in use\n")


def test_other_ports_are_tried_only_when_that_can_help(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def getaddrinfo(*arguments: object, **options: object) -> object:
        if not int(str(arguments[-1])) & socket.AI_NUMERICHOST:
            asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(resolver, "_getaddrinfo", getaddrinfo)
    code, _, err = called(capsys, "serve", "www", "--host", "typo", "--port-range", "9999")
    assert (code, err) == (1, "greenbas: cannot listen on typo:9357: Name or service not known\n")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("host", "shown", "address"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "localhost", "127.0.0.1"),
        ("", "localhost", "127.0.0.1"),
        ("::1", "[::1]", "::1"),
    ],
)
def test_host(tmp_path: Path, host: str, shown: str, address: str) -> None:
    try:
        socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError as error:
        assert error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
        pytest.skip(f"no {address} here")
    with running(tmp_path, [*GREENBAS, "serve", "--host", host, "--port", "0"]) as server:
        assert server.out == f"greenbas serves http://{shown}:{server.port}/\n"
        socket.create_connection((address, server.port), 5).close()
        assert server.stop() == 0


def test_the_descriptor_limit_is_raised(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fill(
        tmp_path,
        {
            "limits.py": "import resource\ndef limits(request, response):\n"
            "    return list(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        },
    )
    command = [*GREENBAS, "serve", "limits:limits", "--port", "0"]
    with running(tmp_path, ["bash", "-c", f"ulimit -S -n 64; exec {' '.join(command)}"]) as server:
        now, most = json.loads(get(server.port, "/").body)
        assert most == hard
        assert now == hard or now > 64 >= soft


# -- logs and development -----------------------------------------------------------------------------------------


def test_log_text(tmp_path: Path) -> None:
    fill(tmp_path, {"app.py": APP})
    with running(tmp_path, [*GREENBAS, "serve", "app:server", "--port", "0"]) as server:
        assert get(server.port, "/hello?a=1").body == b"hello"
        number = id_of(get(server.port, "/files/first").body)
        assert server.stop() == 0
        assert re.search(r'Z 127\.0\.0\.1 - "GET /hello\?a=1" 200 5 0\.\d+ [0-9a-f]+-1\n', server.err)
        assert f"request {number} GET /files/first failed" in server.err
        assert "ValueError: word-of-the-exception" in server.err
        assert re.search(rf'"GET /files/first" 500 \d+ 0\.\d+ {number}\n', server.err)


def id_of(page: bytes) -> str:
    """The request id that an error page shows."""
    (number,) = re.findall(rb"<code>([0-9a-f]+-[0-9a-f]+)</code>", page)
    return number.decode()


def test_log_json(tmp_path: Path) -> None:
    fill(tmp_path, {"app.py": APP})
    with running(tmp_path, [*GREENBAS, "serve", "app:server", "--port", "0", "--log", "json"]) as server:
        get(server.port, "/hello?a=1")
        number = id_of(get(server.port, "/files/first").body)
        assert server.stop() == 0
        records = [json.loads(line) for line in server.err.splitlines()]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", record.pop("time")) for record in records)
    first, failure, second = records
    assert 0 <= first.pop("seconds") < 1
    assert first.pop("id").endswith("-1")
    assert first == {
        "client": "127.0.0.1",
        "user": None,
        "method": "GET",
        "target": "/hello?a=1",
        "status": 200,
        "bytes": 5,
    }
    assert failure["level"] == "ERROR"
    assert number in failure["message"]
    assert "word-of-the-exception" in failure["exception"]
    assert (second["id"], second["status"]) == (number, 500)


def test_log_none(tmp_path: Path) -> None:
    fill(tmp_path, {"app.py": APP})
    with running(tmp_path, [*GREENBAS, "serve", "app:server", "--port", "0", "--log", "none"]) as server:
        get(server.port, "/hello")
        get(server.port, "/files/first")
        assert server.stop() == 0
        assert "ValueError: word-of-the-exception" in server.err  # what goes wrong is said all the same
        assert "GET /hello" not in server.err


def test_a_program_that_has_set_up_logging_keeps_it(tmp_path: Path) -> None:
    own = "import logging, sys\nlogging.basicConfig(stream=sys.stdout, level=0, format='mine: %(name)s %(message)s')\n"
    fill(tmp_path, {"app.py": own + APP})
    with running(tmp_path, [*GREENBAS, "serve", "app:server", "--port", "0"]) as server:
        get(server.port, "/hello")
        assert server.stop() == 0
        assert "mine: greenbas.access GET /hello 200\n" in server.out
        assert server.err == ""


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "2> >(exit 0)"])
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, closed: str) -> None:
    fill(tmp_path, {"app.py": APP})
    command = f"exec {' '.join([*GREENBAS, 'serve', 'app:server', '--port', '0'])} {closed}"
    with running(tmp_path, ["bash", "-c", command]) as server:
        for _ in range(3):
            assert get(server.port, "/hello").body == b"hello"
            assert get(server.port, "/files/first").status == 500
        assert server.stop() in (0, 120)  # 120: Python itself, as it cannot flush standard error


def test_dev(tmp_path: Path) -> None:
    fill(tmp_path, {"app.py": APP})
    with running(tmp_path, [*GREENBAS, "serve", "app:server", "--port", "0", "--dev"]) as server:
        assert b"ValueError: word-of-the-exception" in get(server.port, "/files/first").body
    with running(tmp_path, [*GREENBAS, "serve", "app:server", "--port", "0"]) as server:
        assert b"ValueError" not in get(server.port, "/files/first").body


def test_the_current_folder_is_served_without_an_app(tmp_path: Path) -> None:
    fill(tmp_path, {"index.html": "here", ".hidden": "SECRET"})
    with running(tmp_path, [*GREENBAS, "serve", "--port", "0"]) as server:
        assert get(server.port, "/").body == b"here"
        assert get(server.port, "/.hidden").status == 404


def test_set(tmp_path: Path) -> None:
    fill(tmp_path, {"hello.py": EXAMPLE})
    options = ["--set", "server_name=shop", "--set", "max_target=20"]
    with running(tmp_path, [*GREENBAS, "serve", "hello:server", "--port", "0", *options]) as server:
        answer = get(server.port, "/hello")
        assert answer["server"] == "shop"
        assert get(server.port, "/hello?" + "x" * 30).status == 414


# -- check --------------------------------------------------------------------------------------------------------


def test_check(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys, "check", "app:server", "www", "api/v1=app:hello")
    assert (code, err) == (0, "")
    tree, _, settings = out.partition("settings\n")
    assert re.sub(r"<(MemoryIo|DiskIo)[^>]*>", r"<\1>", tree) == (
        "directories, in the order in which they are asked\n"
        "  /  Directory\n"
        "    /hello/  Directory priority 3 function app.hello\n"
        "    /files/  ResourceReader files of <MemoryIo>\n"
        "      /files/first/  prologue Directory function app.Handlers.method\n"
        "      /files/in ner/  Directory\n"
        "    /safe/  Directory redirects to TLS\n"
        "    /  Application files of <DiskIo>\n"
        "    /api/  Directory\n"
        "      /api/v1/  Directory function app.hello\n"
        "    /  DomainReader for example.com priority -1 files of <MemoryIo>\n"
    )
    assert f"{here}/www" in tree
    settings, _, _ = settings.partition("plugins\n")  # other tests may have used some
    lines = settings.splitlines()
    assert [line.split()[0] for line in lines] == list(HttpSettings.__dataclass_fields__)
    assert "  idle_timeout = 7  (default 60.0)" in lines
    assert "  head_timeout = 15.0" in lines


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("idle_timeout=3", "idle_timeout = 3  (default 60.0)"),
        ("idle_timeout=60.0", "idle_timeout = 60.0"),
        ("idle_timeout=1e2", "idle_timeout = 100.0  (default 60.0)"),
        ("max_head=32_768", "max_head = 32768  (default 16384)"),
        ("request_timeout=5", "request_timeout = 5  (default None)"),
        ("request_timeout=None", "request_timeout = None"),
        ("request_timeout=none", "request_timeout = None"),
        ("dev=True", "dev = True  (default False)"),
        ("dev=yes", "dev = True  (default False)"),
        ("dev=off", "dev = False"),
        ("server_name=", "server_name = ''  (default 'greenbas')"),
        ("server_name=123", "server_name = '123'  (default 'greenbas')"),
        ("server_name=a=b", "server_name = 'a=b'  (default 'greenbas')"),
        ("trusted_proxies=10.0.0.0/8", "trusted_proxies = ('10.0.0.0/8',)  (default ())"),
        ("trusted_proxies=127.0.0.1, ::1", "trusted_proxies = ('127.0.0.1', '::1')  (default ())"),
        ("trusted_proxies=('127.0.0.1', 'unix')", "trusted_proxies = ('127.0.0.1', 'unix')  (default ())"),
        ("trusted_proxies='unix'", "trusted_proxies = ('unix',)  (default ())"),
        ("trusted_proxies=", "trusted_proxies = ()"),
    ],
)
def test_set_values(here: Path, capsys: pytest.CaptureFixture[str], option: str, line: str) -> None:
    code, out, err = called(capsys, "check", "www", "--set", option)
    assert (code, err) == (0, "")
    assert f"  {line}" in out.splitlines()


def test_the_last_set_counts_and_wins_over_the_program(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = called(capsys, "check", "app:server", "--set", "idle_timeout=1", "--set", "idle_timeout=2")
    assert "  idle_timeout = 2  (default 60.0)" in out.splitlines()
    _, out, _ = called(capsys, "check", "app:server", "--dev")
    assert "  dev = True  (default False)" in out.splitlines()


def test_check_finds_a_404_page_that_is_missing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys, "check", "app:broken")
    assert code == 1
    assert err == "greenbas: <DomainReader 'example.com' priority 0>: no such file or directory: 'missing.html'\n"
    assert "DomainReader for example.com" in out
    assert "settings" in out


def test_check_finds_a_folder_that_has_gone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = "import os\nos.mkdir('x')\nserver.insert(create.resrdr(DiskIo('x'), name='x'))\nos.rmdir('x')\n"
    fill(here, {"gone.py": APP + made})
    code, _, err = called(capsys, "check", "gone:server")
    assert (code, err.count("\n")) == (1, 1)
    assert "no such file or directory" in err


# -- run ----------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys, time, socket
import helper
from gevent import monkey
print(__name__, __file__, sys.argv, helper.WORD)
print(monkey.is_module_patched("socket"), monkey.is_module_patched("time"))
if len(sys.argv) > 1 and sys.argv[1] == "--exit":
    sys.exit(int(sys.argv[2]) if sys.argv[2].isdigit() else sys.argv[2])
"""


@pytest.mark.parametrize("arguments", [[], ["a", "b c", ""], ["--help"], ["--", "-x", "--port", "1"], ["serve"]])
def test_run(tmp_path: Path, arguments: list[str]) -> None:
    fill(tmp_path, {"sub/script.py": SCRIPT, "sub/helper.py": "WORD = 'helped'"})
    done = finished(tmp_path, [*GREENBAS, "run", "sub/script.py", *arguments])
    assert (done.returncode, done.stderr) == (0, "")
    argv = ["sub/script.py", *arguments]
    assert done.stdout == f"__main__ sub/script.py {argv} helped\nTrue True\n"


@pytest.mark.parametrize(("word", "code", "err"), [("0", 0, ""), ("3", 3, ""), ("words", 1, "words\n")])
def test_run_passes_the_exit_code_on(tmp_path: Path, word: str, code: int, err: str) -> None:
    fill(tmp_path, {"script.py": SCRIPT, "helper.py": "WORD = 1"})
    done = finished(tmp_path, [*GREENBAS, "run", "script.py", "--exit", word])
    assert (done.returncode, done.stderr) == (code, err)


@pytest.mark.parametrize(
    ("source", "last"),
    [
        ("def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError: division by zero"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("x = (\n", "SyntaxError: '(' was never closed"),
        # One line would not do: it does not say where in the script.
        ("from greenbas.io import MemoryIo\nMemoryIo().open('x')\n", "greenbas.errors.NotFound: no such file"),
        ("from greenbas import Server\nServer(x=1)\n", "greenbas.errors.SettingError: unknown setting 'x'"),
    ],
)
def test_a_script_that_fails_shows_its_traceback_and_not_ours(tmp_path: Path, source: str, last: str) -> None:
    fill(tmp_path, {"script.py": source})
    done = finished(tmp_path, [*GREENBAS, "run", "script.py"])
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(last)
    files = re.findall(r'File "([^"]+)"', done.stderr)
    assert Path(files[0]).name == "script.py"
    assert not any(name.endswith("cli.py") or "runpy" in name for name in files)


def test_run_waits_for_the_threads_of_the_script(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "script.py": "import threading, time\nthings = ['in the end']\n"
            "def late():\n    time.sleep(0.1)\n    print(things[0])\n"
            "threading.Thread(target=late).start()\n"
        },
    )
    done = finished(tmp_path, [*GREENBAS, "run", "script.py"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "in the end\n", "")


def test_run_waits_for_the_sockets_of_the_script(tmp_path: Path) -> None:
    source = """
        import sys
        from greenbas import net

        def echo(sock):
            while data := sock.read():
                sock.write(data)

        def accept(listener):
            listener.accept().event(echo, "s")

        listener = net.bind(0, intf="127.0.0.1")
        listener.event(accept, "r")
        print(f"greenbas serves http://127.0.0.1:{listener.sockname()[1]}/", flush=True)
    """
    fill(tmp_path, {"script.py": textwrap.dedent(source)})
    with running(tmp_path, [*GREENBAS, "run", "script.py"]) as program:
        with socket.create_connection(("127.0.0.1", program.port), timeout=10) as client:
            client.sendall(b"there and back")
            assert client.recv(100) == b"there and back"
        assert (program.code(), program.err) == (0, "")


def test_ctrl_c_ends_a_script_of_sockets_without_a_traceback(tmp_path: Path) -> None:
    source = """
        from greenbas import net
        listener = net.bind(0, intf="127.0.0.1")
        listener.event(lambda sock: sock.accept(), "r")
        print(f"greenbas serves http://127.0.0.1:{listener.sockname()[1]}/", flush=True)
    """
    fill(tmp_path, {"script.py": textwrap.dedent(source)})
    with running(tmp_path, [*GREENBAS, "run", "script.py"]) as program:
        time.sleep(0.2)  # the address is printed by the script, which has to end first
        assert (program.stop(signal.SIGINT), program.err) == (130, "")


# -- version ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_version(capsys: pytest.CaptureFixture[str], argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "version", lambda name: {"greenbas": "1.2.3"}[name])
    assert called(capsys, argument) == (0, "greenbas 1.2.3\n", "")


def test_version_of_a_tree_that_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "version", lambda name: version("no-such-distribution"))
    assert called(capsys, "version") == (0, "greenbas (not installed)\n", "")


def test_python_m(tmp_path: Path) -> None:
    done = finished(tmp_path, [*GREENBAS, "version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("greenbas ")
    done = finished(tmp_path, GREENBAS)
    assert done.returncode == 2
    assert "usage: greenbas" in done.stderr


def test_a_client_that_hangs_up_in_the_middle_says_nothing(tmp_path: Path) -> None:
    fill(tmp_path, {"hello.py": EXAMPLE})
    with running(tmp_path, [*GREENBAS, "serve", "hello:server", "--port", "0", "--log", "none"]) as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ask(server.port, "GET /hello HTTP/1.1\nHost: x\n\n").status == 200
        assert server.stop(signal.SIGINT) == 0
        wait_until(lambda: server.err == "")


# -- new ----------------------------------------------------------------------------------------------------------


def test_new_app(tmp_path: Path) -> None:
    made = finished(tmp_path, [*GREENBAS, "new", "app", "shop"])
    assert (made.returncode, made.stdout) == (0, "made shop; to see it: greenbas serve shop --reload --dev\n")
    command = [*GREENBAS, "serve", "shop", "--reload", "--dev", "--port", "0"]
    with running(tmp_path, command) as server:
        assert b"asked for 1 times" in get(server.port, "/").body
        assert server.stop() == 0
        assert "shop ends after 1 visits" in server.out
    again = finished(tmp_path, [*GREENBAS, "new", "app", "shop"])
    assert again.returncode == 1
    assert again.stderr == "greenbas: shop is there already: choose another name\n"


@pytest.mark.parametrize("arguments", [["check", "www"], ["version"]])
def test_a_reader_that_has_seen_enough(here: Path, arguments: list[str]) -> None:
    """As in `greenbas check | head`: no traceback, and the exit code of programs that SIGPIPE ends."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as out:
        done = subprocess.run(
            [*GREENBAS, *arguments], cwd=here, env=environment(), stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")
