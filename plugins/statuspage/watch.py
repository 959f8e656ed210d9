"""Which servers are measured, from their start to their stop."""

from __future__ import annotations

from weakref import WeakSet

from greenbas import Server
from greenbas.metrics import Metrics
from greenbas.vfs import Directory

__all__ = ["metrics_of", "start", "stop"]

# Weak: the metrics of a server live as long as it does.
_measured: WeakSet[Metrics] = WeakSet()


def start(server: Server) -> None:
    """Begin to measure a server that has started; does nothing when it is measured already."""
    if metrics_of(server.root) is None:
        metrics = Metrics(server)
        metrics.install()
        _measured.add(metrics)


def stop(server: Server) -> None:
    """Stop measuring."""
    metrics = metrics_of(server.root)
    if metrics is not None:
        metrics.remove()
        _measured.discard(metrics)


def metrics_of(root: Directory) -> Metrics | None:
    """The metrics of the server with this root directory, None when none is measured."""
    return next((metrics for metrics in _measured if metrics.server.root is root), None)
