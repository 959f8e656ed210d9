"""What ``greenbas serve`` serves and ``greenbas check`` shows, put together from code, greenbas.toml and command line.

The later wins: defaults, the Server in code, greenbas.toml, the command line.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from greenbas import plugin
from greenbas.app import Spec, load
from greenbas.config import Config, ServerTable, check_keys, find
from greenbas.errors import IoError, SettingError, StartError
from greenbas.http import HttpSettings, check_names
from greenbas.mounts import install_mounts
from greenbas.server import Server
from greenbas.vfs import Directory, ResourceReader

__all__ = ["COMMAND_LINE", "IN_CODE", "Launch", "prepare"]

COMMAND_LINE = "the command line"
IN_CODE = "the Server in code"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Everything that is needed to serve.

    Attributes:
        server: with its directories, configured, neither listening nor started.
        listen: where to listen, and how to log.
        config: the file that was read, if any.
        specs: the applications that were loaded.
        mounts: what the file mounts, as its tables are.
        origins: where a setting of `server` or `listen` is from, by its name; what is not in here is the default.
    """

    server: Server
    listen: ServerTable
    config: Config | None
    specs: list[Spec]
    mounts: list[Directory]
    origins: Mapping[str, str]


def prepare(options: argparse.Namespace) -> Launch:
    """Read the file, load the applications, mount the directories, and apply all settings.

    Args:
        options: of the command line: apps, config, dev and set, and those of ServerTable as far as the command has
            them; what is None was not given.

    Raises:
        GreenbasError: whatever is wrong, in one line.
    """
    changes = dict(_setting(item) for item in options.set)
    typed = dict.fromkeys(changes, "--set")
    if options.dev:
        changes["dev"], typed["dev"] = True, "--dev"
    config = find(options.config)
    specs = _specs(options.apps, config)
    late: list[str] = []
    if config is not None:
        _find_modules(config)
        late = _configure_installed(config)
    server = load(specs)
    try:
        origins = _in_code(server)
        if config is not None:
            config.configure_plugins(late)
            config.configure_server(server)
            origins |= dict.fromkeys(config.http, str(config.file))
        mounts = install_mounts(server.root, config) if config is not None else []
        if changes:
            server.configure(**changes)
        if config is not None:
            _must_not_serve(config, server)
    except BaseException:
        server.stop()  # applications have started
        raise
    listen, chosen = _listen(options, config)
    return Launch(
        server=server, listen=listen, config=config, specs=specs, mounts=mounts, origins={**origins, **typed, **chosen}
    )


def _specs(apps: list[str], config: Config | None) -> list[Spec]:
    if apps:
        return [Spec.parse(app) for app in apps]
    if config is None:
        return [Spec.parse(".")]
    if not config.apps and not config.mounts:
        # Not the current folder: the file itself is in there, and who wrote one has said what to serve.
        raise StartError(f"{config.file}: nothing to serve: add an [[app]] or a [[mount]], or name an APP")
    return config.specs()


def _find_modules(config: Config) -> None:
    folder = os.path.abspath(config.folder)
    if folder not in sys.path and not (folder == os.getcwd() and "" in sys.path):
        sys.path.insert(0, folder)


def _configure_installed(config: Config) -> list[str]:
    """Configure the plugins that are there before applications are loaded, which may register more: those are left."""
    there = {found.name for found in plugin.plugins()} if config.plugins else set()
    config.configure_plugins(name for name in config.plugins if name in there)
    return [name for name in config.plugins if name not in there]


def _in_code(server: Server) -> dict[str, str]:
    changed = [one.name for one in fields(HttpSettings) if getattr(server.settings, one.name) != one.default]
    return dict.fromkeys(changed, IN_CODE)


def _listen(options: argparse.Namespace, config: Config | None) -> tuple[ServerTable, dict[str, str]]:
    """Where to listen, and where each value of that is from."""
    in_file = _with_places(config) if config is not None else {}
    typed = {name: getattr(options, name, None) for name in _LISTEN}
    typed = {name: value for name, value in typed.items() if value is not None}
    typed |= {name: tuple(value) for name, value in typed.items() if isinstance(value, list)}
    for name in ("port", "tls_port"):
        if name in typed:
            in_file.pop(f"{name}_range", None)  # it belongs to the port of the file
    if "cert" in typed:
        in_file.pop("key", None)  # likewise
    origins = dict.fromkeys(in_file, str(config.file) if config is not None else "")
    values = {**in_file, **typed}
    if "tls_port" in values and "port" not in values and "port_range" not in values:
        values["port"] = None  # who asks for HTTPS alone does not get a port in the clear beside it
    chosen = replace(ServerTable(), **values)
    check_keys(chosen, "--cert", "--key")
    if chosen.tls_port is not None and (chosen.tls_port_range or chosen.tls_port) < chosen.tls_port:
        raise SettingError(f"--tls-port-range {chosen.tls_port_range} is below --tls-port {chosen.tls_port}")
    return chosen, {**origins, **dict.fromkeys(typed, COMMAND_LINE)}


_LISTEN = tuple(field.name for field in fields(ServerTable))


def _with_places(config: Config) -> dict[str, Any]:
    """The values of ``[server]``, with paths that are relative to the file made so."""
    values = dict(config.server)
    for name in ("cert", "key"):
        if name in values:
            values[name] = tuple(str(config.folder / path) for path in values[name])
    return values


def _must_not_serve(config: Config, server: Server) -> None:
    """Refuse to serve the file itself: it may hold passwords, and what is in a folder can be asked for."""
    file = config.file.resolve()
    for root in filter(None, map(_root, server.root.walk())):
        if file.is_relative_to(root) and not any(part.startswith(".") for part in file.relative_to(root).parts):
            raise StartError(
                f"{config.file} is in the folder {root}, which is served: serve a folder below it, or move the file"
            )


def _root(directory: Directory) -> str | None:
    """The folder that a directory serves, if it does."""
    try:
        return directory.io().real_path("") if isinstance(directory, ResourceReader) else None
    except IoError:
        return None  # it has gone; `greenbas check` says so


_DEFAULTS = {field.name: field.default for field in fields(HttpSettings)}
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "none": None}


def _setting(item: str) -> tuple[str, Any]:
    name, equals, text = item.partition("=")
    if not equals:
        raise SettingError(f"--set {item}: use NAME=VALUE")
    check_names({name: text}, HttpSettings)
    default = _DEFAULTS[name]
    if isinstance(default, str):
        return name, text
    if text.lower() in _WORDS:
        return name, _WORDS[text.lower()]
    try:
        value: Any = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(default, tuple) and isinstance(value, str):
        value = tuple(value.replace(",", " ").split())  # a list may be written without quotes
    return name, value
