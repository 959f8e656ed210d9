"""The I/Os that a server knows by name (BAS e.1).

"disk" is everything the operating system shows, "home" the directory that was current when it was first asked for. Both
are made when first used. Others are registered by whoever starts the server, "vm" above all.
"""

from __future__ import annotations

from collections.abc import Callable

from greenbas.errors import IncorrectUse, NotDirectory
from greenbas.io.base import Io
from greenbas.io.disk import DiskIo

__all__ = ["ios", "mkio", "open_io", "register"]

_ios: dict[str, Io] = {}
_standard: dict[str, Callable[[], Io]] = {"disk": lambda: DiskIo("/"), "home": lambda: DiskIo(".")}


def register(name: str, io: Io) -> None:
    """Make an I/O known by a name; one that had the name is no longer known by it.

    Args:
        name: such as "vm".
        io: the I/O.

    Raises:
        IncorrectUse: the name is empty.
    """
    if not name:
        raise IncorrectUse(f"an I/O needs a name to be registered, not {name!r}; the default one is called 'vm'")
    _ios[name] = io


def open_io(name: str = "vm") -> Io | None:
    """Return an I/O by name (BAS ``ba.openio``).

    Args:
        name: "disk", "home", or one that was registered.

    Returns:
        The I/O, the same each time; None when the name is unknown.
    """
    found = _ios.get(name)
    if found is None and name in _standard:
        found = _ios[name] = _standard[name]()
    return found


def ios() -> dict[str, Io]:
    """Return all I/Os by name (BAS ``ba.io``).

    Returns:
        A copy: changes to it register nothing.
    """
    for name in _standard:
        open_io(name)
    return dict(_ios)


def mkio(base: Io, path: str) -> Io:
    """Make an I/O from a part of another one (BAS ``ba.mkio``).

    Args:
        base: the other one.
        path: a directory of it, which becomes the root.

    Returns:
        An I/O of the same type.

    Raises:
        NotFound: nothing is there.
        NotDirectory: a file is there that holds no files of its own.
    """
    if base.stat(path).is_dir:
        return base.sub(path)
    raise NotDirectory(path, "an I/O can be made from a directory, and this is a file")
