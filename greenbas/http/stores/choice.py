"""`make_store`: the store that the settings name."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from greenbas.http.stores.base import SessionStore
from greenbas.http.stores.memory import MemoryStore
from greenbas.http.stores.url import StoreUrl

__all__ = ["make_store"]


def make_store(url: StoreUrl, limit: int, ended: Callable[[MutableMapping[str, Any]], None]) -> SessionStore:
    """The store that a setting names.

    Args:
        url: the setting.
        limit: for sessions in memory, how many there may be.
        ended: for sessions in memory, called with the attributes of one that has ended.

    Raises:
        SettingError: the package that it needs is not installed.
    """
    # Imported when they are wanted: SQLite, Redis and TLS are not small.
    if url.scheme == "sqlite":
        from greenbas.http.stores.sqlite import SqliteStore

        return SqliteStore(url.path)
    if url.scheme != "memory":
        from greenbas.http.stores.redis import RedisStore

        return RedisStore(url)
    return MemoryStore(limit, ended)
