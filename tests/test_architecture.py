"""The house as docs/design.md describes it: which room may import which, what is public, what is packaged."""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sources import ROOT, Import, Module, imports, modules, public_bindings, public_names

# Lowest first. A room imports only rooms that stand before it (and itself).
ROOMS = [
    "errors",
    "codec",
    "crypto",
    "protocol",
    "dispatcher",
    "net",
    "luasocket",
    "io",
    "http",
    "auth",
    "vfs",
    "pages",
    "client",
]
# The modules that put it together: above every room, and free to import each other.
TOP = ["server", "app", "config", "plugin", "trace", "metrics", "emitter", "debug", "create", "limits", "logs"]
TOP += ["application", "appmodules", "failures", "newapp", "reload"]
TOP += ["declaration", "discovery", "registry", "lifecycle", "tables", "mounts", "launch", "check"]
TOP += ["selfsigned", "tlsport", "renewal"]
TOP += ["cli", "__init__", "__main__"]
LEVEL = {name: level for level, name in enumerate(ROOMS)} | dict.fromkeys(TOP, len(ROOMS))

PURE = ["errors", "codec", "crypto", "protocol"]
# Rooms that work through those below them and touch neither sockets nor gevent themselves.
NO_SOCKETS = [*PURE, "auth", "vfs", "pages"]
SOCKET_MODULES = {"gevent", "greenlet", "select", "selectors", "socket", "socketserver", "ssl"}

# (file, imported room) pairs that may break the order. It stays empty: move the code instead.
EXCEPTIONS: set[tuple[str, str]] = set()


GREENBAS = modules("greenbas", "greenbas")
PLUGINS = modules("plugins", "greenbas_plugins")
BY_NAME = {module.name: module for module in GREENBAS + PLUGINS}


def room_of(found: Import) -> str | None:
    """The room of greenbas that an import reaches, if any."""
    top, *rest = found.source.split(".")
    if top != "greenbas":
        return None
    if rest:
        return rest[0]
    return found.name if found.name in LEVEL else "__init__"


