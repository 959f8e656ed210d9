"""`TappedOutput`: output for those who stand between a handler and the client: filters, forwards and includes."""

from __future__ import annotations

from typing import Any, NoReturn

from greenbas.errors import Abort, MixingWriteSend
from greenbas.http.outputbase import Mode, OutputBase
from greenbas.protocol.headers import header_line

__all__ = ["Kept", "TappedOutput"]

Kept = tuple[list[bytes], int, int, int | None, Mode, Any]  # output that is set aside


class TappedOutput(OutputBase):
    """Output that can be looked at, taken out, set aside and put back while it has not left."""

    __slots__ = ()

    def abort(self) -> NoReturn:
        """End the handler; what was written is the answer (BAS ``response:abort``).

        Whoever catches this, a `BaseException`, can go on, but his next output ends him again.

        Raises:
            Abort: always.
        """
        if self._mode not in ("over", "aborted"):
            self._before, self._mode = self._mode, "aborted"
        raise Abort

    def get_data(self) -> bytes | None:
        """What waits in the buffer; None once the head has gone (BAS ``response:getdata``)."""
        return None if self._committed else b"".join(self._parts)

    def take_data(self) -> bytes:
        """Take what waits out of the buffer, as if it had never been written."""
        data = b"".join(self._parts)
        self._parts = []
        self._size = 0
        self._announced = None
        return data

    def put_data(self, data: bytes, *, send: bool = False, last: bool = False) -> None:
        """Put data into the empty buffer, as if it had been written.

        Args:
            data: the bytes.
            send: let them and the head go now.
            last: nothing more can be written behind them.
        """
        self._parts = [data] if data else []
        self._size = len(data)
        if last:
            self._announced = self.byte_count()
        if send:
            self._flush_parts()

    def set_coding_header(self, name: str, value: str) -> None:
        """Set a header about the coding of the whole output, even while an include produces part of it."""
        self._set_line(name.lower(), header_line(name, value))

    @property
    def buffer_size(self) -> int:
        """Bytes of output that are kept back."""
        return self._connection.service.settings.response_buffer

    def end_filter(self) -> None:
        """From here on output goes to the client as it is."""
        self.filter = None

    def bypass_filter(self) -> None:
        """What comes now goes out as it is: a filter works on what is written, not on files (BAS ``setresponse``).

        Raises:
            MixingWriteSend: the filter has had output already.
        """
        if self.filter is not None and not self.filter.abort():
            raise MixingWriteSend("a filter has taken output: what is sent as it is cannot follow")

    def _drop_output(self) -> None:
        self._check_running()
        self._set_aside()

    def _set_aside(self) -> Kept:
        # The output so far, for `_restore`; what follows begins from nothing.
        held = self.filter.set_aside() if self.filter is not None else None
        kept = self._parts, self._size, self._body_size, self._announced, self._mode, held
        self._parts = []
        self._size = self._body_size = 0
        self._announced = None
        self._mode = ""
        return kept

    def _restore(self, kept: Kept) -> None:
        self._parts, self._size, self._body_size, self._announced, self._mode, held = kept
        if self.filter is not None and held is not None:
            self.filter.restore(held)

    def _go_on(self) -> None:
        # An abort ended below an include or forward whose caller asked to go on.
        if self._mode == "aborted":
            self._mode = self._before
