"""greenbas.toml: what a server is made of besides code. Every table is a dataclass; what is unknown is an error.

::

    [server]              host, port, port_range, tls_port, tls_port_range, cert, key, log
    [http]                the settings of greenbas.http.HttpSettings
    [[app]]               path, prefix, priority
    [[mount]]             kind, prefix, and what create.KIND takes
    [[NAME]]              prefix, and what the kind takes that a plugin makes of its tables NAME, such as [[proxy]]
    [plugin.NAME]         the settings of a plugin

Which tables plugins have is known when the applications have been loaded, as those may register plugins: until then
every array of tables may be one. `Config.check_tables` says which of them are nobody's.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from greenbas import plugin
from greenbas.app import Spec
from greenbas.errors import GreenbasError, PluginError, SettingError, StartError
from greenbas.http import HttpSettings
from greenbas.server import DEFAULT_PORT, Server
from greenbas.tables import convert_table, make_table, nearest

__all__ = ["FILE", "AppTable", "Config", "MountTable", "ServerTable", "check_keys", "find", "read"]

FILE = "greenbas.toml"
MAX_PORT = 65535
_MOUNT = "mount"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServerTable:
    """The table ``[server]``: where to listen, and how to log.

    Attributes:
        host: address or name; "" for all.
        port: 0 lets the system choose; None opens none, as is done where only tls_port is given.
        port_range: when the port is taken, those up to this one are tried.
        tls_port, tls_port_range: likewise, for HTTPS.
        cert: PEM files, relative to the file: certificates, each with its chain. None: one is made.
        key: PEM files, one for each of cert; none when the keys stand in there too.
        log: of requests and events.
    """

    host: str = "127.0.0.1"
    port: int | None = DEFAULT_PORT
    port_range: int | None = None
    tls_port: int | None = None
    tls_port_range: int | None = None
    cert: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    log: Literal["text", "json", "none"] = "text"


@dataclass(frozen=True, kw_only=True)
class AppTable:
    """A table ``[[app]]``: an application.

    Attributes:
        path: a folder, relative to the file, or ``module:name``.
        prefix: the path that it is put below.
        priority: -128 to 127; siblings are asked in descending order.
    """

    path: str
    prefix: str = ""
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class MountTable:
    """A table ``[[mount]]``, or one of a plugin such as ``[[proxy]]``: a directory made by ``create.KIND``.

    Attributes:
        kind: greenbas's own or a plugin's; None for the one that `table` stands for.
        prefix: where; the last segment is the directory's name.
        options: the other keys, arguments of ``create.KIND``.
        number: which of the tables of this name this is, from 1.
        table: its name in the file.
    """

    kind: str | None
    prefix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1
    table: str = _MOUNT

    def __str__(self) -> str:
        return f"[[{self.table}]] {self.number}" + (f" ({self.kind})" if self.kind is not None else "")


@dataclass(frozen=True, kw_only=True)
class Config:
    """A file that has been read.

    Attributes:
        file: as it was named.
        server: what ``[server]`` says, a value for each name that it gives; http: likewise for ``[http]``.
        apps: in the order of the file.
        mounts: likewise, where tables of one name stand together, at the place of the first.
        plugins: the tables ``[plugin.NAME]``, unchecked: only the plugins know.
    """

    file: Path
    server: Mapping[str, Any] = field(default_factory=dict)
    http: Mapping[str, Any] = field(default_factory=dict)
    apps: tuple[AppTable, ...] = ()
    mounts: tuple[MountTable, ...] = ()
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return self.file.parent

    def specs(self) -> list[Spec]:
        """The applications, as `greenbas.app.load` takes them."""
        return [
            Spec(self._place(app.path), app.prefix, app.priority, app.path, f"{self.file}: [[app]] {number}")
            for number, app in enumerate(self.apps, 1)
        ]

    def _place(self, path: str) -> str:
        place = self.folder / path
        return path if ":" in path and not place.exists() else str(place)

    def configure_plugins(self, names: Iterable[str]) -> None:
        """Give plugins their settings; they are in use from then on.

        Args:
            names: of the plugins; those that have no table here are left alone.

        Raises:
            PluginError: there is no such plugin, or it is broken.
            SettingError: a table is wrong.
        """
        for name in [name for name in names if name in self.plugins]:
            label = f"{self.file}: [plugin.{name}]"
            _labelled(label, plugin.configure, name, self.plugins[name])
            _labelled(label, plugin.use, name)

    def check_tables(self) -> None:
        """See that every table is one of greenbas's own or of a plugin that is there by now.

        Raises:
            SettingError: one is not; the message has the nearest that there is, and the plugins that are broken.
        """
        for mount in self.mounts:
            if mount.kind is None:
                _check_table(self.file, mount.table)

    def configure_server(self, server: Server) -> None:
        """Give a server the settings of ``[http]``.

        Raises:
            SettingError: they do not go with what it has already.
        """
        if self.http:
            _labelled(f"{self.file}: [http]", lambda: server.configure(**self.http))


def find(name: str | None) -> Config | None:
    """Read the file that ``--config`` names, else ./greenbas.toml when there is one.

    Raises:
        StartError: the file that is named cannot be read.
        SettingError: it is no TOML, or a table is wrong.
    """
    if name is not None:
        return read(name)
    return read(FILE) if os.path.isfile(FILE) else None


def read(name: str | os.PathLike[str]) -> Config:
    """Read and check a configuration file; nothing that it names is looked at yet.

    Raises:
        StartError: it cannot be read.
        SettingError: it is no TOML, or a table is wrong; the message has file and table.
    """
    file = Path(name)
    tables = _parsed(file)
    for name, given in tables.items():
        if name not in plugin.TABLES and not _is_array_of_tables(given):
            _check_table(file, name)
    return Config(
        file=file,
        server=_labelled(f"{file}: [server]", _server_values, tables.get("server", {})),
        http=_labelled(f"{file}: [http]", _http_values, tables.get("http", {})),
        apps=_array(file, "app", tables.get("app", []), _app_table),
        mounts=_mounts(file, tables),
        plugins=_labelled(f"{file}: [plugin]", _plugin_tables, tables.get("plugin", {})),
    )


def _is_array_of_tables(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(one, dict) for one in given)


def _check_table(file: Path, name: str) -> None:
    try:
        plugin.owner("tables", name)
    except AttributeError:
        hint = nearest(name, [*plugin.TABLES, *plugin.names("tables")])
        raise SettingError(f"{file}: unknown table {name!r}{hint}{plugin.blame('tables', name)}") from None


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))  # editors of some systems begin with a mark
    except OSError as error:
        raise StartError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        words, line = str(error), ""
        if found := re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", words, re.DOTALL):
            words, line = found[1], f" line {found[2]}"
        raise SettingError(f"{file}{line}: {words}") from error
    except RecursionError as error:
        raise SettingError(f"{file}: its arrays or tables are nested too deeply") from error
    except ValueError as error:  # Python's limit for the digits of a number
        raise SettingError(f"{file}: a value that cannot be read: {error}") from error


def _server_values(given: Any) -> dict[str, Any]:
    made = make_table(ServerTable, _table(given))
    for name in ("port", "port_range", "tls_port", "tls_port_range"):
        port = getattr(made, name)
        if port is not None and not 0 <= port <= MAX_PORT:
            raise SettingError(f"{name}: {port} is no port: use 0 to {MAX_PORT}")
    if "\0" in made.host:
        raise SettingError(f"host: {made.host!r:.80} holds a NUL: use an address or a name")
    for name in ("port", "tls_port"):
        first, last = getattr(made, name), getattr(made, f"{name}_range")
        if last is not None and first is None:
            raise SettingError(f"{name}_range {last} needs a {name}")
        if last is not None and last < first:
            raise SettingError(f"{name}_range {last} is below {name} {first}")
    check_keys(made, "cert", "key")
    return convert_table(ServerTable, given)


def check_keys(made: ServerTable, cert: str, key: str) -> None:
    """Raise SettingError unless certificates and keys go together; `cert` and `key` are what they are called."""
    if made.key and len(made.key) != len(made.cert):
        words = f"{len(made.cert)} of {cert} and {len(made.key)} of {key}"
        raise SettingError(f"{words}: give a {key} for each {cert}, or none when the keys stand in the same files")
    if made.cert and made.tls_port is None:
        raise SettingError(f"{cert} {made.cert[0]!r} has no port: add tls_port (--tls-port)")


def _http_values(given: Any) -> dict[str, Any]:
    make_table(HttpSettings, _table(given))
    return convert_table(HttpSettings, given)


def _app_table(given: Any, number: int) -> AppTable:
    return make_table(AppTable, _table(given))


def _mounts(file: Path, tables: Mapping[str, Any]) -> tuple[MountTable, ...]:
    found: list[MountTable] = []
    for name, given in tables.items():
        if name == _MOUNT or name not in plugin.TABLES:
            found += _array(file, name, given, partial(_mount_table, name))
    return tuple(found)


def _mount_table(name: str, given: Any, number: int) -> MountTable:
    table = _table(given)
    any_kind = name == _MOUNT
    known = ("kind", "prefix") if any_kind else ("prefix",)
    read = {key: value for key, value in table.items() if key in known}
    made = make_table(MountTable, read if any_kind else {"kind": "", **read})
    options = {key: value for key, value in table.items() if key not in known}
    if "name" in options:
        raise SettingError("the name is the last segment of prefix: leave 'name' out")
    return replace(made, kind=made.kind if any_kind else None, options=options, number=number, table=name)


def _plugin_tables(given: Any) -> dict[str, Mapping[str, Any]]:
    for name, table in _table(given).items():
        if not isinstance(table, dict):
            raise SettingError(f"{name} = {table!r} is no table of a plugin: write [plugin.{name}]")
    return dict(given)


def _table(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise SettingError(f"{given!r:.60} is not a table")
    return given


def _array(file: Path, key: str, given: Any, make: Callable[[Any, int], T]) -> tuple[T, ...]:
    if not isinstance(given, list):
        raise SettingError(f"{file}: [{key}] is an array of tables: write [[{key}]]")
    return tuple(_labelled(f"{file}: [[{key}]] {n}:", make, one, n) for n, one in enumerate(given, 1))


def _labelled(label: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function; what is wrong says in which table."""
    try:
        return function(*arguments)
    except GreenbasError as error:
        # A name that nobody has is a mistake in the file; a plugin that is broken is none.
        broken = isinstance(error, PluginError) and not isinstance(error, AttributeError)
        kind = PluginError if broken else SettingError
        raise kind(f"{label} {error}") from error
