"""Where sessions are kept: in memory, in an SQLite file, or in Redis."""

from greenbas.http.stores.base import SessionStore
from greenbas.http.stores.choice import make_store
from greenbas.http.stores.memory import MemoryStore
from greenbas.http.stores.quota import Crowded, Quota
from greenbas.http.stores.record import Record, SessionUser
from greenbas.http.stores.url import StoreUrl

__all__ = [
    "Crowded",
    "MemoryStore",
    "Quota",
    "Record",
    "SessionStore",
    "SessionUser",
    "StoreUrl",
    "make_store",
]
