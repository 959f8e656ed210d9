"""Constructors under BAS's names (``ba.create``)."""

from __future__ import annotations

from greenbas.io import Io
from greenbas.vfs import Directory, DomainReader, ResourceReader

__all__ = ["dir", "domainresrdr", "resrdr"]


def dir(name: str | None = None, *, priority: int = 0) -> Directory:
    """A plain directory (BAS ``ba.create.dir``).

    Args:
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return Directory(name, priority=priority)


def resrdr(io: Io, *, name: str | None = None, priority: int = 0) -> ResourceReader:
    """A directory that serves files (BAS ``ba.create.resrdr``).

    Args:
        io: where the files are.
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return ResourceReader(io, name=name, priority=priority)


def domainresrdr(domain: str, io: Io, *, priority: int = 0, page404: str | None = None) -> DomainReader:
    """Files for one host name (BAS ``ba.create.domainresrdr``).

    Args:
        domain: the host name.
        io: where the files are.
        priority: -128 to 127; siblings are asked in descending order.
        page404: the page for what is not found; without one the search goes on.
    """
    return DomainReader(domain, io, priority=priority, page404=page404)
