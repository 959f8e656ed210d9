"""Patching first, late, twice and never: each in a process of its own."""

from __future__ import annotations

import pytest
from programs import run_program

FIRST = "import greenbas; greenbas.patch()"
PATCH = """
import greenbas
try:
    greenbas.patch()
except greenbas.errors.LatePatch as error:
    print(error)
else:
    print("patched")
"""

# What is done before patch(), and what it says then.
EARLY = [
    ("nothing", "", "patched"),
    ("standard library", "import ssl, socket, threading, queue, subprocess, urllib.request, smtplib", "patched"),
    ("dispatcher", "import greenbas.dispatcher, greenbas.net, greenbas.http, greenbas.vfs", "patched"),
    ("time", "import time; time.sleep(0)", "patched"),
    ("socket module", "import socket as other", "patched"),
    ("sleep", "from time import sleep", "late: __main__ has time.sleep"),
    ("sleep renamed", "from time import sleep as pause", "late: __main__ has time.sleep"),
    ("two", "from time import sleep; from select import poll", "late: __main__ has select.poll, time.sleep"),
    ("SSLContext", "from ssl import SSLContext", "late: __main__ has ssl.SSLContext"),
    ("Thread", "from threading import Thread, Lock", "late: __main__ has threading.Lock, threading.Thread"),
    ("Popen", "from subprocess import run", "late: __main__ has subprocess.run"),
    ("getaddrinfo", "from socket import getaddrinfo", "late: __main__ has socket.getaddrinfo"),
    ("requests", "import requests", "late: "),
]


@pytest.mark.parametrize(("before", "said"), [row[1:] for row in EARLY], ids=[row[0] for row in EARLY])
def test_what_was_copied_before_patching_is_found(before: str, said: str) -> None:
    lines = run_program(f"{before}\n{PATCH}").splitlines()
    expected = said.replace("late: ", "too late to patch: ")
    assert len(lines) == 1
    assert lines[0].startswith(expected)
    if said != "patched":
        remedy = "Start the program with 'greenbas run' or 'greenbas serve', "
        assert lines[0].endswith(remedy + "or make 'import greenbas; greenbas.patch()' its first line.")


def test_requests_before_patching_names_its_modules() -> None:
    names = run_program(f"import requests\n{PATCH}").removeprefix("too late to patch: ").partition(". Start")[0]
    *shown, more = names.split("; ")
    assert len(shown) == 5  # a line, not a page
    assert all(entry.split(".")[0] in ("requests", "urllib3", "charset_normalizer", "idna") for entry in shown)
    assert more.startswith("and ") and more.endswith(" more modules")


def test_a_refused_patch_changes_nothing() -> None:
    said = run_program(
        f"""
from time import sleep
{PATCH}
import socket, time
print(time.sleep is sleep, greenbas.dispatcher.is_patched(), socket.socket.__module__)
"""
    )
    assert said.splitlines()[1] == "True False socket"


def test_a_library_imported_after_patching_cooperates() -> None:
    said = run_program(
        f"""
        {FIRST}
        import requests, ssl, socket, time, threading
        print(greenbas.dispatcher.is_patched(), socket.socket.__module__, ssl.SSLContext.__module__)
        import gevent
        order = []
        def work(name):
            for number in range(3):
                order.append(name)
                time.sleep(0.001)
        gevent.joinall([gevent.spawn(work, "a"), gevent.spawn(work, "b")])
        print("".join(order))
        """
    )
    assert said.splitlines() == ["True gevent._socket3 gevent.ssl", "ababab"]


def test_patching_twice_does_nothing() -> None:
    said = run_program(
        f"""
        {FIRST}
        import time, logging
        first = time.sleep, logging._lock
        from time import sleep
        greenbas.patch()
        print((time.sleep, logging._lock) == first)
        """
    )
    assert said == "True\n"


def test_after_gevents_own_patching_only_the_rest_is_done() -> None:
    said = run_program(
        f"""
        from gevent import monkey
        monkey.patch_all()
        {FIRST}
        import logging
        native = type(monkey.get_original("_thread", "RLock")())
        print(type(logging.StreamHandler().lock) is native, type(logging._lock) is native)
        """
    )
    assert said == "True True\n"


def test_importing_greenbas_imports_no_ssl_and_patches_nothing() -> None:
    said = run_program(
        """
        import sys, greenbas
        print([name for name in ("ssl", "requests", "urllib3", "asyncio") if name in sys.modules])
        print(greenbas.dispatcher.is_patched())
        """
    )
    assert said.splitlines() == ["[]", "False"]


def test_greenbas_works_unpatched() -> None:
    """Handlers that block by greenbas's own means do not hold up others; a client in a native thread sees it."""
    said = run_program(
        """
        import http.client, threading
        import gevent
        import greenbas
        from greenbas import Server, offload

        server = Server()
        inside = []

        @server.directory("meet")
        def meet(request, response):
            inside.append(request.data("name"))
            while len(inside) < 2:      # each waits for the other: only both together can finish
                gevent.sleep(0.001)
            return {"met": sorted(inside)}

        @server.directory("offloaded")
        def offloaded(request, response):
            return str(offload(sum, range(1000)))

        server.listen(0)
        server.start()
        port = server.listeners[0].port
        answers = []

        def client(target):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", target)
            response = connection.getresponse()
            answers.append((response.status, response.read()))
            connection.close()

        native = [threading.Thread(target=client, args=[target]) for target in ("/meet/?name=a", "/meet/?name=b")]
        native.append(threading.Thread(target=client, args=["/offloaded/"]))
        for thread in native:
            thread.start()
        while len(answers) < 3:
            gevent.sleep(0.005)
        print(sorted(answers, key=str), greenbas.dispatcher.is_patched())
        print(server.stop(drain_timeout=2))
        """
    )
    first, second = said.splitlines()
    met = (200, b'{"met":["a","b"]}')
    assert first == f"{sorted([met, met, (200, b'499500')], key=str)} False"
    assert second == "[]"
