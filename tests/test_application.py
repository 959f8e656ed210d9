"""Applications: the start script, modules, scopes, and that nothing is left when they end."""

from __future__ import annotations

import gc
import logging
import socket
import sys
import weakref
from pathlib import Path
from typing import Any

import gevent
import pytest
from commands import fill
from launch import free_port
from leaks import nothing_left
from support import wait_until
from trees import Tree
from web import ask, get, head, serving

from greenbas.app import load
from greenbas.application import Application
from greenbas.dispatcher import current_owner
from greenbas.errors import IncorrectUse, StartError
from greenbas.io import DiskIo, Io, MemoryIo
from greenbas.vfs import Directory

PRELOAD = """
from greenbas import Timer, spawn
import threading

count = 0
shared = appreq("shared")
log = []

def on_unload():
    log.append("unloaded")
"""
FILES = {
    ".preload.py": PRELOAD,
    ".modules/shared.py": "value = 7\ndef where():\n    return app, io, dir\n",
    ".modules/deep/er.py": "from time import time\nname = __name__\n",
    "index.psp": "<?psp app.count += 1 ?><?psp= app.count ?> <?psp= app.shared.value ?> <?psp= dir.name() ?>",
    "deep.psp": '<?psp= app.appreq("deep.er").name ?>',
    "style.css": "body {}",
    "sub/index.html": "static",
    "sub/page.psp": '<?psp page.hits = getattr(page, "hits", 0) + 1 ?><?psp= page.hits ?>',
}


def io_of(files: dict[str, str]) -> Io:
    tree = Tree(None)
    for path, text in files.items():
        tree.write(path, text.encode())
    return tree.io


def write(io: Io, path: str, text: str) -> None:
    with io.open(path, "w") as handle:
        handle.write(text.encode())


def body(server: Any, path: str) -> str:
    answer = get(server, path)
    assert answer.status == 200, (answer.status, answer.body)
    return answer.body.decode()


# -- pages, files, modules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "shop"])
def test_an_application(name: str | None) -> None:
    base = f"/{name}/" if name else "/"
    with serving() as server:
        server.insert(Application(io_of(FILES), name=name))
        assert body(server, base) == f"1 7 {name or ''}"
        assert body(server, f"{base}index.psp") == f"2 7 {name or ''}"
        assert body(server, f"{base}deep.psp").endswith(".deep.er")
        assert body(server, f"{base}style.css") == "body {}"
        assert body(server, f"{base}sub/") == "static"
        assert body(server, f"{base}sub/page.psp") == "1"
        assert body(server, f"{base}sub/page.psp") == "2"


@pytest.mark.parametrize("path", [".preload.py", ".modules/shared.py", ".modules/", ".modules", "sub/../.preload.py"])
def test_scripts_and_modules_are_hidden(path: str) -> None:
    with serving() as server:
        server.insert(Application(io_of(FILES)))
        assert get(server, f"/{path}").status == 404


def test_applications_keep_apart() -> None:
    with serving() as server:
        for name in ("one", "two"):
            server.insert(Application(io_of(FILES), name=name))
        assert [body(server, f"/{name}/") for name in ("one", "one", "two")] == ["1 7 one", "2 7 one", "1 7 two"]
        assert [body(server, "/one/sub/page.psp"), body(server, "/two/sub/page.psp")] == ["1", "1"]


def test_what_a_module_sees() -> None:
    app = Application(io_of(FILES))
    module = app.scope.shared
    assert module.where() == (app.scope, app.io(), app)
    assert app.appreq("shared") is module
    assert "shared" not in sys.modules and sys.modules[module.__name__] is module
    app.unload()
    assert module.__name__ not in sys.modules and module.__name__.partition(".")[0] not in sys.modules


def test_dataclasses_with_text_for_annotations() -> None:
    """They look their module up in sys.modules."""
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A: x: int = 1\n"
    app = Application(io_of({".preload.py": f"{text}b = appreq('b')", ".modules/b.py": text}))
    assert (app.scope.A().x, app.scope.b.A().x) == (1, 1)


def test_a_missing_module() -> None:
    app = Application(io_of(FILES))
    with pytest.raises(ModuleNotFoundError, match=r"no module 'nothing': \.modules/nothing\.py is missing"):
        app.appreq("nothing")


