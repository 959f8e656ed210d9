"""`Contents`: what a request brings: parameters, cookies and a body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import overload

from greenbas.errors import WrongMediaType
from greenbas.http import multipart as forms
from greenbas.http.body import Body
from greenbas.http.part import Part
from greenbas.http.requestbase import RequestBase
from greenbas.protocol import Cookie, parse_cookies
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.multipart import MAX_PARTS
from greenbas.protocol.target import parse_pairs

__all__ = ["Contents", "first_of"]

BLOCK_SIZE = 64 * 1024  # bytes of one block of `rawrdr` unless the caller says otherwise
_FORM = "application/x-www-form-urlencoded"


class Contents(RequestBase):
    """The part of a request that its client has filled in or sent along."""

    __slots__ = ()

    @overload
    def data(self, *, query: bool = False) -> dict[str, str]: ...
    @overload
    def data(self, name: str, /, *, query: bool = False) -> str | None: ...
    @overload
    def data(self, name: str, second: str, /, *names: str, query: bool = False) -> tuple[str | None, ...]: ...

    def data(self, *names: str, query: bool = False) -> dict[str, str] | str | tuple[str | None, ...] | None:
        """Url-encoded parameters of query and body together (BAS ``request:data``).

        Args:
            *names: the parameters wanted.
            query: those of the query alone, whatever the body is.

        Returns:
            Without names all of them, the last of several equal names; with one name its first value (the query comes
            before the body) or None; with several a tuple of such values.

        Raises:
            RemoteProtocolError: too many fields, or the body cannot be read; see `body`.
            WrongMediaType: 415; the body is multipart/form-data, which may hold what the query does not: all parameters
                are asked for, or one that is not in the query.
        """
        pairs = parse_pairs(self.query) if query else self._parameters()
        if not names:
            if not query:
                self._must_not_be_multipart("all parameters")
            return dict(pairs)
        found = tuple([first_of(pairs, name) for name in names])
        if not query and None in found:
            self._must_not_be_multipart(repr(names[found.index(None)]))
        return found if len(names) > 1 else found[0]

    def datapairs(self, *, query: bool = False) -> Iterator[tuple[str, str]]:
        """All url-encoded parameters in order, query first, duplicates kept (BAS ``request:datapairs``).

        Args:
            query: those of the query alone, whatever the body is.

        Raises:
            RemoteProtocolError, WrongMediaType: as `data`.
        """
        if query:
            return iter(parse_pairs(self.query))
        pairs = list(self._parameters())
        self._must_not_be_multipart("all parameters")
        return iter(pairs)

    def cookie(self, name: str) -> Cookie | None:
        """The cookie the client sent, or None (BAS ``request:cookie``). Change it and `activate` it to send it back."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.headers.get("cookie", ""))
        value = self._cookies.get(name)
        if value is None:
            need_text("cookie: the name", name)
            return None
        return self.response.attach_cookie(name, value)

    @property
    def stream(self) -> Body:
        """The body as it arrives."""
        if self._body is None:
            connection = self._live()
            self._body = Body(self.message, connection.reader, connection.stream, connection.service.settings)
        return self._body

    def body(self) -> bytes:
        """The whole body, within `max_memory_body`.

        Raises:
            BodyTooLarge: the body is over the limit.
            BodyTimeout: it comes slower than the minimum rate.
            IncompleteBody: the client went away before its end.
        """
        return self.stream.read()

    def rawrdr(self, block_size: int = BLOCK_SIZE) -> Iterator[bytes]:
        """The raw body in blocks of exactly `block_size` bytes, the last one shorter (BAS ``request:rawrdr``).

        Raises:
            WrongMediaType: 415; the body is url-encoded, which `data` reads, or multipart/form-data.
            ValueError: the size is not positive.
            RemoteProtocolError: while iterating; as `body`, but without a limit on the size.
        """
        if need_number("rawrdr: the block size", block_size, "give bytes", whole=True) < 1:
            raise ValueError(f"block size {block_size} is not positive")
        kind = self._content_type()
        if kind == _FORM:
            raise WrongMediaType("URL encoded data: use request.data(), or send another Content-Type")
        if kind == "multipart/form-data":
            raise WrongMediaType("multipart/form-data: use request.parts() or request.multipart()")
        return self.stream.blocks(block_size)

    def is_multipart(self) -> bool:
        """Whether the body is a form of the kind that carries files, multipart/form-data: `parts` reads it."""
        return self.message.length != 0 and self._content_type() == "multipart/form-data"

    def parts(self, *, max_parts: int = MAX_PARTS, max_field: int | None = None) -> Iterator[Part]:
        """The parts of a multipart/form-data body, in order, while it arrives.

        Nothing is read ahead of the loop, and taking the next part skips what is unread of the one before.

        Args:
            max_parts: more of them are refused.
            max_field: bytes of a text field; `max_memory_body` for all of them together unless given.

        Raises:
            WrongMediaType: 415; the body is of another type.
            BadMultipart: 400; while iterating: malformed, or over a limit.
            RemoteProtocolError: while iterating; as `body`, but without a limit on the size of files.
        """
        memory = self._live().service.settings.max_memory_body
        return forms.parts(self._whole(), max_memory=memory, max_parts=max_parts, max_field=max_field)

    def multipart(
        self,
        *,
        formdata: Callable[[str, str], object] | None = None,
        beginfile: Callable[[str, str, str | None, str | None], object] | None = None,
        filedata: Callable[[bytes], object] | None = None,
        endmp: Callable[[], object] | None = None,
        error: Callable[[str], object] | None = None,
        bufsize: int = forms.BUFFER_SIZE,
        keepalive: bool = True,
    ) -> bool:
        """Parse a multipart/form-data body with callbacks (BAS ``request:multipart``); `parts` is the loop for it.

        Args:
            formdata: called with name and value of a text field.
            beginfile: called with name, file name, content type and transfer encoding when a file begins.
            filedata: called with each piece of it.
            endmp: called at the end.
            error: called with a message when the body is bad; without it that raises.
            bufsize: bytes of the largest text field, and of a piece of a file.
            keepalive: False closes the connection after the response.

        Returns:
            True at the end of the form; False when a callback has returned False, which stops, or after `error`.

        Raises:
            WrongMediaType: 415; the body is of another type.
            IsCommitted: output has gone already.
            TypeError: none of the first three callbacks is given, or only one of those for files.
        """
        return forms.multipart(
            self._whole(),
            formdata=formdata,
            beginfile=beginfile,
            filedata=filedata,
            endmp=endmp,
            error=error,
            bufsize=bufsize,
            keepalive=keepalive,
        )

    def _content_type(self) -> str:
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def _must_not_be_multipart(self, wanted: str) -> None:
        # Its fields would be missing without a word.
        if self.is_multipart():
            raise WrongMediaType(
                f"data() was asked for {wanted[:80]}, and the body is multipart/form-data, which it does not read: use "
                "request.parts(), or data(..., query=True) for what the query alone has"
            )

    def _parameters(self) -> list[tuple[str, str]]:
        if self._pairs is None:
            pairs = parse_pairs(self.query)
            if self.message.length != 0 and self._content_type() == _FORM:
                pairs += parse_pairs(self.body().decode("latin-1"))
            self._pairs = pairs
        return self._pairs


def first_of(pairs: list[tuple[str, str]], wanted: str) -> str | None:
    """The first value of a parameter; None when it is missing."""
    for name, value in pairs:
        if name == wanted:
            return value
    need_text("data: the name of a parameter", wanted, "give several names one by one: data('a', 'b')")
    return None
