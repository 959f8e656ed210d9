"""`Part`: a field or file of a multipart/form-data body, read while it arrives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from greenbas.errors import BodyTooLarge, Expired, IncorrectUse, IsDirectory, WrongMediaType
from greenbas.io import Io, normalize
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.multipart import FormParser, PartHead, form_boundary, known_charset

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["Form", "Part"]

_LABEL = 40  # bytes of a _charset_ field that are looked at; no character set has a longer name


class Part:
    """A field or file of a form; it can be read once, and until the next one is taken.

    Attributes:
        name: of the form field; several parts may have the same.
        filename: the last component of the name that the client gave the file, "" when it chose none; None for a text
            field. It may still be a name that the program wants to keep for itself, such as "index.html".
        raw_filename: the same with the directories that some clients send.
        content_type: lower case, without parameters; what the client says, "text/plain" when it says nothing.
        charset: what `value` decodes with: the part's own, else that of a field ``_charset_`` in front, else utf-8.
        headers: the header fields of the part; names in any case.
        transfer_encoding: its Content-Transfer-Encoding, which is not undone; None without one, as from any browser.
        size: bytes read so far.
    """

    __slots__ = (
        "_form",
        "_number",
        "_text",
        "charset",
        "content_type",
        "filename",
        "headers",
        "name",
        "raw_filename",
        "size",
        "transfer_encoding",
    )

    def __init__(self, head: PartHead, form: Form, number: int) -> None:
        self._form = form
        self._number = number
        self._text: str | None = None
        self.name = head.name
        self.filename = head.filename
        self.raw_filename = head.raw_filename
        self.headers = head.headers
        self.content_type = head.content_type
        self.charset = head.charset or form.charset
        self.transfer_encoding = head.transfer_encoding
        self.size = 0

    def __repr__(self) -> str:
        file = "" if self.filename is None else f" file {self.filename!r}"
        return f"<Part {self.name!r}{file} {self.size} bytes read>"

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks()

    def chunks(self) -> Iterator[bytes]:
        """The bytes in the pieces in which they arrive, about 64 KiB at most.

        Raises:
            IncorrectUse: the next part was taken already.
            BadMultipart: 400; the form is malformed.
            RemoteProtocolError: the body cannot be read; see `Body.read`.
        """
        while piece := self._take():
            yield piece

    def read(self, limit: int | None = None) -> bytes:
        """All bytes, or all that are left.

        Args:
            limit: the most bytes. Without it all parts of the form that are read so share `max_memory_body`, and a
                text field has the `max_field` of `parts`.

        Raises:
            BodyTooLarge: 413; there are more.
            IncorrectUse, BadMultipart, RemoteProtocolError: as `chunks`.
        """
        form = self._form
        if limit is not None:
            need_number("read, value: the limit", limit, "give bytes, or None", whole=True)
        allowed = limit if limit is not None else form.allowance(self.filename is None)
        pieces: list[bytes] = []
        left = allowed
        while piece := self._take():
            left -= len(piece)
            if left < 0:
                which = "its limit" if limit is not None else "what max_memory_body and max_field leave for it"
                raise BodyTooLarge(f"part {self.name!r} is over {allowed} bytes, {which}: take its chunks, or save it")
            pieces.append(piece)
        if limit is None:
            form.memory -= allowed - left
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def value(self, limit: int | None = None) -> str:
        """The text of a field, remembered once it is read; bytes that are not of its `charset` become U+FFFD.

        Args:
            limit: the most bytes, as in `read`.

        Raises:
            BodyTooLarge, IncorrectUse, BadMultipart, RemoteProtocolError: as `read`.
        """
        if self._text is None:
            self._text = self.read(limit).decode(self.charset, "replace")
        return self._text

    def save(self, io: Io, path: str) -> int:
        """Write the part to a file, which is there when all of it is, and before that not at all.

        The bytes go into a hidden file of the same directory, which is renamed at the end, and removed if anything
        goes wrong. A file that is there already is replaced.

        Args:
            io: where to.
            path: the file, in a directory that exists.

        Returns:
            Its size in bytes.

        Raises:
            IoError: as `Io.open`, `FileHandle.write` and `Io.rename`; most of it before anything is read.
            IncorrectUse: part of it was read already, or as `chunks`.
            BadMultipart, RemoteProtocolError: as `chunks`.
        """
        if not isinstance(io, Io):
            raise TypeError(f"save(io, path): the I/O comes first, not {io!r:.80}; for a folder that is DiskIo(folder)")
        need_text("save: the path", path, "give the file's path below the I/O, such as part.filename")
        if self.size:
            raise IncorrectUse(f"{self!r} cannot be saved whole any more: save it first, then read the file")
        target = normalize(path)
        folder, slash, name = target.rpartition("/")
        if not name or path.endswith("/"):  # the file name of the client was ""
            raise IsDirectory(path)
        temporary = f"{folder}{slash}.upload-{os.urandom(8).hex()}"
        file = io.open(temporary, "w")
        try:
            with file:
                for piece in self.chunks():
                    file.write(piece)
            io.rename(temporary, target)
        except BaseException:
            _remove(io, temporary)
            raise
        return self.size

    def _take(self) -> bytes:
        piece = self._form.take(self._number)
        self.size += len(piece)
        return piece


def _remove(io: Io, path: str) -> None:
    try:
        io.remove(path)
    except OSError:
        pass  # the error that is under way tells more


class Form:
    """Reads the body of one request as far as somebody wants the next bytes.

    Args:
        request: whose body it is; nothing of it may have been read.
        max_parts: how many there may be.
        memory: bytes that `Part.read` may collect in all.
        max_field: bytes of one text field that it may collect; None for no limit but `memory`.

    Attributes:
        charset: of the text fields that name none.
        memory: what is left of it.

    Raises:
        WrongMediaType, BadMultipart, IncorrectUse: see `multipart.parts`.
    """

    __slots__ = (
        "_events",
        "_field",
        "_inside",
        "_label",
        "_number",
        "_over",
        "_parser",
        "_request",
        "charset",
        "memory",
    )

    def __init__(self, request: Request, max_parts: int, memory: int, max_field: int | None) -> None:
        kind = request.header("content-type") or ""
        boundary = form_boundary(kind)
        if boundary is None:
            raise WrongMediaType(f"Not multipart: the Content-Type is {kind[:200]!r}, and not multipart/form-data")
        message = request.message
        if message.chunks is not None and message.received != sum(map(len, message.chunks)):
            raise IncorrectUse("part of the body was read already; ask for the parts first, and once")
        self._request = request
        self._parser = FormParser(boundary, max_parts)
        self._events: Iterator[PartHead | bytes | None] = iter(())
        self._number = 0  # of the part that may be read; a reference to it would be a cycle
        self._inside = False  # that part has not ended
        self._over = False
        self._label: bytes | None = None  # what has come of a field _charset_
        self.charset = "utf-8"
        self.memory = memory
        self._field = max_field

    def next_part(self) -> Part | None:
        """The next part, None behind the last; from here on the one before is over."""
        self._number += 1
        while self._inside:
            self._next_piece()
        head = None if self._over else self._next_event()
        if head is None:
            return None
        assert isinstance(head, PartHead)
        self._inside = True
        # RFC 7578 4.6: the value of this field is the default for what follows.
        self._label = b"" if head.name == "_charset_" and head.raw_filename is None else None
        return Part(head, self, self._number)

    def take(self, number: int) -> bytes:
        """The next bytes of the part with this number, b"" at its end."""
        if number != self._number:
            raise IncorrectUse("the next part was taken already: read a part before the next one")
        return self._next_piece() if self._inside else b""

    def allowance(self, text: bool) -> int:
        """How many bytes a part may have that is collected in memory, a text field or a file."""
        return self.memory if self._field is None or not text else min(self._field, self.memory)

    def _next_piece(self) -> bytes:
        event = self._next_event()
        if event is None:
            self._inside = False
            if self._label is not None:
                self.charset = known_charset(self._label.decode("latin-1")) or self.charset
            return b""
        assert isinstance(event, bytes)
        if self._label is not None and len(self._label) < _LABEL:
            self._label += event[:_LABEL]
        return event

    def _next_event(self) -> PartHead | bytes | None:
        while True:
            for event in self._events:
                return event
            data = self._receive()
            if not data:
                self._parser.close()
                self._over = True
                return None
            self._events = self._parser.feed(data)

    def _receive(self) -> bytes:
        request = self._request
        if not request.valid():
            raise Expired("request/response expired: a part was read after the request had ended")
        data = next(request.stream.chunks(), b"")
        waiting = request.message.chunks
        if waiting:  # tiny chunks, from one read of the socket: to parse each by itself would take far longer
            data = b"".join((data, *waiting))
            waiting.clear()
        return data