def complain(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


# -- the order of rooms -------------------------------------------------------------------------------------------


def test_every_module_is_in_a_room() -> None:
    complain([f"{m.file}: {m.room} is in no room of the table" for m in GREENBAS if m.room not in LEVEL])


def test_rooms_import_only_lower_rooms() -> None:
    complain([fault for module in GREENBAS for fault in wrong_way(module)])


def wrong_way(module: Module) -> Iterator[str]:
    """The imports of a module that go up the house."""
    for found in imports(module):
        room = room_of(found)
        if room is None or (module.file, room) in EXCEPTIONS:
            continue
        if LEVEL.get(room, len(ROOMS)) > LEVEL.get(module.room, len(ROOMS)):
            yield f"{module.file}:{found.line}: the room {module.room} imports the later room {room}"


@pytest.mark.parametrize(
    ("line", "room"),
    [
        ("from greenbas.http import Request", "http"),
        ("from ..http.request import Request", "http"),
        ("from .. import http", "http"),
        ("import greenbas.vfs.directory", "vfs"),
        ("def f():\n    from greenbas import Server", "__init__"),
        ("if TYPE_CHECKING:\n    from greenbas.server import Server", "server"),
        ("importlib.import_module('greenbas.cli')", "cli"),
        ("from . import stream", None),
        ("from greenbas.protocol import Cookie", None),
        ("import greenbas.errors", None),
        ("from http import HTTPStatus", None),
    ],
)
def test_an_import_up_the_house_is_found(line: str, room: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Module(ROOT / "greenbas" / "net" / "planted.py", "greenbas.net.planted")
    monkeypatch.setitem(module.__dict__, "tree", ast.parse(line))
    number = line.count("\n") + 1
    expected = [f"greenbas/net/planted.py:{number}: the room net imports the later room {room}"] if room else []
    assert list(wrong_way(module)) == expected


def test_there_are_no_exceptions() -> None:
    assert not EXCEPTIONS


def test_pure_rooms_import_no_sockets() -> None:
    complain(
        [
            f"{module.file}:{found.line}: the room {module.room} imports {found.source}"
            for module in GREENBAS
            if module.room in NO_SOCKETS
            for found in imports(module)
            if found.source.partition(".")[0] in SOCKET_MODULES
        ]
    )


@pytest.mark.parametrize("room", [room for room in PURE if importlib.util.find_spec(f"greenbas.{room}")])
def test_pure_room_imports_without_gevent(room: str) -> None:
    # An empty package stands in for greenbas/__init__.py, which is no part of the room.
    names = [module.name for module in GREENBAS if module.room == room]
    in_fresh_python(
        f"""
        import importlib, sys, types
        for name in ("gevent", "greenlet"):
            sys.modules[name] = None
        greenbas = types.ModuleType("greenbas")
        greenbas.__path__ = ["greenbas"]
        sys.modules["greenbas"] = greenbas
        for name in {names!r}:
            importlib.import_module(name)
        """
    )


def test_importing_greenbas_does_not_import_ssl() -> None:
    # gevent cannot patch an ssl that is imported already, and `import greenbas; greenbas.patch()` has to work.
    in_fresh_python("import sys, greenbas; assert 'ssl' not in sys.modules, 'import greenbas imports ssl'")


def in_fresh_python(code: str) -> None:
    command = [sys.executable, "-c", inspect.cleandoc(code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr


# -- what is public -----------------------------------------------------------------------------------------------


def test_plugins_import_public_names_only() -> None:
    faults = []
    for module in PLUGINS:
        for found in imports(module):
            place = f"{module.file}:{found.line}"
            top, *rest = found.source.split(".")
            if top == "greenbas_plugins" and rest and rest[0] != module.room:
                faults.append(f"{place}: imports another plugin, {found.source}")
            elif top == "greenbas" and not is_public(found):
                faults.append(f"{place}: {found.source} has no public name {found.name or found.source}")
    complain(faults)


def is_public(found: Import) -> bool:
    """Whether the name is in the ``__all__`` of greenbas or of the face of one of its rooms."""
    module = BY_NAME.get(found.source)
    if module is None or found.source.count(".") > 1:
        return False
    return not found.name or found.name in public_names(module) or f"{found.source}.{found.name}" in BY_NAME


def test_faces_list_what_they_export() -> None:
    faults = []
    for module in GREENBAS + PLUGINS:
        if module.is_package:
            listed, bound = set(public_names(module)), public_bindings(module)
            late = "__getattr__" in {getattr(node, "name", "") for node in module.tree.body}
            faults += [f"{module.file}: exports {name}, which is not in __all__" for name in sorted(bound - listed)]
            if not late:  # names that are imported at first use cannot be seen in the source
                faults += [f"{module.file}: __all__ has {name}, never bound" for name in sorted(listed - bound)]
    complain(faults)


@pytest.mark.parametrize("module", [m for m in GREENBAS + PLUGINS if public_names(m)], ids=lambda m: m.name)
def test_public_names_exist_and_are_documented(module: Module) -> None:
    loaded = importlib.import_module(module.name)
    complain([f"{module.file}: {fault}" for name in public_names(module) for fault in undocumented(loaded, name)])


def undocumented(loaded: object, name: str) -> Iterator[str]:
    """What is wrong with a public name: that it is missing, or that it or a public method has no docstring."""
    thing = getattr(loaded, name, None)
    if not hasattr(loaded, name):
        yield f"__all__ has {name}, which does not exist"
    elif inspect.isclass(thing) or inspect.isroutine(thing):
        if not (thing.__doc__ or "").strip() or is_generated(thing):
            yield f"{name} has no docstring"
        if inspect.isclass(thing):
            yield from (f"{name}.{member} has no docstring" for member in undocumented_members(thing))


def is_generated(thing: object) -> bool:
    """Whether the docstring is the signature that @dataclass writes when there is none."""
    doc = getattr(thing, "__doc__", "") or ""
    return hasattr(thing, "__dataclass_fields__") and doc.startswith(f"{getattr(thing, '__name__', '')}(")


def undocumented_members(cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        if name.startswith("_") or not (inspect.isroutine(member) or isinstance(member, property)):
            continue
        if not inspect.getdoc(getattr(cls, name)):  # getdoc: what overrides a documented method needs no second text
            yield name


def test_every_module_has_a_docstring() -> None:
    complain([f"{m.file}: no docstring" for m in GREENBAS + PLUGINS if not ast.get_docstring(m.tree)])


# -- what is packaged and tracked ---------------------------------------------------------------------------------


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def test_packages_of_setup_cfg_equal_the_tree() -> None:
    listed = setup_cfg()["options"]["packages"].split()
    assert sorted(listed) == sorted(module.name for module in GREENBAS + PLUGINS if module.is_package)


def test_extra_all_is_every_extra_together() -> None:
    extras = {name: set(text.split("\n")) - {""} for name, text in setup_cfg()["options.extras_require"].items()}
    together = extras.pop("all")
    assert together == set().union(*extras.values())


def test_tests_hold_no_packages() -> None:
    # tests/ is on sys.path: a package tests/http would stand before the standard library's.
    assert not list((ROOT / "tests").rglob("__init__.py"))


# Paths of one machine, and hosts and options of package registries.
UNWANTED = re.compile(
    r"(?<![\w.}])/(?:home|Users|root|work)/[\w.]"
    r"|pypi[.]org|pythonhosted[.]org|registry[.]npmjs[.]org|--(?:extra-)?index[-]url|PIP_(?:EXTRA_)?INDEX[_]URL"
)


def test_tracked_files_name_no_machine_and_no_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository")
    # New files count before they are committed; the owner of the folder may be somebody else, as in a container.
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    faults = []
    for path in (ROOT / name for name in names if name):
        if path.is_file() and not path.is_symlink():
            for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
                if match := UNWANTED.search(line):
                    faults.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    complain(faults)
