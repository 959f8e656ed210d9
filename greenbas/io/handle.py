"""An open file of an I/O: bytes in, bytes out, one position (BAS e.3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, TypeAlias

from greenbas.errors import IncorrectUse

if TYPE_CHECKING:
    from greenbas.io.base import Io

__all__ = ["Bytes", "FileHandle", "Mode", "Stat", "parse_mode"]

Bytes: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known about a file or directory without reading it (BAS ``io:stat``).

    Attributes:
        name: the last segment of its path; "" for the root.
        size: in bytes; of no meaning for a directory.
        mtime_ns: when the content changed last, in nanoseconds since the epoch.
        is_dir: whether it is a directory.
    """

    name: str
    size: int
    mtime_ns: int
    is_dir: bool

    @property
    def mtime(self) -> float:
        """When the content changed last, in seconds since the epoch."""
        return self.mtime_ns / 1e9

    @property
    def type(self) -> Literal["directory", "regular"]:
        """The word of the BAS table field ``type``."""
        return "directory" if self.is_dir else "regular"


class Mode(NamedTuple):
    """What an open file is for; one that is written is also created, and emptied unless appended to."""

    read: bool
    write: bool
    append: bool


_MODES = {
    "r": Mode(read=True, write=False, append=False),
    "w": Mode(read=False, write=True, append=False),
    "a": Mode(read=False, write=True, append=True),
    "w+": Mode(read=True, write=True, append=False),
    "a+": Mode(read=True, write=True, append=True),
}


def parse_mode(mode: str) -> Mode:
    """Read the mode of `Io.open`.

    Args:
        mode: "r", "w", "a", "w+" or "a+". A "b" within is skipped, as every file is binary.

    Returns:
        What it allows.

    Raises:
        IncorrectUse: any other mode (BAS: invalid mode).
    """
    found = _MODES.get(mode) or _MODES.get(mode.replace("b", "", 1))
    if found is None:
        raise IncorrectUse(f"mode {mode!r}: use one of {', '.join(_MODES)}")
    return found


class FileHandle(ABC):
    """An open file; a context manager that closes it.

    Every method but `close` raises `IncorrectUse` ("file is closed") afterwards, and where the mode does not allow it.
    What the storage reports is an `IoError` (500), `NoSpace` (507) for a write.

    Args:
        io: the I/O it belongs to.
        path: as the caller gave it, for messages.
        mode: what it is for.
    """

    __slots__ = ("_closed", "_io", "_mode", "_path")

    def __init__(self, io: Io, path: str, mode: Mode) -> None:
        self._io = io
        self._path = path
        self._mode = mode
        self._closed = False

    @abstractmethod
    def read(self, size: int = -1) -> bytes:
        """Read from the position on and move it.

        Args:
            size: the most bytes to return; below 0: all that is left.

        Returns:
            The bytes; ``b""`` at the end of the file.
        """

    @abstractmethod
    def pread(self, size: int, offset: int) -> bytes:
        """Read from anywhere; the position stays.

        Args:
            size: the most bytes to return, 0 or more.
            offset: bytes from the start of the file, 0 or more.

        Returns:
            The bytes; ``b""`` at or behind the end of the file.
        """

    @abstractmethod
    def write(self, *chunks: Bytes) -> None:
        """Write at the position, or at the end in a mode with "a", and move the position behind it.

        Args:
            chunks: written one after the other, each completely.

        Raises:
            NoSpace: the storage is full (507); what went in before stays.
        """

    @abstractmethod
    def seek(self, offset: int = 0) -> None:
        """Move the position; a write behind the end fills the gap with zeros (BAS: absolute only).

        Args:
            offset: bytes from the start of the file, 0 or more.
        """

    @abstractmethod
    def stat(self) -> Stat:
        """Describe the open file itself, whatever has its path by now.

        Returns:
            For a file that is read: as it was when it was opened. For one that is written: as it is now.
        """

    @abstractmethod
    def _release(self) -> None:
        """Give back what the handle holds; called once."""

    def flush(self) -> None:
        """Hand everything written to the storage."""
        self._must_be_open()

    def fingerprint(self) -> tuple[int, ...] | None:
        """Return what `Io.fingerprint` returned for the file when it was opened; None when the I/O cannot tell."""
        return None

    def fileno(self) -> int | None:
        """Return the descriptor, for sendfile and its like; None where there is none."""
        self._must_be_open()
        return None

    def close(self) -> None:
        """Close the file; once more does nothing."""
        if not self._closed:
            self._closed = True
            self._release()

    @property
    def closed(self) -> bool:
        """Whether the file is closed (BAS ``io.type``)."""
        return self._closed

    @property
    def io(self) -> Io:
        """The I/O it belongs to (BAS ``fh:getio``)."""
        return self._io

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A handle that was forgotten must not keep its descriptor; one whose constructor failed has nothing.
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path!r}{' closed' if self._closed else ''}>"

    def _must_be_open(self) -> None:
        if self._closed:
            raise IncorrectUse(f"file is closed: {self._path!r}; open it again")

    def _must_read(self) -> None:
        self._must_be_open()
        if not self._mode.read:
            raise IncorrectUse(f"file is open for writing only: {self._path!r}; open it with r, w+ or a+")

    def _must_write(self) -> None:
        self._must_be_open()
        if not self._mode.write:
            raise IncorrectUse(f"file is open for reading only: {self._path!r}; open it with w, a, w+ or a+")

    def _must_be_natural(self, what: str, number: int) -> None:
        if number < 0:
            raise IncorrectUse(f"{what} {number} is below 0: {self._path!r}; count from the start of the file")
