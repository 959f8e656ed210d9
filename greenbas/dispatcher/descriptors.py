"""Closing descriptors that no watcher ever looks at."""

from __future__ import annotations

from collections.abc import Callable

from gevent import monkey

__all__ = ["close_fd"]

# gevent's patched os.close asks the kernel twice what the descriptor is, and closes directories only at the hub's next
# turn, for the sake of watchers that might still be on it. On files and directories of ours there are none.
close_fd: Callable[[int], None] = monkey.get_original("os", "close")
