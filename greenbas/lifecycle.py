"""Which plugins are in use, and their start and stop with each server.

A plugin comes into use with the first of its kinds or functions that is asked for, or because greenbas.toml names it.
From then on every server that starts calls its start; servers that run already do so at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from greenbas.declaration import Plugin
from greenbas.errors import PluginError

if TYPE_CHECKING:
    from greenbas.server import Server

__all__ = ["Lifecycle"]

logger = logging.getLogger("greenbas.plugin")


class Lifecycle:
    """Starts and stops plugins.

    Args:
        resolve: called with a plugin and "start" or "stop"; returns the function.
    """

    def __init__(self, resolve: Callable[[Plugin, str], Callable[[Server], Any]]) -> None:
        self._resolve = resolve
        self._used: list[Plugin] = []
        # Each running server with the plugins that were started for it, in that order.
        self._running: WeakKeyDictionary[Server, list[Plugin]] = WeakKeyDictionary()

    @property
    def used(self) -> list[Plugin]:
        """The plugins in use, in the order in which they came into it."""
        return list(self._used)

    def use(self, plugin: Plugin) -> None:
        """Have a plugin in use from now on.

        Raises:
            PluginError: a server runs, and the plugin could not start for it; the next use tries again.
        """
        if plugin not in self._used:
            self._used.append(plugin)
        for server in list(self._running):
            self._start(plugin, server)

    def drop(self, plugin: Plugin) -> None:
        """Have it in use no longer; it is stopped where it was started."""
        if plugin in self._used:
            self._used.remove(plugin)
        for server, begun in list(self._running.items()):
            if plugin in begun:
                begun.remove(plugin)
                self._stop(plugin, server)

    def server_starts(self, server: Server) -> None:
        """Start what is in use.

        Raises:
            PluginError: one of them failed; those before it have started, and `server_stops` stops them.
        """
        self._running.setdefault(server, [])
        for plugin in self.used:
            self._start(plugin, server)

    def server_stops(self, server: Server) -> None:
        """Stop what was started for this server, the last one first; what fails there is logged."""
        begun = self._running.pop(server, [])
        while begun:
            self._stop(begun.pop(), server)

    def _start(self, plugin: Plugin, server: Server) -> None:
        begun = self._running.get(server)
        if begun is None or plugin in begun:
            return
        begun.append(plugin)  # before the call, which may ask for one of its own kinds
        if plugin.start is None:
            return
        try:
            self._resolve(plugin, "start")(server)
        except Exception as error:
            if plugin in begun:
                begun.remove(plugin)
            if isinstance(error, PluginError):
                raise
            raise PluginError(f"plugin {plugin.name!r} could not start: {type(error).__name__}: {error}") from error

    def _stop(self, plugin: Plugin, server: Server) -> None:
        if plugin.stop is None:
            return
        try:
            self._resolve(plugin, "stop")(server)
        except Exception:
            logger.exception("plugin %r failed to stop", plugin.name)
