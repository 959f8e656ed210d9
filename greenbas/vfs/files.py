"""`StaticFile`: a file ready to be sent, and `StaticFiles`, which remembers the small ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from greenbas.errors import IoError, NotFound
from greenbas.io import FileHandle, Io
from greenbas.net import read_piece
from greenbas.protocol import content_type, http_date
from greenbas.protocol.conditions import make_etag
from greenbas.protocol.headers import header_line

__all__ = ["SMALL", "StaticFile", "StaticFiles"]

SMALL = 64 * 1024  # bytes; files up to this size leave in one piece with their head, and may be remembered
REMEMBERED = 16 * 1024 * 1024  # bytes that one reader remembers: the style sheets and icons of a large site
# Bytes that remembering takes besides the content. An empty file has as many paths as there are ways to write slashes.
OVERHEAD = 2048
# A file this young may change once more within the same tick of the file system's clock, which no fingerprint shows.
SETTLED_AFTER = 2_000_000_000  # nanoseconds
# What no client has any use for: the source of a page, what editors and archivers make of it (page.psp~, page.psp.bak,
# page.psp.gz), and the settings of a server.
_PRIVATE = re.compile(r"(?:\.psp(?![a-z0-9])[^/]*|(?:^|/)greenbas\.toml)$", re.IGNORECASE)


class StaticFile:
    """A file and what its response says about it.

    Args:
        handle: the open file; this object closes it.
        kind: the content type.
        encoding: the content coding that its bytes are in, such as "gzip".

    Attributes:
        kind: the content type.
        size: in bytes.
        mtime_ns: when it was changed.
        etag: its validator (RFC 9110 8.8.3).
        modified: when it was changed, in whole seconds; never later than now (RFC 9110 8.8.2.1).
        lines: the header lines of a complete response, by lower-case name.
    """

    __slots__ = ("_body", "_handle", "etag", "kind", "lines", "modified", "mtime_ns", "size")

    def __init__(self, handle: FileHandle, kind: str, encoding: str | None = None) -> None:
        stat = handle.stat()
        self._handle: FileHandle | None = handle
        self._body: bytes | bytearray | None = None
        self.kind = kind
        self.size = stat.size
        self.mtime_ns = stat.mtime_ns
        self.etag = make_etag(stat.mtime_ns, stat.size)
        if encoding is not None:
            # RFC 9110 8.8.3.3: not the one of the plain file. gzip keeps the time, and small files may keep their size.
            self.etag = f'{self.etag[:-1]}-{encoding}"'
        self.modified = min(stat.mtime_ns // 1_000_000_000, int(time.time()))
        self.lines = {
            "content-type": header_line("Content-Type", kind),
            "etag": header_line("ETag", self.etag),
            "last-modified": header_line("Last-Modified", http_date(self.modified)),
            "accept-ranges": b"Accept-Ranges: bytes\r\n",
        }
        if encoding is not None:
            self.lines["content-encoding"] = header_line("Content-Encoding", encoding)

    def __enter__(self) -> StaticFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._handle is not None:
            self._handle.close()

    def read(self, start: int, stop: int) -> bytes | bytearray:
        """The bytes from `start` to `stop`.

        Raises:
            IoError: the file has become shorter.
        """
        if self._body is not None:
            return self._body if stop - start == self.size else self._body[start:stop]
        assert self._handle is not None
        fd = self._handle.fileno()
        data = read_piece(fd, stop - start, start) if fd is not None else self._handle.pread(stop - start, start)
        if len(data) < stop - start:
            raise IoError(repr(self._handle), "the file became shorter while it was sent")
        return data

    def fileno(self) -> int | None:
        """The descriptor to send it from; None when there is none."""
        return self._handle.fileno() if self._handle is not None else None

    def keep(self) -> None:
        """Read it into memory and let the file go."""
        assert self._handle is not None
        self._body = bytes(self.read(0, self.size))
        self._handle.close()
        self._handle = None


class StaticFiles:
    """Opens the files of an I/O, and remembers the small ones as long as they do not change.

    Remembering saves opening, reading and closing: a file then costs one stat, which makes sure that it is the same.

    Args:
        io: where the files are.
        clock: nanoseconds since the epoch.
    """

    def __init__(self, io: Io, clock: Callable[[], int] = time.time_ns) -> None:
        self._io = io
        self._clock = clock
        self._known: dict[str, tuple[tuple[int, ...], StaticFile]] = {}
        self._size = 0

    def open(self, path: str) -> StaticFile:
        """Open a file.

        Args:
            path: below the root of the I/O.

        Raises:
            IoError: as `Io.open`.
        """
        known = self._known.get(path)
        if known is not None:
            if known[0] == self._io.fingerprint(path):
                return known[1]
            self._forget(path)
        return self._open(path, path, content_type(path), None)

    def _open(self, key: str, path: str, kind: str, encoding: str | None) -> StaticFile:
        if _PRIVATE.search(path):
            raise NotFound(path)
        handle = self._io.open(path)
        try:
            file = StaticFile(handle, kind, encoding)
            fingerprint = handle.fingerprint() if file.size <= SMALL else None
            if fingerprint is not None and self._clock() - max(fingerprint[1:3]) > SETTLED_AFTER:
                file.keep()
                self._remember(key, fingerprint, file)
        except BaseException:
            handle.close()
            raise
        return file

    def open_packed(self, path: str, original: StaticFile) -> StaticFile | None:
        """Open the compressed sibling of a file: ``name.css.gz`` beside ``name.css``, if there is one.

        One that is older than the original was forgotten when the original changed, and is left alone.
        """
        packed = path + ".gz"
        key = path + "\0gzip"  # it may be asked for by its own name as well, and is another thing then
        try:
            known = self._known.get(key)
            if known is not None and known[0] == self._io.fingerprint(packed):
                file = known[1]
            else:
                self._io.stat(packed)  # a missing one is the rule, and this the cheapest way to find out
                file = self._open(key, packed, original.kind, "gzip")
        except IoError:
            return None
        if file.mtime_ns < original.mtime_ns:
            file.__exit__()
            return None
        return file

    def _remember(self, key: str, fingerprint: tuple[int, ...], file: StaticFile) -> None:
        self._forget(key)  # another request may have read it at the same time
        cost = _cost(key, file)
        while self._known and self._size + cost > REMEMBERED:
            self._forget(next(iter(self._known)))
        self._known[key] = fingerprint, file
        self._size += cost

    def _forget(self, key: str) -> None:
        entry = self._known.pop(key, None)
        if entry is not None:
            self._size -= _cost(key, entry[1])


def _cost(key: str, file: StaticFile) -> int:
    return file.size + len(key) + OVERHEAD
