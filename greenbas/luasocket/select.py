"""`select`: which of many sockets can be used without waiting."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from greenbas.dispatcher import yield_hub
from greenbas.luasocket.usage import expected, number
from greenbas.luasocket.waiting import READ, WRITE, give_turn, poll, took, wait

__all__ = ["Position", "Selected", "select"]


class Position(int):
    """An index that counts as true even when it is 0, so that ``if ready[sock]`` works as in Lua."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


class Selected(list[Any]):
    """The objects that are ready, in order; by an object instead of a number, its place in the list, or None.

    Objects are told apart by identity.
    """

    __slots__ = ("_places",)

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(items)
        self._places = {id(item): Position(place) for place, item in enumerate(self)}

    def __contains__(self, item: object) -> bool:
        return id(item) in self._places

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int | slice):
            return super().__getitem__(key)
        return self._places.get(id(key))


class _Watched:
    """One side of a select: the objects that have a descriptor, and which of them need no waiting."""

    def __init__(self, items: object, position: int, event: int) -> None:
        if items is not None and not isinstance(items, list | tuple | set | frozenset):
            raise expected(position, "select", "table", items)
        self.event = event
        self.items: list[tuple[int, Any]] = []
        for item in items or ():
            fd = _descriptor(item)
            if fd >= 0:
                self.items.append((fd, item))
        self.dirty = [item for _, item in self.items if event == READ and _is_dirty(item)]

    def interest(self) -> list[tuple[int, int]]:
        return [(fd, self.event) for fd, _ in self.items]

    def ready(self, found: dict[int, int]) -> Selected:
        dirty = {id(item) for item in self.dirty}
        ready = [
            (fd, item)
            for fd, item in self.items
            if id(item) not in dirty and (found.get(fd, 0) & self.event or _descriptor(item) != fd)
        ]
        ready.sort(key=lambda pair: pair[0])
        return Selected([*self.dirty, *(item for _, item in ready)])


def select(
    readers: Any, writers: Any = None, timeout: float | str | None = None
) -> tuple[Selected, Selected] | tuple[Selected, Selected, str]:
    """Wait until one of some sockets is ready.

    Objects with a ``getfd()`` take part unless that is -1; one with a ``dirty()`` that says so is ready to be read. A
    server is ready to be read when it has a connection to accept, a connecting client to be written when it has done.
    There is no limit on the number of a descriptor.

    Args:
        readers: a list of objects to be read, or None.
        writers: a list of objects to be written, or None.
        timeout: seconds; 0 does not wait, None or a negative one waits for ever.

    Returns:
        The lists of those that are ready, first those with ``dirty()``, the others by descriptor; and "timeout" as a
        third value when there are none. The lists tell the place of an object too: `Selected`.
    """
    reading, writing = _Watched(readers, 1, READ), _Watched(writers, 2, WRITE)
    seconds = -1 if timeout is None else number(timeout, 3, "select")
    if reading.dirty:
        seconds = 0
    interest = [*reading.interest(), *writing.interest()]
    give_turn()
    found = poll(interest, 0)
    if not found and not reading.dirty:
        found = _waited(reading, writing, interest, None if seconds < 0 else seconds)
    took(0)
    ready = reading.ready(found), writing.ready(found)
    if not any(ready):
        return (*ready, "timeout")
    return ready


def _waited(
    reading: _Watched, writing: _Watched, interest: list[tuple[int, int]], seconds: float | None
) -> dict[int, int]:
    if seconds == 0:
        yield_hub()  # a loop that polls must not keep the others from running
        return poll(interest, 0)
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        woken = wait(interest, left)
        found = poll(interest, 0)
        if found or not woken or any(_descriptor(item) != fd for fd, item in reading.items + writing.items):
            return found


def _descriptor(item: Any) -> int:
    ask = getattr(item, "getfd", None)
    fd = ask() if callable(ask) else -1
    return int(fd) if isinstance(fd, int | float) and not isinstance(fd, bool) else -1


def _is_dirty(item: Any) -> bool:
    ask = getattr(item, "dirty", None)
    return bool(callable(ask) and ask())
