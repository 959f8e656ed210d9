"""The ``greenbas`` command."""

from __future__ import annotations

from greenbas.dispatcher import patch

patch()  # the launcher's first deed: what is imported below and by applications finds cooperative modules

import argparse  # noqa: E402
import errno  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from importlib.metadata import PackageNotFoundError, version  # noqa: E402
from types import TracebackType  # noqa: E402
from typing import TYPE_CHECKING, Any, NoReturn  # noqa: E402

import gevent  # noqa: E402

from greenbas import check, plugin  # noqa: E402
from greenbas.config import FILE, ServerTable, find  # noqa: E402
from greenbas.errors import BindFailed, GreenbasError, SettingError, StartError  # noqa: E402
from greenbas.launch import Launch, prepare  # noqa: E402
from greenbas.limits import raise_descriptor_limit  # noqa: E402
from greenbas.logs import LOG_STYLES  # noqa: E402
from greenbas.net import join  # noqa: E402
from greenbas.newapp import new_app  # noqa: E402
from greenbas.server import Server  # noqa: E402
from greenbas.tlsport import make_tls  # noqa: E402

if TYPE_CHECKING:
    from greenbas.net.tls import ServerTls

__all__ = ["main"]

APP_HELP = (
    "a folder, or module:name (a Server, a Directory, a handler or a WSGI application); PREFIX=APP puts it below a "
    f"path; those of {FILE} unless given, without such a file the current folder"
)
DEFAULT = ServerTable()
LAST_PORT = 65535
NO_READER = 141  # the exit code of programs that SIGPIPE ends, as shells tell it


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: instead of those of the process.
    """
    given = sys.argv[1:] if arguments is None else arguments
    options = argparse.Namespace()
    try:
        if given and not given[0].startswith("-") and given[0] not in plugin.COMMANDS:
            _run_plugin(given[0], given[1:])
        options = _parser(with_plugins=given[:1] in (["-h"], ["--help"])).parse_args(given)
        code = options.command(options)
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        # Whoever read has what he wanted, as in `greenbas check | head`. What is left in the buffer would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(NO_READER)
    except GreenbasError as error:
        if getattr(options, "dev", False):
            traceback.print_exc()
        sys.exit(f"greenbas: {error}")


def _run_plugin(name: str, arguments: list[str]) -> NoReturn:
    """Run a command that a plugin adds, with the plugin's settings of ./greenbas.toml."""
    owner = plugin.names("commands").get(name)
    if owner is None:
        if any(found.error is not None for found in plugin.plugins()):
            plugin.command(name)  # raises, and says what is wrong with those that may have it
        _parser(with_plugins=True).parse_args([name])  # ends with the usage
    assert owner is not None
    command = plugin.command(name)
    config = find(None)
    if config is not None:
        config.configure_plugins([owner.name])
    code = command(arguments)
    sys.stdout.flush()
    sys.exit(code)


def _parser(*, with_plugins: bool = False) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="greenbas", description="Plain blocking Python, thousands of connections.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_serve, _add_check, _add_new, _add_run, _add_hash_password, _add_version, _add_plugins):
        add(commands)
    if with_plugins:
        for name, owner in plugin.names("commands").items():
            commands.add_parser(name, help=f"{owner.summary or 'a command'} (plugin {owner.name})", add_help=False)
    return parser


# Each adds its parser, whose default `command` is the function that is called with the options.


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser("serve", help="serve applications")
    serve.set_defaults(command=_serve)
    _add_apps(serve)
    serve.add_argument("--host", help=f"address to listen on; '' for all (default {DEFAULT.host})")
    serve.add_argument("--port", type=int, help=f"port to listen on (default {DEFAULT.port})")
    serve.add_argument("--port-range", type=int, metavar="LAST", help="when the port is taken, try those up to LAST")
    serve.add_argument("--tls-port", type=int, help="port for HTTPS; with it --port has no default")
    serve.add_argument("--tls-port-range", type=int, metavar="LAST", help="when that is taken, try those up to LAST")
    serve.add_argument(
        "--cert", action="append", metavar="FILE", help="certificate and chain (PEM), once for each; else one is made"
    )
    serve.add_argument("--key", action="append", metavar="FILE", help="its private key (PEM), unless that is there too")
    serve.add_argument("--reload", action="store_true", help="begin anew whatever has changed, while you develop")
    serve.add_argument("--log", choices=LOG_STYLES, help=f"of requests and events (default {DEFAULT.log})")


def _add_check(commands: Any) -> None:
    parser = commands.add_parser("check", help="show what would be served, and with which settings")
    parser.set_defaults(command=_check)
    _add_apps(parser)


def _add_apps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("apps", nargs="*", metavar="APP", help=APP_HELP)
    parser.add_argument("--config", metavar="FILE", help=f"the configuration (default {FILE}, when there is one here)")
    parser.add_argument("--dev", action="store_true", help="development mode: error pages show the traceback")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; 'greenbas check' lists them"
    )


def _add_new(commands: Any) -> None:
    parser = commands.add_parser("new", help="make something to begin from")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    app = kinds.add_parser("app", help="a folder with a small application")
    app.set_defaults(command=_new_app)
    app.add_argument("folder", metavar="NAME", help="the folder; its last part is the name of the application")


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="run a script with cooperative blocking calls, until its sockets are done")
    run.set_defaults(command=_run)
    # One argument with all the rest in it: two would lose a "--" between them, which may be meant for the script.
    run.add_argument("script", nargs=argparse.PARSER, metavar="SCRIPT", help="the script, and behind it its arguments")


