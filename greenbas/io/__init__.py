"""I/O interfaces: trees of files behind one interface, whether on disk, in memory or elsewhere."""

from __future__ import annotations

from greenbas.io import rwfile
from greenbas.io.base import FileHandle, Io, Stat
from greenbas.io.disk import DiskIo
from greenbas.io.memory import MemoryIo
from greenbas.io.paths import hidden, normalize
from greenbas.io.registry import ios, mkio, open_io, register

__all__ = [
    "DiskIo",
    "FileHandle",
    "Io",
    "MemoryIo",
    "Stat",
    "hidden",
    "ios",
    "mkio",
    "normalize",
    "open_io",
    "register",
    "rwfile",
]
