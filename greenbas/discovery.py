"""Plugins by their entry points: which there are, what package each comes from, and what is wrong with one."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from greenbas.declaration import Plugin, check_declaration
from greenbas.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["GROUP", "Found", "NotInstalled", "entry_points", "load_entry", "load_reference"]

GROUP = "greenbas.plugins"


class NotInstalled(PluginError):
    """All that is wrong with the plugin is that something it needs is not installed."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One plugin that is there, or the failure of one.

    Attributes:
        name: of the plugin, or of its entry point.
        plugin: None when it could not be imported, or is no Plugin.
        error: why it cannot be used; None when it can.
        distribution: the installed package it comes from; "" when a program registered it.
        version: of that package.
        extras: what that package can be installed with.
    """

    name: str
    plugin: Plugin | None = None
    error: PluginError | None = None
    distribution: str = ""
    version: str = ""
    extras: tuple[str, ...] = ()

    @property
    def usable(self) -> Plugin | None:
        """The plugin, unless something is wrong with it."""
        return self.plugin if self.error is None else None

    def __str__(self) -> str:
        package = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f"plugin {self.name!r}{package}"


def entry_points() -> list[EntryPoint | Found]:
    """The entry points of all plugins, greenbas's own first: nobody can take the names that those add.

    Returns:
        They, and a failure for each package whose list of them cannot be read.
    """
    # Here, as it costs more than the rest of greenbas's start-up.
    from importlib import metadata

    def rank(entry: EntryPoint | Found) -> tuple[bool, str, str]:
        if isinstance(entry, Found):
            return True, entry.distribution, entry.name
        # What an installer has left over may have no name.
        package = (entry.dist.name or "") if entry.dist is not None else ""
        return package != "greenbas", package, entry.name

    found: list[EntryPoint | Found]
    try:
        found = [*metadata.entry_points(group=GROUP)]
    except Exception:  # of one package; it does not say of which
        found = _one_by_one(metadata.distributions())
    return sorted(found, key=rank)


def _one_by_one(distributions: Iterable[Distribution]) -> list[EntryPoint | Found]:
    found: list[EntryPoint | Found] = []
    seen: set[str] = set()
    for distribution in distributions:
        name = distribution.name or ""
        if name and _normal(name) in seen:
            continue  # the first on the path counts
        seen.add(_normal(name))
        try:
            found += distribution.entry_points.select(group=GROUP)
        except Exception as error:
            if _may_have_plugins(distribution):
                words = f"its entry_points.txt cannot be read ({type(error).__name__}: {error}): install it again"
                broken = _of_distribution(name, distribution)
                found.append(replace(broken, error=PluginError(f"package {name!r}: {words}")))
    return found


def _may_have_plugins(distribution: Distribution) -> bool:
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except Exception:
        return True  # nobody knows


def load_entry(entry: EntryPoint | Found) -> Found:
    """Import the object that an entry point names, and see that it is a well-formed Plugin of that name.

    Args:
        entry: one of `entry_points`; what has failed already stays as it is.
    """
    if isinstance(entry, Found):
        return entry
    found = _of_distribution(entry.name, entry.dist)
    try:
        module = entry.module
    except Exception:
        return replace(found, error=PluginError(f"{found}: its entry point {entry.value!r} is not 'module:name'"))
    try:
        plugin = entry.load()
    except (Exception, SystemExit) as error:
        return replace(found, error=_failure(found, module, error))
    try:
        check_declaration(plugin)
        if plugin.name != entry.name:
            raise PluginError(f"its entry point has another name than the Plugin, {plugin.name!r}")
    except PluginError as error:
        words = str(error).removeprefix(f"plugin {entry.name!r}: ")
        known = plugin if isinstance(plugin, Plugin) else None
        return replace(found, plugin=known, error=PluginError(f"{found}: {words}"))
    return replace(found, plugin=plugin)


def load_reference(found: Found, reference: str) -> Any:
    """Import what a plugin names as "module:name".

    Raises:
        NotInstalled: the module needs something that is missing; the message says what to install.
        PluginError: there is no such module or function, or the module fails.
    """
    module_name, _, name = reference.partition(":")
    try:
        thing: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise _failure(found, module_name, error) from error
    for part in name.split("."):
        if not hasattr(thing, part):
            raise PluginError(f"{found}: {module_name} has no {name!r}")
        thing = getattr(thing, part)
    if not callable(thing):
        raise PluginError(f"{found}: {reference} is {thing!r:.60}, which cannot be called")
    return thing


def _of_distribution(name: str, distribution: Distribution | None) -> Found:
    if distribution is None:
        return Found(name=name)
    extras = tuple(distribution.metadata.get_all("Provides-Extra") or ())
    return Found(name=name, distribution=distribution.name or "", version=distribution.version or "", extras=extras)


def _failure(found: Found, module: str, error: BaseException) -> PluginError:
    """What went wrong in the import of a module, in words."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        words = " ".join([f"{type(error).__name__}:", *str(error).split()]).removesuffix(":")
        return PluginError(f"{found}: {module}: {words}")
    if f"{module}.".startswith(f"{error.name}."):
        return PluginError(f"{found}: there is no module {module}")
    missing = error.name.partition(".")[0]
    extra = next((one for one in found.extras if _normal(one) == _normal(found.name)), None)
    if extra is not None:
        return NotInstalled(f"plugin {found.name!r} needs {missing}: pip install '{found.distribution}[{extra}]'")
    return NotInstalled(f"plugin {found.name!r} needs the module {missing}, which is not installed")


def _normal(name: str) -> str:
    # Names of packages and extras are compared like this (core metadata specification, "Name").
    return re.sub(r"[-_.]+", "-", name).lower()
