"""Filters: they have the output of a response before the client does, to collect, transform or compress it."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenbas.dispatcher import current_owner
from greenbas.errors import IncorrectUse
from greenbas.protocol.encodings import best_coding
from greenbas.protocol.mime import compressible
from greenbas.protocol.status import BODILESS

if TYPE_CHECKING:
    from greenbas.http.output import Output
    from greenbas.http.request import Request

__all__ = ["CompressFilter", "Filter", "FunctionFilter", "make_filter"]

_WINDOW_BITS = {"gzip": 31, "deflate": 15, "raw": -15}  # by these zlib knows the format
LEVEL = 6  # zlib's own choice; a higher one costs twice the time for a percent
WORTH_COMPRESSING = 256  # bytes; a shorter response fits one packet anyway


class Filter(ABC):
    """A filter that is active on a response; made by `Response.set_response`.

    Args:
        response: whose output it has.
    """

    __slots__ = ("_active", "_held", "_response", "_taken")

    def __init__(self, response: Output) -> None:
        self._response = response
        self._held: list[bytes] = []  # what comes out, until it goes to the response
        self._taken = 0  # bytes that have gone in
        self._active = True

    def abort(self) -> bool:
        """Give the response its normal buffer back, with what waits there (BAS ``xrsp:abort``).

        Returns:
            False when it is too late: output has been taken, or the filter has ended.
        """
        if self._taken or not self._active:
            return False
        self._stop()
        return True

    def finalize(self, send: bool = False) -> bytes | bool:
        """End the filter (BAS ``xrsp:finalize``). Right also when nothing was written; a second time it does nothing.

        Args:
            send: for compression: make the result the body of the response.

        Returns:
            True; from compression without `send` the compressed output instead.

        Raises:
            IncorrectUse: raw deflate is to be sent.
        """
        if not self._active:
            return True
        self.take()
        if self._taken:
            self._held.append(self._end())
        self._stop()
        return self._deliver(b"".join(self._held), send)

    def take(self) -> None:
        """For the response: take what waits in its buffer."""
        data = self._response.take_data()
        if data:
            self._taken += len(data)
            self._held.append(self._transform(data))

    def flush(self) -> None:
        """For the response: pass on what there is, as far as the filter can, and the head in any case."""
        self.take()
        self._release()

    def drop(self) -> None:
        """For the response: end the filter, and forget what it holds."""
        self._held = []
        self._stop()

    def set_aside(self) -> Any:
        """For the response, which begins again from nothing; returns what `restore` takes to undo that."""
        state = self._taken, self._held
        self._taken, self._held = 0, []
        return state

    def restore(self, state: Any) -> None:
        """For the response, which goes on as if it had not begun again."""
        self._taken, self._held = state

    def _release(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        self._response.put_data(data, send=True)

    def _stop(self) -> None:
        self._active = False
        self._response.end_filter()

    @abstractmethod
    def _transform(self, data: bytes) -> bytes:
        """What comes out for a piece that goes in."""

    def _end(self) -> bytes:
        return b""

    def _deliver(self, data: bytes, send: bool) -> bytes | bool:
        self._response.put_data(data)
        return True


class FunctionFilter(Filter):
    """Passes the output through a function.

    Args:
        response: whose output it has.
        function: called with each piece; see `Response.set_response`.
    """

    __slots__ = ("_function", "_owner", "_refused")

    def __init__(self, response: Output, function: Callable[[bytes], Any]) -> None:
        super().__init__(response)
        self._function = function
        self._refused = False
        self._owner = current_owner()  # it runs on behalf of whoever has installed it, at the end of the response too

    def take(self) -> None:
        """Take what waits in the buffer, and let go what comes of it."""
        super().take()
        # A small response stays in one piece, with its length.
        if self._taken > self._response.buffer_size and any(self._held):
            self._release()

    def set_aside(self) -> Any:
        """The output that is refused is the one that is dropped; see `Filter.set_aside`."""
        state = super().set_aside(), self._refused
        self._refused = False
        return state

    def restore(self, state: Any) -> None:
        """See `Filter.restore`."""
        held, self._refused = state
        super().restore(held)

    def _transform(self, data: bytes) -> bytes:
        if self._refused:
            return b""
        if self._owner is None:
            result = self._function(data)
        else:
            with self._owner.current():
                result = self._function(data)
        if isinstance(result, str):
            return result.encode()
        if isinstance(result, bytes | bytearray):
            return bytes(result)
        if result is False:
            self._refused = True
        elif result is not None and result is not True:
            raise TypeError(f"the output filter returned {result!r:.80}: return str, bytes, None or False")
        return b""


class CompressFilter(Filter):
    """Compresses the output. It is kept until the end, except what `flush` lets go.

    Args:
        response: whose output it has.
        request: what the client accepts.
        coding: "gzip", "deflate", "raw", or "auto" for what the client accepts and the content is good for.
    """

    __slots__ = ("_chosen", "_compressor", "_request", "_wanted", "coding")

    coding: str | None

    def __init__(self, response: Output, request: Request, coding: str) -> None:
        super().__init__(response)
        self._request = request
        self._wanted = coding
        self._begin()

    def finalize(self, send: bool = False) -> bytes | bool:
        """End the compression; see `Filter.finalize`."""
        if send and self._active and (self._taken or self._response.write_size()):
            self._check_coding()
        return super().finalize(send)

    def take(self) -> None:
        """Take what waits in the buffer; before the first piece the coding is chosen."""
        size = self._response.write_size()
        if size and not self._chosen:
            self._choose(size >= WORTH_COMPRESSING)
        super().take()

    def flush(self) -> None:
        """Let go all that there is, in a form that the client can decompress so far."""
        self._check_coding()
        if not self._chosen:
            self._choose(True)  # there is more to come, nobody knows how much
        self.take()
        if self._compressor is not None:
            self._held.append(self._compressor.flush(zlib.Z_SYNC_FLUSH))
        if not self._response.committed():
            self._announce()
        self._release()

    def set_aside(self) -> Any:
        """See `Filter.set_aside`."""
        state = super().set_aside(), self._chosen, self.coding, self._compressor
        self._begin()
        return state

    def restore(self, state: Any) -> None:
        """See `Filter.restore`."""
        held, self._chosen, self.coding, self._compressor = state
        super().restore(held)

    def _begin(self) -> None:
        self._chosen = self._wanted != "auto"
        self.coding = self._wanted if self._chosen else None
        self._compressor = _compressor(self.coding)

    def _choose(self, worth: bool) -> None:
        self._chosen = True
        if not self._may_compress():
            return
        # Caches have to know, whichever this client gets (RFC 9110 12.5.5).
        vary = self._response.contains_header("Vary")
        if "accept-encoding" not in (vary or "").lower():
            self._response.set_coding_header("Vary", f"{vary}, Accept-Encoding" if vary else "Accept-Encoding")
        if worth:
            self.coding = best_coding(self._request.header("accept-encoding"), ("gzip", "deflate"))
            self._compressor = _compressor(self.coding)

    def _may_compress(self) -> bool:
        response = self._response
        # A 206 is a part of the bytes as they are (RFC 9110 14.1).
        if response.committed() or response.status in BODILESS or response.status == 206:
            return False
        if "no-transform" in (response.contains_header("Cache-Control") or "").lower():
            return False  # RFC 9111 5.2.2.6
        kind = response.contains_header("Content-Type") or "text/html"
        return compressible(kind) and response.contains_header("Content-Encoding") is None

    def _transform(self, data: bytes) -> bytes:
        return data if self._compressor is None else self._compressor.compress(data)

    def _end(self) -> bytes:
        return b"" if self._compressor is None else self._compressor.flush()

    def _deliver(self, data: bytes, send: bool) -> bytes | bool:
        committed = self._response.committed()
        if not send and not committed:
            return data
        if data and not committed:
            self._announce()
        self._response.put_data(data, last=bool(data) and not committed and self.coding is not None)
        return True

    def _check_coding(self) -> None:
        if self.coding == "raw":
            raise IncorrectUse("raw deflate is no content coding of HTTP: use set_response(True), 'gzip' or 'auto'")

    def _announce(self) -> None:
        response = self._response
        if self.coding is None or response.status in BODILESS:
            return
        response.set_coding_header("Content-Encoding", self.coding)
        etag = response.contains_header("ETag")
        if etag is not None and etag.startswith('"'):
            # The same content in other bytes: only a weak validator holds for both (RFC 9110 8.8.3.3).
            response.set_coding_header("ETag", f"W/{etag}")


def make_filter(response: Output, request: Request, how: Callable[[bytes], Any] | str | bool | None) -> Filter:
    """The filter that `Response.set_response` was asked for.

    Raises:
        ValueError: an unknown coding.
        TypeError: neither a function nor a coding.
    """
    if callable(how):
        return FunctionFilter(response, how)
    if how is None or isinstance(how, bool):
        return CompressFilter(response, request, "deflate" if how else "raw")
    if not isinstance(how, str):
        raise TypeError(f"{how!r:.80} is neither a function nor a coding")
    if how != "auto" and how not in _WINDOW_BITS:
        raise ValueError(f"content coding {how!r}: use 'auto', {', '.join(map(repr, _WINDOW_BITS))}, or a function")
    return CompressFilter(response, request, how)


def _compressor(coding: str | None) -> Any:
    return None if coding is None else zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW_BITS[coding])
