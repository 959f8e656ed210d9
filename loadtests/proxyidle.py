"""The memory that an idle WebSocket takes in each reverse proxy: two connections. A part of proxy.py.

What is counted in rounds is WebSockets a MiB of memory, so that more is better as everywhere else.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cores import Cores
from idle import LimitTooLow, raise_limit
from memory import settled
from process import HERE, Running, ServerFailed, free_port, running
from proxypeers import cells_of, one_running
from score import Cell
from table import render
from wrk import Measurement

__all__ = ["IDLE_WORKS", "IdleWork", "idle_table", "measure_idle"]

MOST_ROUNDS = 3  # memory varies little, and each round starts every proxy anew
WARM_UP = 100  # WebSockets before the first that counts: what they bring into memory belongs to none
REQUEST = (
    b"GET /echo/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ASKED = b"\x81\x85\x00\x00\x00\x00hello"  # a text frame; a mask of zeros changes nothing
ANSWERED = b"\x81\x05hello"


@dataclass(frozen=True)
class IdleWork:
    """So many WebSockets at once."""

    name: str
    title: str
    count: int


IDLE_WORKS = (IdleWork("proxy-idle", "1,000 idle WebSockets through a proxy", 1000),)


def measure_idle(work: IdleWork, rounds: int, cores: Cores) -> list[Cell]:
    """All proxies in turns, each started anew for each round."""
    cells = cells_of(work.name)
    with tempfile.TemporaryDirectory(prefix="greenbas-proxyidle-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        port = free_port()
        command = [sys.executable, str(HERE / "apps" / "wsserver.py"), "greenbas", str(port)]
        try:
            with (
                descriptors(2 * (work.count + WARM_UP)),
                running("backend", command, port=port, scratch=scratch, core=cores.client),
            ):
                for _ in range(min(rounds, MOST_ROUNDS)):
                    for cell in cells.values():
                        measure_once(cell, work, port, scratch, cores)
        except (LimitTooLow, ServerFailed) as error:
            for cell in cells.values():
                cell.broken = str(error)
    return list(cells.values())


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """So many of them for what is started here and for this process itself.

    Raises:
        LimitTooLow: this machine does not allow them.
    """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_limit(count)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def measure_once(cell: Cell, work: IdleWork, backend: int, scratch: Path, cores: Cores) -> None:
    """One proxy, from its start to its end."""
    if cell.absent or cell.broken:
        return
    try:
        with one_running(cell.peer, backend, scratch, cores) as proxy:
            kib = memory_each(proxy, work.count)
    except (ServerFailed, OSError) as error:
        cell.broken = str(error)
        return
    cell.rounds.append(
        Measurement(rate=1024 / kib, requests=work.count, bytes_read=0, p50_ms=0.0, p99_ms=0.0, errors="")
    )


def memory_each(proxy: Running, count: int) -> float:
    """KiB for each of so many WebSockets that are open at once.

    Raises:
        ServerFailed: one of them cannot be opened, or does not last, or carries nothing.
    """
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(opened(proxy)) for _ in range(WARM_UP)]
        before = settled(proxy.pid)
        held += [stack.enter_context(opened(proxy)) for _ in range(count)]
        grown = settled(proxy.pid) - before
        check(proxy, held)
    return max(grown, 1) / count


@contextlib.contextmanager
def opened(proxy: Running) -> Iterator[socket.socket]:
    """A WebSocket through a proxy."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"\r\n\r\n") and (data := sock.recv(4096)):
            answer += data
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ServerFailed(f"no WebSocket through {proxy.name}: {answer[:80]!r}; {proxy.log_tail(1)}".rstrip("; "))
        yield sock


def check(proxy: Running, held: Sequence[socket.socket]) -> None:
    """All have to be open still, and to carry frames: an idle connection that is none costs little."""
    poll = select.poll()
    for sock in held:
        poll.register(sock, select.POLLIN | select.POLLHUP)
    if closed := poll.poll(0):
        raise ServerFailed(f"{proxy.name} closed {len(closed)} of {len(held)} WebSockets; {proxy.log_tail(1)}")
    for sock in (held[0], held[-1]):
        sock.sendall(ASKED)
        answer = sock.recv(len(ANSWERED), socket.MSG_WAITALL)
        if answer != ANSWERED:
            raise ServerFailed(f"{proxy.name} made {answer!r} of the answer of a WebSocket")


def idle_table(work: IdleWork, cells: Sequence[Cell]) -> str:
    """The proxies, the one that takes least memory first."""
    rows = [
        [cell.peer + (" !" if cell.errors else ""), *(f"{kib:.1f}" for kib in (median(kibs), min(kibs), max(kibs)))]
        for cell, kibs in sorted(
            ((cell, [1024 / rate for rate in cell.rates]) for cell in cells if cell.rounds),
            key=lambda pair: median(pair[1]),
        )
    ]
    notes = [f"  {cell.peer}: {cell.absent}" for cell in cells if cell.absent]
    notes += [f"! {cell.peer}: {cell.errors}" for cell in cells if cell.errors]
    return "\n".join([f"{work.name}: {work.title}", render(["KiB each", "median", "min", "max"], rows), *notes])
