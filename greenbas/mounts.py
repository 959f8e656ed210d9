"""The ``[[mount]]`` tables of greenbas.toml, and those of plugins, made directories: each is a call of ``create.KIND``.

The keys are the arguments, checked against the function's signature. TOML has no objects, so where the function wants
an `Io`, the file has a folder, and where it wants something to call, the file has "module:name". Paths are relative to
the file.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union

from greenbas import create, plugin
from greenbas.config import Config, MountTable
from greenbas.errors import GreenbasError, PluginError, SettingError, StartError
from greenbas.failures import describe_failure
from greenbas.io import DiskIo, Io
from greenbas.tables import convert, nearest
from greenbas.vfs import Directory

__all__ = ["install_mounts"]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def install_mounts(root: Directory, config: Config) -> list[Directory]:
    """Make the directories that a file mounts, and insert them.

    Args:
        root: what their prefixes are below.
        config: the file.

    Returns:
        The directories, in the order of the file.

    Raises:
        SettingError: an unknown table or kind, or an argument that it does not take, that it needs, or that is of the
            wrong type.
        PluginError: the plugin with the kind is broken, or cannot start.
        StartError: the directory cannot be made or inserted.
    """
    config.check_tables()
    return [_install(root, mount, config) for mount in config.mounts]


def _install(root: Directory, mount: MountTable, config: Config) -> Directory:
    label = f"{config.file}: {mount}"
    segments = [segment for segment in mount.prefix.split("/") if segment]
    try:
        kind = plugin.owner("tables", mount.table).tables[mount.table] if mount.kind is None else mount.kind
        make = _kind(kind)
        parameters = _parameters(make) if kind in create.KINDS else _with_settings(_parameters(make), kind)
        if mount.kind is None:
            _check_no_kind(mount, kind, parameters)
        arguments = _arguments(parameters, mount.options, config.folder)
        if _takes_name(parameters, bool(mount.prefix)):
            arguments["name"] = segments.pop() if segments else None
        made = make(**arguments)
        if not isinstance(made, Directory):
            raise StartError(f"it made {made!r:.60}, which is no Directory")
        _place(root, segments, made.priority).insert(made)
        return made
    except (SettingError, PluginError) as error:
        raise type(error)(f"{label}: {error}") from error
    except (GreenbasError, ValueError, TypeError) as error:
        raise StartError(f"{label}: {error}") from error
    except Exception as error:  # of the code that makes this kind
        raise StartError(describe_failure(label, error)) from error


def _check_no_kind(mount: MountTable, kind: str, parameters: Mapping[str, inspect.Parameter]) -> None:
    # What was a [[mount]] before has it, and the nearest of the keys that there are would be no help.
    if "kind" in mount.options and "kind" not in parameters and not _takes_anything(parameters):
        raise SettingError(f"every [[{mount.table}]] is a create.{kind}: leave 'kind' out")


def _takes_name(parameters: Mapping[str, inspect.Parameter], given: bool) -> bool:
    """Whether to give a kind a name: without a prefix its own default counts. Others get a node of that name."""
    if "name" in parameters:
        return given
    return given and _takes_anything(parameters)


def _takes_anything(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def _kind(name: str) -> Callable[..., Any]:
    if name in create.KINDS:
        found: Callable[..., Any] = getattr(create, name)
        return found
    try:
        return plugin.kind(name)
    except AttributeError as error:
        raise SettingError(f"unknown kind: {error}") from error


def _parameters(make: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What can be given by name, with annotations that are resolved where possible."""
    function = make.__init__ if inspect.isclass(make) else make
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # a name that only type checkers import: then the function itself has to judge
        hints = {}
    return {
        name: one.replace(annotation=hints.get(name, Any))
        for name, one in inspect.signature(make).parameters.items()
        if one.kind in (*_NAMED, inspect.Parameter.VAR_KEYWORD)
    }


def _with_settings(parameters: Mapping[str, inspect.Parameter], kind: str) -> Mapping[str, inspect.Parameter]:
    """With the fields of the plugin's settings in the place of ``**settings``."""
    settings = plugin.owner("kinds", kind).settings
    rest = parameters.get("settings")
    if settings is None or rest is None or rest.kind is not inspect.Parameter.VAR_KEYWORD:
        return parameters
    hints = typing.get_type_hints(settings)
    named = {name: one for name, one in parameters.items() if one is not rest}
    fields = {
        one.name: inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[one.name])
        for one in dataclasses.fields(settings)
        if one.init and one.name not in named
    }
    return {**named, **fields}


def _arguments(parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    known = [name for name, one in parameters.items() if one.kind in _NAMED and name != "name"]
    for name in given:
        if name not in known and not _takes_anything(parameters):
            raise SettingError(f"unknown setting {name!r}{nearest(name, [*known, 'prefix'])}")
    for name in known:
        if parameters[name].default is inspect.Parameter.empty and name not in given:
            raise SettingError(f"{name!r} is missing")
    hints = {name: parameters[name].annotation if name in known else Any for name in given}
    return {name: _argument(name, value, hints[name], folder) for name, value in given.items()}


def _argument(name: str, value: Any, hint: Any, folder: Path) -> Any:
    wanted = list(_alternatives(hint))
    if isinstance(value, str) and Io in wanted:
        return DiskIo(folder / value)
    if isinstance(value, str) and Path in wanted:
        return folder / value
    if isinstance(value, str) and str not in wanted and any(_is_callable(one) for one in wanted):
        return _named(name, value)
    return convert(name, value, hint)


def _alternatives(hint: Any) -> Iterable[Any]:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, UnionType) else (hint,)


def _is_callable(hint: Any) -> bool:
    return (typing.get_origin(hint) or hint) is collections.abc.Callable


def _named(name: str, reference: str) -> Any:
    module, _, path = reference.partition(":")
    if not module or not path:
        raise SettingError(f"{name}: {reference!r} is not of the form module:name")
    try:
        thing: Any = importlib.import_module(module)
        for part in path.split("."):
            thing = getattr(thing, part)
    except (Exception, SystemExit) as error:
        raise StartError(f"{name}: {describe_failure(reference, error)}") from error
    return thing


def _place(root: Directory, segments: list[str], priority: int) -> Directory:
    """The directory of a path, made where there is none; its nodes have the priority of what they are made for."""
    for segment in segments:
        made = next((one for one in root.children if _is_node(one, segment, priority)), None)
        if made is None:
            made = Directory(segment, priority=priority)
            root.insert(made)
        root = made
    return root


def _is_node(directory: Directory, name: str, priority: int) -> bool:
    known = (directory.name(), directory.priority) == (name, priority)
    return known and type(directory) is Directory and directory.function is None