def test_a_module_that_fails_is_tried_again() -> None:
    io = io_of(FILES)
    app = Application(io)
    write(io, ".modules/bad.py", "1/0")
    with pytest.raises(ZeroDivisionError):
        app.appreq("bad")
    write(io, ".modules/bad.py", "fine = 1")
    assert app.appreq("bad").fine == 1


def test_modules_that_want_each_other() -> None:
    io = io_of({".modules/a.py": "b = appreq('b')\nx = 1", ".modules/b.py": "a = appreq('a')"})
    app = Application(io)
    assert app.appreq("a").b.a is app.appreq("a")


@pytest.mark.parametrize("name", ["../index", "..shared", "/shared", ""])
def test_modules_stay_in_their_folder(name: str) -> None:
    with pytest.raises((ModuleNotFoundError, OSError)):
        Application(io_of(FILES)).appreq(name)


def test_a_folder_without_a_script_is_an_application_too() -> None:
    with serving() as server:
        server.insert(Application(io_of({"a.psp": "<?psp= 6 * 7 ?>"})))
        assert body(server, "/a.psp") == "42"


def test_directories_of_an_application() -> None:
    script = """
from greenbas import create
api = create.dir("api")
api.set_func(lambda request, response: {"path": request.relpath, "own": str(owner() is not None)})
dir.insert(api)
from greenbas.dispatcher import current_owner as owner
"""
    with serving() as server:
        server.insert(Application(io_of({".preload.py": script}), name="x"))
        assert body(server, "/x/api/a/b") == '{"path":"a/b","own":"True"}'
        assert current_owner() is None


# -- start failures -----------------------------------------------------------------------------------------------

