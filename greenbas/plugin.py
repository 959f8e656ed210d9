"""Plugins: what they declare, and how a program reaches them.

A package names its `Plugin` in the entry point group ``greenbas.plugins``; a program can `register` one. What it adds
is then at ``create.NAME``, ``greenbas.NAME`` and on the command line; its settings are those of greenbas.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from greenbas.declaration import Plugin
from greenbas.discovery import Found
from greenbas.errors import SettingError
from greenbas.lifecycle import Lifecycle
from greenbas.registry import COMMANDS, TABLES, Registry, is_module

if TYPE_CHECKING:
    from greenbas.server import Server
    from greenbas.vfs import Directory

__all__ = [
    "COMMANDS",
    "TABLES",
    "Found",
    "Plugin",
    "blame",
    "command",
    "configure",
    "function",
    "in_use",
    "is_module",
    "kind",
    "names",
    "owner",
    "plugins",
    "register",
    "server_starts",
    "server_stops",
    "settings",
    "unregister",
    "use",
]


class Plugins:
    """All that is known about plugins in this process."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.lifecycle = Lifecycle(self.registry.resolve)
        self.settings: dict[Plugin, Any] = {}


_all = Plugins()


def register(plugin: Plugin) -> None:
    """Add a plugin without an entry point: one that is part of an application, or of a test.

    Raises:
        PluginError: it is malformed, or one of its names is taken; the message says by whom.
    """
    _all.registry.register(plugin)


def unregister(name: str) -> None:
    """Take out what `register` added; it is stopped for the servers that run.

    Raises:
        PluginError: no program has registered it.
    """
    plugin = _all.registry.unregister(name)
    _all.lifecycle.drop(plugin)
    _all.settings.pop(plugin, None)


def kind(name: str) -> Callable[..., Directory]:
    """The constructor of a kind of directories; its plugin is in use from then on.

    Raises:
        PluginError: no plugin adds it, or it cannot be imported.
    """
    from greenbas import create

    found: Callable[..., Directory] = _use("kinds", name, create.__all__)
    return found


def function(name: str) -> Callable[..., Any]:
    """A function for ``greenbas.NAME``; its plugin is in use from then on.

    Raises:
        PluginError: no plugin adds it, or it cannot be imported.
    """
    import greenbas

    found: Callable[..., Any] = _use("functions", name, greenbas.__all__)
    return found


def command(name: str) -> Callable[[list[str]], int | None]:
    """What ``greenbas NAME`` runs.

    Raises:
        PluginError: no plugin adds it, or it cannot be imported.
    """
    found: Callable[[list[str]], int | None]
    found = _all.registry.resolve(_all.registry.find("commands", name, COMMANDS), "commands", name)
    return found


def names(where: str) -> dict[str, Plugin]:
    """Who adds what: the names in one field of all plugins, "kinds", "functions", "commands" or "tables"."""
    return _all.registry.names(where)


def owner(where: str, name: str) -> Plugin:
    """Who adds one name; that does not bring the plugin into use.

    Args:
        where: "kinds", "functions", "commands" or "tables".
        name: in that field.

    Raises:
        PluginError: nobody; an AttributeError as well.
    """
    return _all.registry.find(where, name, ())


def blame(where: str, name: str) -> str:
    """What is wrong with the plugins that may add a name which nobody has, to be added to a message; "" for nothing."""
    return _all.registry.blame(where, name)


def plugins(*, tried: bool = False) -> list[Found]:
    """The plugins that are there, by name; the broken ones with their error.

    Args:
        tried: import everything that they name, so that what is missing or broken in there shows as well.
    """
    found = _all.registry.all()
    return [_all.registry.tried(one) for one in found] if tried else found


def settings(name: str) -> Any:
    """The settings of a plugin: its dataclass as configured, else with its defaults.

    Raises:
        PluginError: there is no such plugin, or it is broken.
        SettingError: it has no settings.
    """
    plugin = _all.registry.plugin(name)
    if plugin not in _all.settings:
        _all.settings[plugin] = _settings_class(plugin)()
    return _all.settings[plugin]


def configure(name: str, values: Mapping[str, Any]) -> None:
    """Replace the settings of a plugin, as the table ``[plugin.NAME]`` of greenbas.toml does.

    Args:
        name: of the plugin.
        values: by the names of its dataclass; what is not given has its default.

    Raises:
        PluginError: there is no such plugin, or it is broken.
        SettingError: an unknown name, a value of the wrong type, or one that the dataclass refuses.
    """
    from greenbas.tables import make_table

    plugin = _all.registry.plugin(name)
    if values or plugin.settings is not None:
        _all.settings[plugin] = make_table(_settings_class(plugin), values)


def _settings_class(plugin: Plugin) -> type[Any]:
    if plugin.settings is None:
        raise SettingError(f"plugin {plugin.name!r} has no settings")
    return plugin.settings


def use(name: str) -> None:
    """Have a plugin in use from now on: servers start and stop it.

    Raises:
        PluginError: there is no such plugin, it is broken, or it cannot start for a server that runs.
    """
    _all.lifecycle.use(_all.registry.plugin(name))


def in_use() -> list[Plugin]:
    """The plugins that servers start and stop, in the order of their first use."""
    return _all.lifecycle.used


def server_starts(server: Server) -> None:
    """Called by a server: start the plugins that are in use.

    Raises:
        PluginError: one of them failed.
    """
    _all.lifecycle.server_starts(server)


def server_stops(server: Server) -> None:
    """Called by a server: stop the plugins that were started for it."""
    _all.lifecycle.server_stops(server)


def _use(where: str, name: str, known: list[str]) -> Any:
    plugin = _all.registry.find(where, name, known)
    found = _all.registry.resolve(plugin, where, name)
    _all.lifecycle.use(plugin)
    return found
