"""`RedisClient`: redis-py with the options of a session store, and what its errors mean."""

from __future__ import annotations

from typing import Any, NamedTuple

from greenbas.errors import SettingError
from greenbas.http.stores.url import StoreUrl

__all__ = ["RedisClient", "redis_client"]


class RedisClient(NamedTuple):
    """A client, and which errors it raises.

    Attributes:
        redis: redis-py's client.
        errors: all that say that Redis cannot be used.
        complaint: of these, the one that Redis sends itself: it is there, and does not want to.
        demoted: of those, the one that says that it only follows another server now.
    """

    redis: Any
    errors: tuple[type[Exception], ...]
    complaint: type[Exception]
    demoted: type[Exception]


def redis_client(url: StoreUrl, connections: int, connect_timeout: float, command_timeout: float) -> RedisClient:
    """A client that does not connect yet.

    Args:
        url: where Redis is.
        connections: at most.
        connect_timeout: seconds.
        command_timeout: seconds.

    Raises:
        SettingError: the package redis is not installed, or does not take the address.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise SettingError(
            f"session_store: {url.shown} needs the package redis, which is not installed: pip install 'greenbas[redis]'"
        ) from error
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=command_timeout,
            socket_connect_timeout=connect_timeout,
            socket_timeout=command_timeout,
            # Once more at once, for a connection that Redis has closed while it was idle.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except ValueError as error:
        raise SettingError(f"session_store: {url.shown}: {error}") from error
    errors = (redis.RedisError, OSError)
    return RedisClient(redis.Redis(connection_pool=pool), errors, redis.ResponseError, redis.ReadOnlyError)
