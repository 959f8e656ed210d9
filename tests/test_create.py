"""The constructors under the original's names."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from greenbas import create
from greenbas.io import MemoryIo
from greenbas.vfs import Directory, DomainReader, ResourceReader, WsgiDirectory

IO = MemoryIo()


@pytest.mark.parametrize(
    ("made", "kind", "name", "priority"),
    [
        (create.dir(), Directory, "", 0),
        (create.dir("a"), Directory, "a", 0),
        (create.dir("a", priority=-128), Directory, "a", -128),
        (create.resrdr(IO), ResourceReader, "", 0),
        (create.resrdr(IO, name="a", priority=127), ResourceReader, "a", 127),
        (create.domainresrdr("example.com", IO), DomainReader, "", 0),
        (create.domainresrdr("example.com", IO, priority=3, page404="x.html"), DomainReader, "", 3),
    ],
)
def test_create(made: Directory, kind: type[Directory], name: str, priority: int) -> None:
    assert type(made) is kind
    assert (made.name(), made.priority, made.parent, made.children) == (name, priority, None, [])
    if isinstance(made, ResourceReader):
        assert made.io() is IO
    if isinstance(made, DomainReader):
        assert (made.domain, made.page404) == ("example.com", "x.html" if priority else None)


@pytest.mark.parametrize("name", ["dir", "domainresrdr", "resrdr"])
def test_each_takes_what_its_class_takes(name: str) -> None:
    function: Any = getattr(create, name)
    kind = {"dir": Directory, "resrdr": ResourceReader, "domainresrdr": DomainReader}[name]
    assert inspect.signature(function).parameters == inspect.signature(kind).parameters
    assert inspect.getdoc(function)


def test_wsgi() -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        return []

    made = create.wsgi(app, name="a", priority=3)
    assert type(made) is WsgiDirectory
    assert (made.app, made.name(), made.priority) == (app, "a", 3)
    assert create.wsgi(app).name() == ""
    with pytest.raises(TypeError, match="WSGI application"):
        create.wsgi("module:name")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["__wrapped__", "_private"])
def test_no_plugin_is_looked_for_behind_private_names(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'greenbas.create' has no attribute '{name}'"):
        getattr(create, name)


def test_bad_arguments_are_refused_as_by_the_class() -> None:
    with pytest.raises(ValueError, match="priority 128"):
        create.dir(priority=128)
    with pytest.raises(ValueError, match="domain"):
        create.domainresrdr("example.com:80", IO)
    with pytest.raises(TypeError, match="DiskIo"):
        create.resrdr("folder")  # type: ignore[arg-type]
