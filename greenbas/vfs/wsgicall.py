"""`WsgiCall`: one call of a WSGI application, and how its response leaves (PEP 3333).

Rules of this file. Nothing leaves before the first block that is not empty, so until then the application may change
its mind by calling ``start_response`` with ``exc_info``. A block has left before the next one is asked for, except the
only block of a list, which leaves together with the head when the response ends. The iterable is closed in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from greenbas.errors import LocalProtocolError
from greenbas.http import Request, Response
from greenbas.protocol.status import BODILESS
from greenbas.vfs.wsgifile import FileWrapper
from greenbas.vfs.wsgihead import WsgiHead, known_head

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["WsgiCall"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class WsgiCall:
    """One call of an application.

    Args:
        request: what the application answers.
        response: its response.
    """

    __slots__ = ("_begun", "_head", "_length", "_request", "_response")

    _length: int | None  # of the body, if known; from `_begin` on

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response
        self._head: WsgiHead | None = None
        self._begun = False  # the response has its head, and leaves

    def run(self, app: WSGIApplication, environ: dict[str, Any]) -> None:
        """Call the application, send what it returns, and close that.

        Raises:
            BaseException: whatever the application raises.
            TypeError, LocalProtocolError: it does not keep to PEP 3333.
            NetError: the client is gone.
        """
        blocks = app(environ, self.start_response)
        if type(blocks) is list and len(blocks) == 1 and not self._begun:
            self._send_only(blocks[0])  # a list has nothing to close
            return
        if blocks is None:
            raise TypeError(f"the WSGI application {app!r:.80} returned None: it returns an iterable of bytes")
        try:
            self._send(blocks)
        finally:
            close = getattr(blocks, "close", None)
            if close is not None:
                close()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """What the application calls; returns `write`.

        Raises:
            LocalProtocolError, TypeError: see `WsgiHead`; or called again without `exc_info`.
            BaseException: that of `exc_info`, when the response has begun.
        """
        if exc_info is not None:
            try:
                if self._begun and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback refers to this frame
        elif self._head is not None:
            raise LocalProtocolError("start_response was called a second time: only exc_info allows that")
        try:
            self._head = known_head(status, tuple(headers))
        except (TypeError, ValueError) as error:
            raise _wrong_head(status, headers) from error
        if type(headers) is not list:
            raise _wrong_head(status, headers)
        return self.write

    def write(self, block: bytes) -> None:
        """Send a block, and the head before the first."""
        self._write(block)

    def _write(self, block: bytes, only: bool = False) -> None:
        if type(block) is not bytes:
            raise _wrong_block(block)
        if not block:
            return
        if not self._begun:
            self._begin(len(block) if only else None)
        if self._length is not None and self._is_without_body():
            return  # the head says all
        response = self._response
        response.write(block)
        if not self._request.included:
            response.flush()

    def _send_only(self, block: bytes) -> None:
        # The way of nearly every response: it stays in one piece, and the connection sends it.
        if type(block) is not bytes:
            raise _wrong_block(block)
        head = self._head
        response = self._response
        if head is None or not head.plain or response.get_status() != 200 or self._request.included:
            self._begin(len(block))
            response.write(block)
        elif head.length is None or head.length == len(block):
            response.finish_with(block, head.lines)
        else:
            self._begin()
            response.write(block)

    def _send(self, blocks: Iterable[bytes]) -> None:
        if isinstance(blocks, FileWrapper) and self._send_file(blocks):
            return
        only = not self._begun and _count(blocks) == 1
        for block in blocks:
            self._write(block, only)
            if self._begun and self._is_without_body():
                return  # the rest would be dropped, and may have no end
        if not self._begun:
            self._begin()

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send the file as it is; False when that cannot be."""
        response = self._response
        extent = wrapper.extent()
        if extent is None or self._begun or response.byte_count() or self._request.included:
            return False
        fd, position, count = extent
        self._begin(count)
        response.send_file(fd, position, count if self._length is None else min(count, self._length))
        return True

    def _begin(self, length: int | None = None) -> None:
        """Give the response its head.

        Args:
            length: of the body, if it is known and the application has not said it.
        """
        head = self._head
        if head is None:
            raise LocalProtocolError("the WSGI application has not called start_response")
        self._begun = True
        self._length = length if head.length is None else head.length
        if self._request.included:
            return  # status and headers are those of the page around it
        head.set_on(self._response)
        if self._length is not None:
            self._response.set_content_length(self._length)

    def _is_without_body(self) -> bool:
        request = self._request
        return not request.included and (request.method == "HEAD" or self._response.get_status() in BODILESS)


def _wrong_head(status: Any, headers: Any) -> TypeError:
    return TypeError(
        "start_response takes a status such as '200 OK' and a list of (name, value) tuples, all of str, "
        f"not {status!r:.80} and {headers!r:.200}"
    )


def _wrong_block(block: Any) -> TypeError:
    return TypeError(f"a WSGI application returns an iterable of bytes; a block of this one is {block!r:.80}")


def _count(blocks: Any) -> int:
    try:
        return len(blocks)
    except TypeError:
        return -1
