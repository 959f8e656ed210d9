"""`Renewal`: certificates whose files have changed are read again, while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from greenbas.dispatcher import Timer
from greenbas.errors import GreenbasError

if TYPE_CHECKING:
    from greenbas.net.tls import ServerTls

__all__ = ["Renewal", "read_again"]

LOOK = 10.0  # seconds between looks at the files: certificates are renewed weeks before they end

_log = logging.getLogger("greenbas.server")


def read_again(contexts: Iterable[ServerTls]) -> bool:
    """Have contexts read their files again; what cannot be used is logged, and the old certificates stay.

    Returns:
        Whether all could be used.
    """
    done = True
    for tls in contexts:
        try:
            tls.reload()
        except GreenbasError as error:
            done = False
            _log.error("the certificates stay as they are: %s", error)
        else:
            _log.info("the certificates were read again: %r", tls)
    return done


class Renewal:
    """Looks at the files of certificates every now and then.

    A certificate and its key are two files, and others may be between them in being written: they are read when a
    second look finds them as the first has.

    Args:
        contexts: tells which there are.
    """

    def __init__(self, contexts: Callable[[], Iterable[ServerTls]]) -> None:
        self._contexts = contexts
        self._timer = Timer(self._look)
        self._seen: dict[ServerTls, object] = {}  # how the files looked last time
        self._tried: dict[ServerTls, object] = {}  # and when they were read last, which may have failed

    def start(self) -> None:
        """Begin to look."""
        self._timer.set(LOOK)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> bool:
        contexts = list(self._contexts())
        before, self._seen = self._seen, {tls: tls.state_of_files() for tls in contexts}
        for tls, state in self._seen.items():
            if state == before.get(tls) and state not in (tls.loaded_state, self._tried.get(tls)):
                read_again([tls])
                self._tried[tls] = state
        self._tried = {tls: state for tls, state in self._tried.items() if tls in self._seen}
        return True
