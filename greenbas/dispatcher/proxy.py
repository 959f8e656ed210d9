"""`proxy`: an object whose methods run in a native thread of its own, used like the original."""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from greenbas.dispatcher.native import Thread

__all__ = ["ThreadProxy", "proxy"]

# What is data and comes back as it is; anything else may hold on to its thread (a cursor, a statement) and is proxied.
_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), tuple, list, dict, set, frozenset)
_DATA = (*_PLAIN, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, enum.Enum)
_BATCH = 256  # rows that one trip to the thread fetches from a cursor: a trip costs some 30 microseconds


def proxy(target: Any, *args: Any, **kwargs: Any) -> Any:
    """Wrap an object so that everything it does happens in one native thread, and only the caller waits.

    Args:
        target: the object; or a function or class, called in the thread with the other arguments to make it. Drivers
            that bind an object to its thread need the second form: ``proxy(sqlite3.connect, "my.db")``.

    Returns:
        An object with the same attributes. Results that are not plain data (cursors, rows of a class) are proxied too.
        A loop over a database cursor fetches ahead, so after leaving it early the cursor stands behind rows not seen.
        The thread ends when nobody refers to the object or its results any more.
    """
    thread = Thread(1, name=f"proxy of {getattr(target, '__qualname__', type(target).__name__)}")
    if inspect.isroutine(target) or inspect.isclass(target):
        target = thread.offload(target, *args, **kwargs)
    elif args or kwargs:
        raise TypeError(f"{target!r} is no function or class that could take arguments")
    return ThreadProxy(thread, target)


class ThreadProxy:
    """What `proxy` returns; the original is reached only in its thread."""

    __slots__ = ("_greenbas_target", "_greenbas_thread")
    _greenbas_target: Any
    _greenbas_thread: Thread

    def __init__(self, thread: Thread, target: Any) -> None:
        object.__setattr__(self, "_greenbas_thread", thread)
        object.__setattr__(self, "_greenbas_target", target)

    def __getattr__(self, name: str) -> Any:
        value = _call(self, getattr, self._greenbas_target, name)
        if inspect.isroutine(value):
            return _Method(self, value)
        return _wrap(self, value)

    def __setattr__(self, name: str, value: Any) -> None:
        _call(self, setattr, self._greenbas_target, name, value)

    def __repr__(self) -> str:
        return f"<proxy of {_call(self, repr, self._greenbas_target)}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _wrap(self, _call(self, self._greenbas_target, *args, **kwargs))

    def __len__(self) -> int:
        return int(_call(self, len, self._greenbas_target))

    def __bool__(self) -> bool:
        return bool(_call(self, bool, self._greenbas_target))

    def __getitem__(self, key: Any) -> Any:
        return _wrap(self, _call(self, lambda: self._greenbas_target[key]))

    def __setitem__(self, key: Any, value: Any) -> None:
        _call(self, self._greenbas_target.__setitem__, key, value)

    def __delitem__(self, key: Any) -> None:
        _call(self, self._greenbas_target.__delitem__, key)

    def __contains__(self, item: Any) -> bool:
        return bool(_call(self, lambda: item in self._greenbas_target))

    def __iter__(self) -> Iterator[Any]:
        iterator = _call(self, iter, self._greenbas_target)
        # Any other iterator may wait for each item, and the first shall not wait for the second.
        count = _BATCH if hasattr(iterator, "fetchmany") else 1
        while batch := _call(self, _take, iterator, count):
            for item in batch:
                yield _wrap(self, item)

    def __next__(self) -> Any:
        batch = _call(self, _take, self._greenbas_target, 1)
        if not batch:
            raise StopIteration
        return _wrap(self, batch[0])

    def __enter__(self) -> Any:
        entered = _call(self, self._greenbas_target.__enter__)
        return self if entered is self._greenbas_target else _wrap(self, entered)

    def __exit__(self, *error: Any) -> Any:
        return _call(self, self._greenbas_target.__exit__, *error)


class _Method:
    """A method of the original; calling it goes to the thread."""

    __slots__ = ("_function", "_owner")

    def __init__(self, owner: ThreadProxy, function: Callable[..., Any]) -> None:
        self._owner = owner
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _wrap(self._owner, _call(self._owner, self._function, *args, **kwargs))

    def __repr__(self) -> str:
        return f"<proxied {self._function!r}>"


def _call(owner: ThreadProxy, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    thread: Thread = owner._greenbas_thread
    try:
        return thread.offload(function, *map(_unwrap, args), **{key: _unwrap(value) for key, value in kwargs.items()})
    except Exception as error:
        if "same thread" in str(error):
            error.add_note("The object belongs to the thread that made it. Let the proxy make it: proxy(function, ...)")
        raise


def _wrap(owner: ThreadProxy, value: Any) -> Any:
    if isinstance(value, _DATA):
        return value
    if value is owner._greenbas_target:
        return owner
    return ThreadProxy(owner._greenbas_thread, value)


def _unwrap(value: Any) -> Any:
    return value._greenbas_target if isinstance(value, ThreadProxy) else value


def _take(iterator: Iterator[Any], count: int) -> list[Any]:
    return [item for _, item in zip(range(count), iterator, strict=False)]