def _add_hash_password(commands: Any) -> None:
    parser = commands.add_parser("hash-password", help="make what a user database stores instead of a password")
    parser.set_defaults(command=_hash_password)
    parser.add_argument("--digest", nargs=2, metavar=("REALM", "NAME"), help="HA1 hashes, which digest logins need")
    parser.add_argument("--md5", action="store_true", help="of those the one for clients that know no SHA-256 as well")


def _add_version(commands: Any) -> None:
    commands.add_parser("version", help="show the version").set_defaults(command=_show_version)


def _add_plugins(commands: Any) -> None:
    parser = commands.add_parser("plugins", help="list the plugins that are installed, and what is wrong with them")
    parser.set_defaults(command=lambda options: check.show_plugins())


def _serve(options: argparse.Namespace) -> int:
    for name in ("port", "port_range"):
        value = getattr(options, name)
        if value is not None and not 0 <= value <= LAST_PORT:
            raise SettingError(f"--{name.replace('_', '-')} {value}: use 0 (any that is free) to {LAST_PORT}")
    raise_descriptor_limit()
    if options.reload:
        from greenbas.reload import serve_reloading  # with a library that nobody else needs

        serve_reloading(lambda: prepare(options), _serve_launch)
    else:
        _serve_launch(prepare(options))
    return 0


def _serve_launch(launch: Launch) -> None:
    where = launch.listen
    try:
        if where.port is not None:
            last = where.port if where.port_range is None else where.port_range
            _listen(launch.server, where.host, where.port, last)
        if where.tls_port is not None:
            tls = make_tls(where.cert, where.key, where.host)
            last = where.tls_port if where.tls_port_range is None else where.tls_port_range
            _listen(launch.server, where.host, where.tls_port, last, tls)
        launch.server.serve_forever(where.log)
    except GreenbasError:
        launch.server.stop(drain_timeout=0)  # its applications run already
        raise


def _check(options: argparse.Namespace) -> int:
    launch = prepare(options)
    try:
        return check.show(launch)
    finally:
        launch.server.stop()  # its applications run already


def _listen(server: Server, host: str, port: int, last: int, tls: ServerTls | None = None) -> None:
    if last < port:
        raise SettingError(f"--port-range {last} is below --port {port}")
    for candidate in range(port, last + 1):
        try:
            server.listen(candidate, host=host, tls=tls)
            return
        except BindFailed as error:
            # Another port helps against nothing else, such as a host that does not exist.
            if candidate == last or getattr(error.__cause__, "errno", None) not in (errno.EADDRINUSE, errno.EACCES):
                raise


def _new_app(options: argparse.Namespace) -> int:
    folder = new_app(options.folder)
    print(f"made {folder}; to see it: greenbas serve {folder} --reload --dev")
    return 0


def _run(options: argparse.Namespace) -> int:
    script, *arguments = options.script[1:] if options.script[0] == "--" else options.script
    if not os.path.isfile(script):
        raise StartError(f"{script}: no such script")
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    raise_descriptor_limit()
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:
        # As `python script` shows it: beginning with the script. A GreenbasError is no exception to that, as it may
        # come from anywhere in there.
        traceback.print_exception(error.with_traceback(_within(error.__traceback__)))
        return 1
    return _wait_for_sockets()


def _wait_for_sockets() -> int:
    """Go on as long as functions of the script have sockets; Ctrl-C ends it without a traceback of ours."""
    waiting = gevent.spawn(join)
    watcher = gevent.signal_handler(signal.SIGINT, waiting.kill)
    try:
        waiting.join()
    finally:
        watcher.cancel()
    return 0 if waiting.value is True else 128 + signal.SIGINT


def _hash_password(options: argparse.Namespace) -> int:
    """Read a password, twice from a terminal, and print its hash, or a JSON list of hashes for digests as well."""
    if options.md5 and options.digest is None:
        raise SettingError("--md5 goes with --digest REALM NAME")
    import getpass
    import json

    from greenbas.auth import ha1, hash_password

    terminal = sys.stdin.isatty()
    password = getpass.getpass() if terminal else sys.stdin.readline().rstrip("\r\n")
    if terminal and getpass.getpass("Again: ") != password:
        raise SettingError("the two passwords are not the same")
    hashed = hash_password(password)
    if options.digest is None:
        print(hashed)
        return 0
    realm, name = options.digest
    kinds = ("SHA-256", "MD5") if options.md5 else ("SHA-256",)
    print(json.dumps([hashed, *(ha1(kind, name, realm, password) for kind in kinds)]))
    return 0


def _within(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that lies behind this module and runpy."""
    place = trace
    while place is not None and place.tb_frame.f_globals.get("__name__") in (__name__, "runpy"):
        place = place.tb_next
    return place


def _show_version(options: argparse.Namespace) -> int:
    print(_version())
    return 0


def _version() -> str:
    try:
        return f"greenbas {version('greenbas')}"
    except PackageNotFoundError:
        return "greenbas (not installed)"
