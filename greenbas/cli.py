"""The ``greenbas`` command."""

from __future__ import annotations

from greenbas.dispatcher import patch

patch()  # the launcher's first deed: what is imported below and by applications finds cooperative modules

import argparse  # noqa: E402
import ast  # noqa: E402
import errno  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from dataclasses import fields  # noqa: E402
from importlib.metadata import PackageNotFoundError, version  # noqa: E402
from types import TracebackType  # noqa: E402
from typing import Any  # noqa: E402

from greenbas.app import load  # noqa: E402
from greenbas.errors import BindFailed, GreenbasError, IoError, SettingError, StartError  # noqa: E402
from greenbas.http import HttpSettings, check_names  # noqa: E402
from greenbas.limits import raise_descriptor_limit  # noqa: E402
from greenbas.logs import LOG_STYLES  # noqa: E402
from greenbas.server import DEFAULT_PORT, Server  # noqa: E402
from greenbas.vfs import Directory, DomainReader, ResourceReader  # noqa: E402

__all__ = ["main"]

APP_HELP = (
    "a folder, or module:name (a Server, a Directory or a handler); PREFIX=APP puts it below a path; "
    "the current folder unless given"
)


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
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve applications")
    serve.set_defaults(command=_serve)
    serve.add_argument("apps", nargs="*", metavar="APP", help=APP_HELP)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; '' for all (default %(default)s)")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on (default %(default)s)")
    serve.add_argument("--port-range", type=int, metavar="LAST", help="when the port is taken, try those up to LAST")
    serve.add_argument("--log", choices=LOG_STYLES, default="text", help="of requests and events (default %(default)s)")
    _add_settings(serve)

    check = commands.add_parser("check", help="show what would be served, and with which settings")
    check.set_defaults(command=_check)
    check.add_argument("apps", nargs="*", metavar="APP", help=APP_HELP)
    _add_settings(check)

    run = commands.add_parser("run", help="run a script with cooperative blocking calls")
    run.set_defaults(command=_run)
    # One argument with all the rest in it: two would lose a "--" between them, which may be meant for the script.
    run.add_argument("script", nargs=argparse.PARSER, metavar="SCRIPT", help="the script, and behind it its arguments")

    commands.add_parser("version", help="show the version").set_defaults(command=_show_version)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dev", action="store_true", help="development mode: error pages show the traceback")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; 'greenbas check' lists them"
    )


def _serve(options: argparse.Namespace) -> int:
    server = _loaded(options)
    raise_descriptor_limit()
    _listen(server, options.host, options.port, options.port_range or options.port)
    server.serve_forever(options.log)
    return 0


def _listen(server: Server, host: str, port: int, last: int) -> None:
    if last < port:
        raise SettingError(f"--port-range {last} is below --port {port}")
    for candidate in range(port, last + 1):
        try:
            server.listen(candidate, host=host)
            return
        except BindFailed as error:
            # Another port helps against nothing else, such as a host that does not exist.
            if candidate == last or getattr(error.__cause__, "errno", None) not in (errno.EADDRINUSE, errno.EACCES):
                raise


def _check(options: argparse.Namespace) -> int:
    server = _loaded(options)
    print("directories, in the order in which they are asked")
    problems = _print_tree(server.root, "  ")
    print("settings")
    for field in fields(HttpSettings):
        value = getattr(server.settings, field.name)
        print(f"  {field.name} = {value!r}" + (f"  (default {field.default!r})" if value != field.default else ""))
    for problem in problems:
        print(f"greenbas: {problem}", file=sys.stderr)
    return 1 if problems else 0


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


def _loaded(options: argparse.Namespace) -> Server:
    changes = dict(_setting(item) for item in options.set)
    if options.dev:
        changes["dev"] = True
    server = load(options.apps or ["."])
    if changes:
        server.configure(**changes)
    return server


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
