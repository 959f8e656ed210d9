"""``greenbas check`` and ``greenbas plugins``: what would be served, with which settings, and what is installed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from greenbas import plugin
from greenbas.declaration import PARTS
from greenbas.discovery import NotInstalled
from greenbas.errors import GreenbasError, IoError
from greenbas.launch import Launch
from greenbas.tlsport import make_tls
from greenbas.vfs import Directory, DomainReader, ResourceReader

__all__ = ["show", "show_plugins"]


def show(launch: Launch) -> int:
    """Print what would be served; problems go to standard error.

    Where a configuration file was read, every value that is no default has its origin beside it.

    Returns:
        The exit code: 1 with problems.
    """
    if launch.config is not None:
        _show_config(launch)
    print("directories, in the order in which they are asked")
    problems = _print_tree(launch.server.root, "  ")
    print("settings")
    _print_values(launch.server.settings, "  ", launch.origins if launch.config is not None else {})
    _show_used(launch)
    problems += _certificate_problems(launch)
    for problem in problems:
        print(f"greenbas: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _show_config(launch: Launch) -> None:
    assert launch.config is not None
    file = launch.config.file
    print(f"configuration {file}")
    print("server")
    _print_values(launch.listen, "  ", launch.origins)
    print("applications")
    origin = file if launch.specs == launch.config.specs() else "the command line"
    for spec in launch.specs:
        print(f"  {spec.place}{_below(spec.prefix)}{_priority(spec.priority)}  from {origin}")
    print("mounts")
    for mount, made in zip(launch.config.mounts, launch.mounts, strict=True):
        what = mount.table if mount.kind is None else mount.kind
        print(f"  {what} at {made.base_uri()}{_priority(made.priority)}  from {file}")


def _certificate_problems(launch: Launch) -> list[str]:
    where = launch.listen
    if where.tls_port is None or not where.cert:
        return []
    try:
        make_tls(where.cert, where.key, where.host)
    except GreenbasError as error:
        return [str(error)]
    return []


def _below(prefix: str) -> str:
    return f" below /{prefix.strip('/')}/" if prefix.strip("/") else ""


def _priority(priority: int) -> str:
    return f" priority {priority}" if priority else ""


def _show_used(launch: Launch) -> None:
    used = plugin.in_use()
    if not used:
        return
    packages = {found.name: found for found in plugin.plugins() if found.usable is not None}
    tables: Mapping[str, Any] = launch.config.plugins if launch.config is not None else {}
    print("plugins")
    for one in used:
        print(f"  {one.name}{_package(packages[one.name])}")
        if one.settings is not None and launch.config is not None:
            origins = dict.fromkeys(tables.get(one.name, ()), str(launch.config.file))
            _print_values(plugin.settings(one.name), "    ", origins)
        elif one.settings is not None:
            _print_values(plugin.settings(one.name), "    ", {})


def _print_values(values: Any, indent: str, origins: Mapping[str, str]) -> None:
    """The fields of a dataclass, with what differs from its defaults, and where that is from."""
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        words = f"{indent}{field.name} = {value!r}" if field.repr else f"{indent}{field.name} = (secret)"
        if value != default and field.repr:
            words += f"  (default {default!r})"
        if field.name in origins:
            words += f"  from {origins[field.name]}"
        print(words)


def _print_tree(directory: Directory, indent: str, role: str = "") -> list[str]:
    """Print a directory and those below it; returns what is wrong with them."""
    problems: list[str] = []
    print(f"{indent}{directory.base_uri()}  {role}{_describe(directory)}")
    if isinstance(directory, ResourceReader):
        problems += _problems(directory)
        for child in directory.prologue:
            problems += _print_tree(child, indent + "  ", "prologue ")
    for child in directory.children:
        problems += _print_tree(child, indent + "  ")
    return problems


def _describe(directory: Directory) -> str:
    words = [type(directory).__name__]
    if isinstance(directory, DomainReader):
        words.append(f"for {directory.domain}")
    if directory.priority:
        words.append(f"priority {directory.priority}")
    function = directory.function
    if directory.secure:
        words.append("redirects to TLS")
    elif function is not None:
        name = getattr(function, "__qualname__", None) or repr(function)
        words.append(f"function {getattr(function, '__module__', '?')}.{name}")
    if isinstance(directory, ResourceReader):
        words.append(f"files of {directory.io()!r}")
    return " ".join(words)


def _problems(reader: ResourceReader) -> list[str]:
    try:
        reader.io().names()
        if isinstance(reader, DomainReader) and reader.page404 is not None:
            reader.io().open(reader.page404).close()
    except IoError as error:
        return [f"{reader!r}: {error}"]
    return []


# Plugins.


def show_plugins() -> int:
    """Print the plugins that are there, what each adds, and what is wrong with it.

    Returns:
        The exit code: 1 when a plugin is broken. One that needs something that is not installed is not.
    """
    found = plugin.plugins(tried=True)
    for one in found:
        print("\n".join(_plugin_lines(one)))
    if not found:
        print("no plugins are installed")
    return 1 if any(one.error is not None and not isinstance(one.error, NotInstalled) for one in found) else 0


def _plugin_lines(found: plugin.Found) -> Iterator[str]:
    declared = found.plugin
    summary = f": {declared.summary}" if declared is not None and declared.summary else ""
    yield f"{found.name}{_package(found)}{summary}"
    if declared is not None and (found.error is None or isinstance(found.error, NotInstalled)):
        adds = [words.format(name) for where, words in PARTS.items() for name in getattr(declared, where)]
        if adds:
            yield f"  adds {', '.join(adds)}"
        if declared.settings is not None:
            names = [field.name for field in dataclasses.fields(declared.settings) if field.init]
            yield f"  settings {', '.join(names)} in [plugin.{declared.name}]"
    if found.error is not None:
        yield f"  {'not usable' if isinstance(found.error, NotInstalled) else 'broken'}: {found.error}"


def _package(found: plugin.Found) -> str:
    return f" {found.version} ({found.distribution})" if found.distribution else " (registered by a program)"
