"""The limits and time-outs of WebSockets, in a module that imports nothing: `Request` has them as defaults."""

from __future__ import annotations

__all__ = ["CLOSE_TIMEOUT", "MAX_SIZE", "PING_INTERVAL", "PING_TIMEOUT", "WRITE_TIMEOUT"]

MAX_SIZE = 1024 * 1024  # bytes of a message, inflated; also the default of the framing library
# Seconds of silence after which the peer is asked whether it is still there. Shorter than the 30 s after which the
# most impatient load balancers forget an idle connection, and long enough that a phone may sleep between.
PING_INTERVAL = 20.0
PING_TIMEOUT = 20.0  # seconds for the answer: mobile networks need up to ten
WRITE_TIMEOUT = 30.0  # seconds in which a slow peer has to take at least something
CLOSE_TIMEOUT = 10.0  # seconds for the peer's close frame after ours, as in the framing library
