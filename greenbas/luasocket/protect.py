"""Errors as exceptions inside, as values outside (LuaSocket ``newtry``, ``try`` and ``protect``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

__all__ = ["Wrapped", "newtry", "protect", "skip"]

P = ParamSpec("P")


class Wrapped(Exception):
    """What a `try` raises and `protect` catches.

    Args:
        error: the second value of the call that failed.
    """

    def __init__(self, error: Any = None) -> None:
        super().__init__(error)
        self.error = error


def newtry(finalizer: Callable[[], object] | None = None) -> Callable[..., Any]:
    """Make a `try` function.

    Args:
        finalizer: called before the exception is raised; its own errors are dropped.

    Returns:
        A function that takes the values of a call, as they are or as the tuple that the call gave, and returns them,
        one alone as itself, if the first is neither None nor False. Else it raises `Wrapped` with the second one.
    """

    def try_(*values: Any) -> Any:
        """Return the values of a call, or raise `Wrapped` with the second one when the first is None or False."""
        result = values[0] if len(values) == 1 else values
        given = result if isinstance(result, tuple) else values
        if given and given[0] is not None and given[0] is not False:
            return result
        if finalizer is not None:
            try:
                finalizer()
            except Exception:
                pass  # the first error is the one to tell
        raise Wrapped(given[1] if len(given) > 1 else None)

    return try_


def protect(function: Callable[P, Any]) -> Callable[P, Any]:
    """A function that returns (None, error) where `function` would raise `Wrapped`; other exceptions pass."""

    @functools.wraps(function)
    def protected(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except Wrapped as wrapped:
            return None, wrapped.error

    return protected


def skip(count: int, /, *values: Any) -> tuple[Any, ...]:
    """The values without the first `count` of them; one tuple stands for the values in it."""
    if len(values) == 1 and isinstance(values[0], tuple):
        values = values[0]
    return values[count:]