LEAKY = """
import socket, threading, time
from greenbas import Timer, spawn, create
timer = Timer(print)
timer.set(60)
spawn(time.sleep, 60)
threading.Thread(target=time.sleep, args=(60,)).start()
sock = own(socket.create_server(("127.0.0.1", 0)))
dir.insert(create.dir("x"))
"""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("x = 1\n1/0\n", r".*\.preload\.py line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", r".*\.preload\.py line 1: invalid syntax"),
        ("appreq('bad')\n", r".*\.modules/bad\.py line 2: KeyError: 'key'"),
        ("appreq('nowhere')\n", r".*\.preload\.py line 1: ModuleNotFoundError: this application has no module .*"),
        ("import nowhere_at_all\n", r".*\.preload\.py line 1: ModuleNotFoundError: No module named .*"),
        ("raise SystemExit(3)", r".*\.preload\.py line 1: SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("on", ["disk", "memory"])
@pytest.mark.filterwarnings("ignore:Exception in thread:pytest.PytestUnhandledThreadExceptionWarning")
def test_start_failures(script: str, message: str, on: str, tmp_path: Path) -> None:
    files = {".preload.py": LEAKY + script, ".modules/bad.py": "x = {}\nx['key']\n"}
    line = LEAKY.count("\n")
    expected = message.replace("line 1", f"line {line + 1}").replace("line 2:", f"line {line + 2}:")
    if "bad" in script:
        expected = message
    fill(tmp_path, files)
    io: Io = DiskIo(str(tmp_path)) if on == "disk" else io_of(files)
    with nothing_left():
        with pytest.raises(StartError, match=f"^{expected}$") as caught:
            Application(io)
        caught.value.__cause__ = None
        del caught
        gc.collect()


def test_a_start_failure_leaves_nothing_mounted(tmp_path: Path) -> None:
    fill(tmp_path, {"good/.preload.py": "log = []\ndef on_unload(): log.append(1)", "bad/.preload.py": "1/0"})
    with nothing_left(), pytest.raises(StartError, match=r"bad/\.preload\.py line 1: ZeroDivisionError"):
        load([f"a={tmp_path}/good", f"b={tmp_path}/bad"])


# -- the end ------------------------------------------------------------------------------------------------------


def test_on_unload_is_called_when_the_server_stops() -> None:
    with serving() as server:
        app = Application(io_of(FILES))
        server.insert(app)
        log = app.scope.log
        get(server, "/")
    assert log == ["unloaded"]


def test_on_unload_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(io_of({".preload.py": "own(open('/dev/null'))\ndef on_unload(): 1/0\n"}))
    with caplog.at_level(logging.ERROR, "greenbas.app"), nothing_left():
        app.unload()
    assert "on_unload failed" in caplog.text
    assert app.owner.things() == []


def test_a_second_unload_does_nothing() -> None:
    app = Application(io_of(FILES))
    log = app.scope.log
    app.unload()
    app.unload()
    assert log == ["unloaded"]


def test_a_stop_before_the_start_unloads_too() -> None:
    from greenbas import Server

    server = Server()
    app = Application(io_of(FILES))
    server.insert(app)
    server.stop()
    assert app.scope.log == ["unloaded"]


BUSY = """
import socket, threading, time
import gevent
from greenbas import Timer, spawn, create

class Thing: pass
thing = Thing()
ticks = []
timer = Timer(lambda: ticks.append(1) or True)
timer.set(0.01)
spawn(time.sleep, 600)
gevent.spawn(time.sleep, 600)
threading.Thread(target=time.sleep, args=(600,)).start()

listener = socket.create_server(("127.0.0.1", PORT))
def accept():
    while True:
        client, _ = listener.accept()
        gevent.spawn(echo, client)
def echo(client):
    with client:
        while data := client.recv(100):
            client.sendall(data)
gevent.spawn(accept)  # as a thread it would stay: pytest keeps the exceptions of threads, and with them their frames

sub = create.dir("sub")
sub.set_func(lambda request, response: "sub " + VERSION)
dir.insert(sub)
outside = create.dir("outside")
outside.set_func(lambda request, response: "outside " + VERSION)
def attach(root):
    root.insert(outside)
"""


@pytest.mark.filterwarnings("ignore:Exception in thread:pytest.PytestUnhandledThreadExceptionWarning")
def test_ten_reloads_leave_nothing_behind() -> None:
    port = free_port()
    io = MemoryIo()

    def version(text: str) -> None:
        write(io, ".preload.py", f"PORT, VERSION = {port}, {text!r}\n{BUSY}")
        write(io, "index.psp", "<?psp= app.VERSION ?> <?psp spawn = app.spawn(app.time.sleep, 600) ?>")

    version("one")
    with serving() as server:
        app = Application(io)
        server.insert(app)
        attach(app, server.root)
        talk(port)
        dead = []
        with nothing_left():
            for number in range(10):
                dead.append(weakref.ref(app.scope.thing))
                version(f"v{number}")
                app.reload()
                attach(app, server.root)
                assert body(server, "/sub/") == f"sub v{number}"
                assert body(server, "/outside/") == f"outside v{number}"
                assert body(server, "/") == f"v{number} "
                talk(port)
                assert [child.name() for child in server.root.children] == ["", "outside"]
                assert [child.name() for child in app.children] == ["sub"]
        gc.collect()
        assert [ref() for ref in dead] == [None] * 10


def attach(app: Application, root: Directory) -> None:
    with app.owner.current():
        app.scope.attach(root)


def talk(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"ping")
        assert client.recv(10) == b"ping"


def test_a_failed_reload_says_so_until_the_next() -> None:
    io = io_of({".preload.py": "x = 1", "a.psp": "<?psp= app.x ?>"})
    with serving(dev=True) as server:
        app = Application(io)
        server.insert(app)
        assert body(server, "/a.psp") == "1"
        write(io, ".preload.py", "x = 1\ny = unknown\n")
        with pytest.raises(StartError):
            app.reload()
        answer = get(server, "/a.psp")
        assert answer.status == 503 and answer["retry-after"] == "1"
        assert b"line 2: NameError: name &#x27;unknown&#x27; is not defined" in answer.body
        write(io, ".preload.py", "x = 2")
        app.reload()
        assert body(server, "/a.psp") == "2"


def test_a_failure_is_not_told_to_strangers() -> None:
    io = io_of({".preload.py": "x = 1"})
    with serving() as server:
        app = Application(io)
        server.insert(app)
        write(io, ".preload.py", "1/0")
        with pytest.raises(StartError):
            app.reload()
        answer = get(server, "/")
        assert answer.status == 503 and b"preload" not in answer.body


def test_a_request_of_the_old_one_goes_on_during_a_reload() -> None:
    started, go = gevent.event.Event(), gevent.event.Event()
    slow = "<?psp app.started.set(); app.go.wait() ?><?psp= app.value ?>"
    io = io_of({".preload.py": "value = 'old'", "slow.psp": slow})
    with serving() as server:
        app = Application(io)
        server.insert(app)
        app.scope.started, app.scope.go = started, go
        asking = gevent.spawn(get, server, "/slow.psp")
        assert started.wait(5)
        write(io, ".preload.py", "value = 'new'")
        app.reload()
        go.set()
        assert asking.get(timeout=5).body == b"old"


def test_a_post_reaches_a_page() -> None:
    with serving() as server:
        server.insert(Application(io_of({"form.psp": '<?psp= request.data("a") ?>'})))
        request = head(
            "POST /form.psp HTTP/1.1", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 5"
        )
        assert ask(server, request + "a=b+c", "POST").body == b"b c"


# -- what happens at the same time ---------------------------------------------------------------------------------

TICKING = """
import gevent
from greenbas import Timer
timer = Timer(lambda: True)
timer.set(60)
gevent.sleep(0.02)
log.append(timer)
"""


def ticking(log: list[Any]) -> Application:
    return Application(io_of({".preload.py": "import __main__ as m\nlog = m.greenbas_log\n" + TICKING}))


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    log: list[Any] = []
    monkeypatch.setattr(sys.modules["__main__"], "greenbas_log", log, raising=False)
    return log


def test_what_a_request_opens_after_a_reload_is_closed_with_it(timers: list[Any]) -> None:
    page = """<?psp
import gevent, __main__
from greenbas import Timer, create
log = __main__.greenbas_log
app.started.set(); app.go.wait()
timer = Timer(lambda: True); timer.set(60)
sub = create.dir("late"); dir.insert(sub)
log.extend([timer, gevent.spawn(gevent.sleep, 60), sub])
log.append(timer.active)
?>ok"""
    io = io_of({".preload.py": "import gevent.event as e\nstarted, go = e.Event(), e.Event()", "p.psp": page})
    with serving() as server:
        app = Application(io)
        server.insert(app)
        started, go = app.scope.started, app.scope.go
        asking = gevent.spawn(get, server, "/p.psp")
        assert started.wait(5)
        old = app.owner
        app.reload()
        go.set()
        assert asking.get(timeout=5).body == b"ok"
        timer, greenlet, sub, was_active = timers
        wait_until(lambda: not timer.active and greenlet.dead and sub.parent is None)
        wait_until(lambda: old.things() == [])
        assert was_active


def test_concurrent_reloads_leave_one(timers: list[Any]) -> None:
    app = ticking(timers)
    gevent.joinall([gevent.spawn(app.reload) for _ in range(3)], raise_error=True)
    assert [timer.active for timer in timers] == [False, False, False, True]
    app.close()
    assert not timers[-1].active


def test_close_during_a_reload_is_final(timers: list[Any]) -> None:
    app = ticking(timers)
    reloading = gevent.spawn(app.reload)
    gevent.sleep(0.005)
    app.close()
    reloading.get(timeout=5)
    assert [timer.active for timer in timers] == [False, False]
    app.reload()
    assert len(timers) == 2
    with pytest.raises(IncorrectUse, match="has been closed"):
        app.load()


def test_close_does_not_wait_for_a_start_script_that_hangs(monkeypatch: pytest.MonkeyPatch, timers: list[Any]) -> None:
    monkeypatch.setattr("greenbas.application.WAIT_SECONDS", 0.01)
    app = ticking(timers)
    write(app.io(), ".preload.py", "import __main__ as m\nlog = m.greenbas_log\nlog[0].go.wait()" + TICKING)
    timers[:] = [type("Gate", (), {"go": gevent.event.Event()})]
    reloading = gevent.spawn(app.reload)
    gevent.sleep(0)
    app.close()
    timers[0].go.set()
    reloading.get(timeout=5)
    assert not timers[1].active  # it has unloaded itself


ODD = {
    "timeout": "with gevent.Timeout(0.001): gevent.sleep(5)",
    "base": "raise BaseException('odd')",
    "exit": "raise SystemExit(0)",
}


@pytest.mark.parametrize("kind", ODD)
def test_a_base_exception_in_the_start_script_is_a_start_error(kind: str) -> None:
    script = "import gevent\nfrom greenbas import Timer\nTimer(print).set(60)\n" + ODD[kind]
    before = set(sys.modules)
    with nothing_left(), pytest.raises(StartError, match=r"line .*: (Timeout|BaseException|SystemExit): "):
        Application(io_of({".preload.py": script}))
    assert not [name for name in set(sys.modules) - before if name.startswith("app")]


@pytest.mark.parametrize("kind", ["GreenletExit", "KeyboardInterrupt"])
def test_who_is_ended_while_loading_cleans_up_too(kind: str, timers: list[Any]) -> None:
    script = f"from greenlet import GreenletExit\nimport __main__ as m\nlog = m.greenbas_log\n{TICKING}\nraise {kind}\n"
    before = set(sys.modules)
    with pytest.raises((gevent.GreenletExit, KeyboardInterrupt)):
        Application(io_of({".preload.py": script}))
    assert not timers[0].active and not [name for name in set(sys.modules) - before if name.startswith("app")]


@pytest.mark.parametrize("kind", ODD)
def test_a_base_exception_in_on_unload_does_not_keep_it_open(
    kind: str, timers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    script = f"import __main__ as m\nlog = m.greenbas_log\n{TICKING}\ndef on_unload():\n    {ODD[kind]}\n"
    app = Application(io_of({".preload.py": script}))
    name = app.appreq.__self__._modules.start.__name__  # type: ignore[attr-defined]
    app.unload()
    assert not timers[0].active and name not in sys.modules and app.filter(".psp") is None
    assert "on_unload failed" in caplog.text


@pytest.mark.parametrize(
    "path", [".preload.py", "/.preload.py", "x/../.preload.py", ".modules/m.py", "/.modules//m.py", ".modules"]
)
@pytest.mark.parametrize("how", ["forward", "include"])
def test_sources_are_hidden_from_forwards_too(path: str, how: str) -> None:
    page = f"<?psp response.{how}(request.data('p')) ?>"
    io = io_of({".preload.py": "x = 'password'", ".modules/m.py": "x = 'password'", "p.psp": page, ".note": "fine"})
    with serving() as server:
        server.insert(Application(io))
        assert b"password" not in get(server, f"/p.psp?p={path}").body
        assert get(server, f"/p.psp?p={path}").status != 200
        assert get(server, "/p.psp?p=.note").body == b"fine"


def test_a_module_that_is_being_loaded_is_waited_for() -> None:
    app = Application(io_of({".modules/slow.py": "import gevent\ngevent.sleep(0.02)\nvalue = 1"}))
    asking = [gevent.spawn(lambda: app.appreq("slow").value) for _ in range(3)]
    assert [one.get(timeout=5) for one in asking] == [1, 1, 1]


def test_two_greenlets_may_load_modules_that_want_each_other() -> None:
    text = "import gevent\ngevent.sleep(0.01)\nother = appreq('{}')\nvalue = 1\n"
    app = Application(io_of({".modules/a.py": text.format("b"), ".modules/b.py": text.format("a")}))
    a, b = gevent.spawn(app.appreq, "a"), gevent.spawn(app.appreq, "b")
    assert a.get(timeout=5).other is b.get(timeout=5) and b.get().other is a.get()
    assert a.get().value == b.get().value == 1


def test_a_module_that_fails_leaves_nothing_open(timers: list[Any]) -> None:
    bad = f"import __main__ as m\nlog = m.greenbas_log\n{TICKING}\n1/0"
    app = Application(io_of({".modules/bad.py": bad, ".modules/good.py": bad.removesuffix("1/0")}))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            app.appreq("bad")
    assert [timer.active for timer in timers] == [False] * 3 and app.owner.things() == []
    app.appreq("good")
    assert timers[3].active
    app.unload()
    assert not timers[3].active


def test_a_module_that_fails_after_an_unload_says_why() -> None:
    app = Application(io_of({".modules/late.py": "import gevent\ngevent.sleep(0.01)\nraise ValueError('original')"}))
    asking = gevent.spawn(app.appreq, "late")
    gevent.sleep(0)
    app.reload()
    with pytest.raises(ValueError, match="original"):
        asking.get(timeout=5)


SLOW_START = """
import __main__
gates = __main__.greenbas_log
if gates:
    gates[0].set()
    gates[1].wait()
value = len(gates)
"""


@pytest.mark.parametrize("path", ["/", "/index.psp", "/include.psp", "/style.css"])
def test_requests_wait_for_a_reload(path: str, timers: list[Any]) -> None:
    include = "<?psp response.include('index.psp') ?>"
    files = {"index.psp": "<?psp= app.value ?>", "include.psp": include, "style.css": "2"}
    with serving() as server:
        app = Application(io_of({".preload.py": SLOW_START, **files}))
        server.insert(app)
        timers += [gevent.event.Event(), gevent.event.Event()]
        reloading = gevent.spawn(app.reload)
        assert timers[0].wait(5)
        asking = gevent.spawn(get, server, path)
        gevent.sleep(0.02)
        assert not asking.dead
        timers[1].set()
        reloading.get(timeout=5)
        answer = asking.get(timeout=5)
        assert (answer.status, answer.body) == (200, b"2")


def test_a_page_in_flight_may_include_another_during_a_reload(timers: list[Any]) -> None:
    slow = "<?psp app.started.set(); app.go.wait(); response.include('index.psp') ?>"
    start = "import gevent.event as e\nstarted, go = e.Event(), e.Event()\n" + SLOW_START
    with serving() as server:
        app = Application(io_of({".preload.py": start, "index.psp": "<?psp= app.value ?>", "slow.psp": slow}))
        server.insert(app)
        started, go = app.scope.started, app.scope.go
        asking = gevent.spawn(get, server, "/slow.psp")
        assert started.wait(5)
        timers += [gevent.event.Event(), gevent.event.Event()]
        reloading = gevent.spawn(app.reload)
        assert timers[0].wait(5)
        go.set()
        gevent.sleep(0.02)
        timers[1].set()
        reloading.get(timeout=5)
        assert asking.get(timeout=5).body == b"2"


def test_requests_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, timers: list[Any]) -> None:
    monkeypatch.setattr("greenbas.application.WAIT_SECONDS", 0.01)
    with serving() as server:
        app = Application(io_of({".preload.py": SLOW_START}))
        server.insert(app)
        timers += [gevent.event.Event(), gevent.event.Event()]
        reloading = gevent.spawn(app.reload)
        assert timers[0].wait(5)
        answer = get(server, "/")
        assert answer.status == 503 and answer["retry-after"] == "1"
        timers[1].set()
        reloading.get(timeout=5)


def test_an_include_from_an_application_that_failed_raises_the_start_error() -> None:
    page = "<?psp\ntry: response.include('/b/x.psp')\nexcept Exception as e: print(type(e).__name__, e)\n?>"
    with serving() as server:
        bad = Application(io_of({"x.psp": "x"}), name="b", priority=1)
        server.insert(bad)
        server.insert(Application(io_of({"p.psp": page})))
        write(bad.io(), ".preload.py", "1/0")
        with pytest.raises(StartError):
            bad.reload()
        assert body(server, "/p.psp").startswith("StartError ")
        assert "ZeroDivisionError" in body(server, "/p.psp")


def test_a_page_may_reload_its_own_application() -> None:
    with serving() as server:
        page = "<?psp dir.reload() ?><?psp response.include('i.psp') ?>"
        server.insert(Application(io_of({"r.psp": page, "i.psp": "i"})))
        assert body(server, "/r.psp") == "i"


# -- Python files that lie in the open ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["tool.py", "sub/tool.PY", "tool.py~", "tool.pyc", "tool.py.gz", "tool.py/"])
def test_python_files_are_not_sent(path: str) -> None:
    with serving() as server:
        files = {".preload.py": "", "tool.py": "password = 1", "sub/tool.PY": "", "tool.txt": "text"}
        server.insert(Application(io_of({**files, "tool.py~": "", "tool.pyc": "", "tool.py.gz": ""})))
        assert get(server, f"/{path}").status == 404
        assert body(server, "/tool.txt") == "text"


def test_the_start_script_may_have_python_files_sent() -> None:
    """Through a reload, too."""
    files = {".preload.py": "dir.set_private('.key')", "tool.py": "x = 1", "a.psp": "page", "a.key": ""}
    app = Application(io_of(files))
    with serving() as server:
        server.insert(app)
        for _ in range(2):
            assert body(server, "/tool.py") == "x = 1"
            assert body(server, "/a.psp") == "page"
            assert get(server, "/a.key").status == 404
            app.reload()
