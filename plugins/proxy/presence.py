"""Whether a backend still works at an answer, and whether somebody still waits for it: `look`, once in a while.

A client that has gone without a word shows by a reset, or by the end of what it sends. The second is also what one does
that has said everything and reads on (a half-close, RFC 9112 9.6); few do, but those get their answer elsewhere, too.
So that one is asked by an interim response: the system of a client that has gone answers it with a reset.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from greenbas import spawn
from greenbas.errors import NetError

if TYPE_CHECKING:
    from greenbas_plugins.proxy.exchange import Exchange

__all__ = ["look"]

LOOK_AFTER = 0.25  # seconds after which it is worth looking: most answers have come by then
PROCESSING = 102  # "the server has a full request, and works at it" (RFC 2518 10.1); clients skip what they do not know


def look(exchange: Exchange, now: float) -> None:
    """End an exchange if its backend is silent for too long, or its client gone. Called in the hub.

    Args:
        exchange: the exchange.
        now: in monotonic seconds.
    """
    if now > exchange.deadline:
        settings = exchange.settings
        silent = settings.first_byte_timeout if exchange.awaits_head else settings.idle_timeout
        exchange.end_late(f"it was silent for {silent:g} s")
    elif now - exchange.started > LOOK_AFTER and not exchange.gone and exchange.request.is_gone(half_closed=True):
        _look_closer(exchange)


def _look_closer(exchange: Exchange) -> None:
    # The client sends no more. While bytes move, whoever moves them finds out by himself that nobody takes them.
    moves = exchange.deadline == math.inf and exchange.connection is not None
    if exchange.request.is_gone() or not (exchange.settings.half_close or moves):
        exchange.cancel()
    elif exchange.awaits_head and not moves:
        if not exchange.asked and exchange.request.message.http11:
            exchange.asked = True
            spawn(_ask, exchange, name=f"asking the client of {exchange.request}")
    elif not (moves or exchange.half_closed):
        exchange.cancel()  # nobody half-closes in the middle of an answer


def _ask(exchange: Exchange) -> None:
    try:
        exchange.response.send_interim(PROCESSING)
    except NetError:
        return  # the next look sees it
