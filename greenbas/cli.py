"""The ``greenbas`` command."""

from __future__ import annotations

from greenbas.dispatcher import patch

patch()  # the launcher's first deed: what is imported below and by applications finds cooperative modules

import argparse  # noqa: E402
import ast  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from dataclasses import fields  # noqa: E402
from importlib.metadata import PackageNotFoundError, version  # noqa: E402
from typing import Any  # noqa: E402

from greenbas.app import load  # noqa: E402
from greenbas.errors import BindFailed, GreenbasError, SettingError  # noqa: E402
from greenbas.http import HttpSettings, check_names  # noqa: E402
from greenbas.limits import raise_descriptor_limit  # noqa: E402
from greenbas.logs import LOG_STYLES  # noqa: E402
from greenbas.server import DEFAULT_PORT, Server  # noqa: E402
from greenbas.vfs import Directory, ResourceReader  # noqa: E402

__all__ = ["main"]

APP_HELP = "a folder, PREFIX=folder, or module:name (a Server, a Directory or a handler); the current folder unless given"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: instead of those of the process.
    """
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.command(options))
    except GreenbasError as error:
        if getattr(options, "dev", False):
            traceback.print_exc()
        sys.exit(f"greenbas: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="greenbas", description="Plain blocking Python, thousands of connections.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve applications")
    serve.set_defaults(command=_serve)
    serve.add_argument("apps", nargs="*", metavar="APP", help=APP_HELP)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; '' for all (default %(default)s)")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on (default %(default)s)")
    serve.add_argument("--port-range", type=int, metavar="LAST", help="when the port is taken, try those up to LAST")
    serve.add_argument("--log", choices=LOG_STYLES, default="text", help="access log and messages (default %(default)s)")
    _add_settings(serve)

    check = commands.add_parser("check", help="show what would be served, and with which settings")
    check.set_defaults(command=_check)
    check.add_argument("apps", nargs="*", metavar="APP", help=APP_HELP)
    _add_settings(check)

    run = commands.add_parser("run", help="run a script with cooperative blocking calls")
    run.set_defaults(command=_run)
    run.add_argument("script", metavar="SCRIPT")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")

    commands.add_parser("version", help="show the version").set_defaults(command=_version)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dev", action="store_true", help="development mode: error pages show the traceback")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; see 'check'")


def _serve(options: argparse.Namespace) -> int:
    server = _loaded(options)
    raise_descriptor_limit()
    _listen(server, options.host, options.port, options.port_range or options.port)
    server.serve_forever(options.log)
    return 0


def _listen(server: Server, host: str, port: int, last: int) -> None:
    for candidate in range(port, last + 1):
        try:
            server.listen(candidate, host=host)
            return
        except BindFailed:
            if candidate == last:
                raise
    raise SettingError(f"--port-range {last} is below --port {port}")


def _check(options: argparse.Namespace) -> int:
    server = _loaded(options)
    print("directories, in the order in which they are asked")
    _print_tree(server.root, "  ")
    print("settings")
    default = HttpSettings()
    for field in fields(HttpSettings):
        value = getattr(server.settings, field.name)
        origin = "default" if value == getattr(default, field.name) else "changed"
        print(f"  {field.name} = {value!r}  ({origin})")
    return 0


def _print_tree(directory: Directory, indent: str) -> None:
    files = f"  files of {directory.io()!r}" if isinstance(directory, ResourceReader) else ""
    print(f"{indent}{directory.base_uri()}  {directory!r}{files}")
    for child in directory.children:
        _print_tree(child, indent + "  ")


def _run(options: argparse.Namespace) -> int:
    script = options.script
    if not os.path.isfile(script):
        raise SettingError(f"{script}: no such script")
    sys.argv = [script, *options.arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    raise_descriptor_limit()
    runpy.run_path(script, run_name="__main__")
    return 0


def _version(options: argparse.Namespace) -> int:
    try:
        print(f"greenbas {version('greenbas')}")
    except PackageNotFoundError:
        print("greenbas (not installed)")
    return 0


def _loaded(options: argparse.Namespace) -> Server:
    changes = dict(_setting(item) for item in options.set)
    if options.dev:
        changes["dev"] = True
    check_names(changes, HttpSettings)
    server = load(options.apps or ["."])
    if changes:
        server.configure(**changes)
    return server


def _setting(item: str) -> tuple[str, Any]:
    name, equals, text = item.partition("=")
    if not equals:
        raise SettingError(f"--set {item}: use NAME=VALUE")
    try:
        return name, ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return name, text
