"""`Plugin`, what a plugin says about itself, and whether it is said well."""

from __future__ import annotations

import dataclasses
import difflib
import keyword
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from greenbas.errors import PluginError

if TYPE_CHECKING:
    from greenbas.server import Server
    from greenbas.vfs import Directory

__all__ = ["PARTS", "Plugin", "check_declaration"]

# What greenbas NAME, create.NAME and so on are called in messages, by the field that adds them.
PARTS = {"kinds": "create.{}", "functions": "greenbas.{}", "commands": "the command {}", "tables": "[[{}]]"}
_CALLED = ("kinds", "functions", "commands")  # those whose values are functions

_COMMAND = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Plugin:
    """What a plugin adds. Making one has no effect: nothing here runs before it is asked for.

    Wherever a function is wanted, ``"module:name"`` does as well: that module is imported at the first use, so what is
    heavy or may be missing belongs there, and the module with the Plugin itself stays light.

    Attributes:
        name: the name of its entry point, of its table in greenbas.toml, and of the extra that brings what it needs.
        summary: one line for ``greenbas plugins`` and ``greenbas --help``.
        kinds: kinds of directories, made by ``create.NAME(...)``; one that takes `name` can be mounted at a path.
        functions: what ``greenbas.NAME`` is.
        commands: what ``greenbas NAME ...`` runs, with the arguments behind its name; it returns the exit code.
        tables: which of `kinds` the tables ``[[NAME]]`` of greenbas.toml make, each a mount of its own.
        settings: a dataclass for the table ``[plugin.NAME]`` of greenbas.toml; every field has a default. A field with
            ``repr=False`` is secret: ``greenbas check`` does not show it.
        start: called once for each server that starts while the plugin is in use.
        stop: called when that server stops, in the reverse order of the starts.
    """

    name: str
    summary: str = ""
    kinds: Mapping[str, Callable[..., Directory] | str] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    commands: Mapping[str, Callable[[list[str]], int | None] | str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    settings: type[Any] | None = None
    start: Callable[[Server], None] | str | None = None
    stop: Callable[[Server], None] | str | None = None

    def __repr__(self) -> str:
        return f"<Plugin {self.name}>"

    def __str__(self) -> str:
        return f"plugin {self.name!r}"

    def parts(self) -> Iterator[tuple[str, str, Any]]:
        """Everything callable: the field, the name in it ("" for start and stop), and the function or reference."""
        for where in _CALLED:
            yield from ((where, name, thing) for name, thing in getattr(self, where).items())
        for where in ("start", "stop"):
            if getattr(self, where) is not None:
                yield where, "", getattr(self, where)


def check_declaration(plugin: Plugin) -> None:
    """See that a plugin is well formed; nothing is imported for that.

    Raises:
        PluginError: what is wrong, with the plugin's name.
    """
    if not isinstance(plugin, Plugin):
        raise PluginError(f"{plugin!r:.60} is no Plugin: use greenbas.plugin.Plugin(name=...)")
    try:
        _check_name(plugin.name)
        for where in PARTS:
            _check_names(where, getattr(plugin, where))
        for where, name, thing in plugin.parts():
            _check_function(f"{where} {name!r}" if name else where, thing)
        _check_tables(plugin)
        _check_settings(plugin.settings)
    except ValueError as error:
        raise PluginError(f"plugin {plugin.name!r}: {error}") from None


def _check_name(name: object) -> None:
    if not _is_name(name):
        raise ValueError("the name must be a Python identifier, as it is a table of greenbas.toml")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")


def _check_names(where: str, given: object) -> None:
    if not isinstance(given, Mapping):
        values = "functions" if where in _CALLED else "kinds"
        raise ValueError(f"{where} is {given!r:.60}: use a dict of names and {values}")
    for name in given:
        if where != "commands" and not _is_name(name):
            raise ValueError(f"{where} has {name!r}: use a Python identifier that does not begin with _")
        if where == "commands" and not (isinstance(name, str) and _COMMAND.fullmatch(name)):
            raise ValueError(f"{where} has {name!r}: use letters and digits, with hyphens between them")


def _check_function(what: str, thing: object) -> None:
    if isinstance(thing, str):
        parts = thing.split(":")
        if len(parts) != 2 or not all(word.isidentifier() for part in parts for word in part.split(".")):
            raise ValueError(f"{what} is {thing!r}: use a function, or 'module:name'")
    elif not callable(thing):
        raise ValueError(f"{what} is {thing!r:.60}: use a function, or 'module:name'")


def _check_tables(plugin: Plugin) -> None:
    for name, kind in plugin.tables.items():
        if kind not in list(plugin.kinds):  # a list, as the wrong one may have no hash
            near = difflib.get_close_matches(kind, plugin.kinds, n=1) if isinstance(kind, str) else []
            words = f"did you mean {near[0]!r}?" if near else "use the name of one"
            raise ValueError(f"tables {name!r} is {kind!r:.60}, which is none of its kinds: {words}")


def _check_settings(kind: object) -> None:
    if kind is None:
        return
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"settings is {kind!r:.60}: use a dataclass")
    missing = dataclasses.MISSING
    for one in dataclasses.fields(kind):
        if one.init and one.default is missing and one.default_factory is missing:
            raise ValueError(f"settings: the field {one.name!r} of {kind.__name__} has no default")
    try:
        typing.get_type_hints(kind)
    except Exception as error:
        raise ValueError(f"settings: the annotations of {kind.__name__} cannot be read: {error}") from None
