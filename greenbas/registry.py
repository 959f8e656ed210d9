"""`Registry`: the plugins that are there, found by entry point or registered by a program.

Looking for entry points imports the modules with the `Plugin` objects, all of them once, when the first name is asked
for that neither greenbas nor a program has. What those objects name as "module:name" is imported when it is used.
One that fails harms no other: its error is kept, shown by ``greenbas plugins``, and told to whoever asks for a name
that nobody has.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from gevent.lock import RLock

from greenbas.declaration import PARTS, Plugin, check_declaration
from greenbas.discovery import Found, entry_points, load_entry, load_reference
from greenbas.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["COMMANDS", "TABLES", "NameMissing", "Registry", "is_module"]

# greenbas's own; tests compare the command line
COMMANDS = ("serve", "check", "new", "run", "hash-password", "version", "plugins")
TABLES = ("server", "http", "app", "mount", "plugin")  # of greenbas.toml


class NameMissing(PluginError, AttributeError):
    """Nobody has the name. An AttributeError too, so that `hasattr` and `getattr` with a default work as ever."""


class Registry:
    """Plugins by name, and what they add."""

    def __init__(self) -> None:
        self._found: list[Found] = []
        self._resolved: dict[tuple[Plugin, str, str], Any] = {}
        self._entries: list[EntryPoint | Found] | None = None  # those that are not loaded yet; None: not looked for
        self._loading = False
        self._lock = RLock()  # a plugin's module may wait while it is imported; others have to wait for it, too

    def register(self, plugin: Plugin) -> None:
        """Add a plugin that has no entry point.

        Raises:
            PluginError: it is malformed, or a name of it is taken.
        """
        check_declaration(plugin)
        self._check_clashes(plugin)
        self._found.append(Found(name=plugin.name, plugin=plugin))

    def unregister(self, name: str) -> Plugin:
        """Take a registered plugin out; those with an entry point stay.

        Raises:
            PluginError: no program has registered it.
        """
        for found in self._found:
            if found.name == name and found.plugin is not None and not found.distribution:
                self._found.remove(found)
                self._resolved = {key: value for key, value in self._resolved.items() if key[0] is not found.plugin}
                return found.plugin
        raise PluginError(f"plugin {name!r} has not been registered by a program")

    def all(self) -> list[Found]:
        """Every plugin, the broken ones too, by name."""
        self._scan()
        return sorted(self._found, key=lambda found: found.name)

    def plugin(self, name: str) -> Plugin:
        """The plugin of a name.

        Raises:
            PluginError: there is none, or it is broken.
        """
        for one in self._found:  # first without looking for more
            if one.name == name and one.usable is not None:
                return one.usable
        found = [one for one in self.all() if one.name == name]
        for one in found:
            if one.usable is not None:
                return one.usable
        if found and found[0].error is not None:
            raise PluginError(str(found[0].error))
        raise NameMissing(f"there is no plugin {name!r}" + _nearest(name, [one.name for one in self._found]))

    def names(self, where: str) -> dict[str, Plugin]:
        """What the plugins add in one field, "kinds", "functions", "commands" or "tables", and who does."""
        self._scan()
        return self._names(where)

    def find(self, where: str, name: str, known: Iterable[str]) -> Plugin:
        """Who adds a name.

        Args:
            where: "kinds", "functions", "commands" or "tables".
            name: what is asked for.
            known: greenbas's own names there, for the hint.

        Raises:
            NameMissing: nobody; the message has the nearest name, and the plugins that are broken.
        """
        plugin = self._names(where).get(name) or self.names(where).get(name)
        if plugin is not None:
            return plugin
        words = f"there is no {PARTS[where].format(name).removeprefix('the ')}"
        words += _nearest(name, [*known, *self._names(where)])
        raise NameMissing(words + self.blame(where, name))

    def blame(self, where: str, name: str) -> str:
        """What is wrong with the plugins that may add a name which nobody has, to be added to a message."""
        errors = [one.error for one in self.all() if one.error is not None and _may_add(one.plugin, where, name)]
        return "".join(f"; {error}" for error in errors)

    def resolve(self, plugin: Plugin, where: str, name: str = "") -> Any:
        """The function that a plugin means.

        Args:
            plugin: one that is registered.
            where: "kinds", "functions" or "commands", or without a name "start" or "stop".
            name: in that field.

        Raises:
            PluginError: its module cannot be imported, or has no such function.
        """
        key = (plugin, where, name)
        if key not in self._resolved:
            thing = getattr(plugin, where)[name] if name else getattr(plugin, where)
            if isinstance(thing, str):
                found = next((one for one in self._found if one.plugin is plugin), Found(name=plugin.name))
                thing = load_reference(found, thing)
            self._resolved[key] = thing
        return self._resolved[key]

    def tried(self, found: Found) -> Found:
        """The same after everything that it names has been imported: with the first error, if there is one."""
        if found.usable is not None:
            try:
                for where, name, _ in found.usable.parts():
                    self.resolve(found.usable, where, name)
            except PluginError as error:
                return replace(found, error=error)
        return found

    def _scan(self) -> None:
        with self._lock:
            if self._loading:
                return  # a plugin's module asks while it is imported: it sees those before it
            if self._entries is None:
                self._entries = entry_points()
            self._loading = True
            try:
                # A timeout or an end that comes in an import leaves that entry and the later ones to who asks next.
                while self._entries:
                    self._found.append(self._checked(load_entry(self._entries[0])))
                    del self._entries[0]
            finally:
                self._loading = False

    def _checked(self, found: Found) -> Found:
        try:
            if found.usable is not None:
                self._check_clashes(found.usable)
        except PluginError as error:
            words = str(error).removeprefix(f"plugin {found.name!r}: ")
            return replace(found, error=PluginError(f"{found}: {words}"))
        return found

    def _check_clashes(self, plugin: Plugin) -> None:
        for found in self._found:
            if found.name == plugin.name and found.usable is not None:
                raise PluginError(f"plugin {plugin.name!r}: the name is taken by the {found}")
        for where, words in PARTS.items():
            taken = self._names(where)
            for name in getattr(plugin, where):
                owner = "greenbas" if _is_own(where, name) else f"the {taken[name]}" if name in taken else ""
                if owner:
                    what = words.format(name)
                    raise PluginError(f"plugin {plugin.name!r}: it adds {what}, which {owner} has already")

    def _names(self, where: str) -> dict[str, Plugin]:
        usable = [found.usable for found in self._found if found.usable is not None]
        return {name: plugin for plugin in usable for name in getattr(plugin, where)}


def is_module(name: str) -> bool:
    """Whether greenbas has a module or room of this name, imported or not."""
    import greenbas

    return PathFinder.find_spec(f"greenbas.{name}", greenbas.__path__) is not None


def _is_own(where: str, name: str) -> bool:
    import greenbas
    from greenbas import create

    if where in ("commands", "tables"):
        return name in (COMMANDS if where == "commands" else TABLES)
    if where == "kinds":
        return name in vars(create)
    return name in vars(greenbas) or name in greenbas.__all__ or is_module(name)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _may_add(plugin: Plugin | None, where: str, name: str) -> bool:
    """Whether a broken plugin may be the one that is looked for: what could not be imported may be anything."""
    adds = getattr(plugin, where, None)
    return not isinstance(adds, Mapping) or name in adds
