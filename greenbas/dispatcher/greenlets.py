"""Greenlets with names, started with their maker's context."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

__all__ = ["greenlet_name", "spawn", "yield_hub"]


class _Spawned(gevent.Greenlet):
    # `_run` is a Python frame with the greenlet in it: by that the watchdog finds the name of what blocks the hub.

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self._call = (function, args, kwargs)

    def _run(self) -> Any:
        function, args, kwargs = self._call
        return function(*args, **kwargs)


def spawn(function: Callable[..., Any], *args: Any, name: str | None = None, **kwargs: Any) -> gevent.Greenlet:
    """Run `function` in a greenlet of its own, with a copy of the caller's context variables.

    Args:
        function: a plain blocking function.
        *args: its positional arguments.
        name: what shows in logs and stack dumps; the function's name unless given.
        **kwargs: its keyword arguments.

    Returns:
        The greenlet; it runs when the caller next blocks.
    """
    made = _Spawned(function, args, kwargs)
    made.name = name or getattr(function, "__qualname__", repr(function))
    # A new greenlet starts with an empty context by design (greenlet issue 196); users expect their request's.
    made.gr_context = copy_context()
    made.start()
    return made


def greenlet_name(which: greenlet | None = None) -> str:
    """The name of a greenlet, the current one unless given, for messages."""
    if which is None:  # its truth is whether it has started and not ended
        which = getcurrent()
    if isinstance(which, Hub):
        return "hub"
    name = getattr(which, "name", None)
    if name:
        return str(name)
    return "main" if which.parent is None else f"greenlet-{id(which):x}"


def yield_hub() -> None:
    """Let every other greenlet and every ready socket have a turn, then go on; in a native thread, do nothing."""
    if get_hub_if_exists() is not None:
        gevent.sleep(0)
