"""multipart/form-data requests: their parts one after the other, or the callbacks of BAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from greenbas.errors import BodyTimeout, BodyTooLarge, IncompleteBody, IsCommitted, RemoteProtocolError
from greenbas.http.part import Form, Part
from greenbas.protocol.multipart import MAX_PARTS

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["BUFFER_SIZE", "multipart", "parts"]

BUFFER_SIZE = 8192  # bytes; the `bufsize` of BAS


def parts(
    request: Request, *, max_memory: int, max_parts: int = MAX_PARTS, max_field: int | None = None
) -> Iterator[Part]:
    """The parts of a multipart/form-data body, in order, each as soon as its head has arrived.

    Nothing is read ahead: what is not wanted of a part is skipped when the next one is asked for.

    Args:
        request: the request; nothing of its body may have been read.
        max_memory: the most bytes that `Part.read` and `Part.value` collect without a limit of their own, all parts
            together.
        max_parts: the most parts there may be.
        max_field: the most bytes that they collect of one text field; None leaves it at `max_memory`.

    Returns:
        An iterator over the parts.

    Raises:
        WrongMediaType: 415; it is no multipart/form-data.
        BadMultipart: 400; there is no valid boundary. While iterating: malformed, or too many parts.
        IncorrectUse: part of the body was read already.
        RemoteProtocolError: while iterating; the body cannot be read, see `Body.read`.
        ValueError: a limit is not positive.
    """
    for name, limit in (("max_memory", max_memory), ("max_parts", max_parts), ("max_field", max_field)):
        if limit is not None and limit < 1:
            raise ValueError(f"{name}={limit} is not positive")
    return iter(Form(request, max_parts, max_memory, max_field).next_part, None)


def multipart(
    request: Request,
    *,
    formdata: Callable[[str, str], object] | None = None,
    beginfile: Callable[[str, str, str | None, str | None], object] | None = None,
    filedata: Callable[[bytes], object] | None = None,
    endmp: Callable[[], object] | None = None,
    error: Callable[[str], object] | None = None,
    bufsize: int = BUFFER_SIZE,
    keepalive: bool = True,
) -> bool:
    """Parse a multipart/form-data body with callbacks, in the caller's greenlet (BAS ``request:multipart``).

    A callback that returns False ends the parse. What it is not given a callback for is skipped.

    Args:
        request: the request; nothing of its body may have been read.
        formdata: gets name and value of each text field.
        beginfile: gets name, file name, content type and transfer encoding of each file, None for what is missing; the
            file name is the last component of the client's, "" when it chose none.
        filedata: gets the bytes of a file in pieces.
        endmp: is called at the end.
        error: gets the reason why the body cannot be parsed: "Connection terminated", "Allocation error" for a text
            field over `bufsize`, or "Multipart parse error". Without it the exception is raised.
        bufsize: the most bytes of a text field, and of one piece of a file.
        keepalive: False closes the connection after the response.

    Returns:
        True at the end of the form; False when a callback returned False, or `error` was called. The server then drops
        what is left of the body if that is short, and closes the connection if not.

    Raises:
        TypeError: none of the first three callbacks, or only one of `beginfile` and `filedata`.
        ValueError: `bufsize` is not positive.
        WrongMediaType: 415; not multipart.
        IsCommitted: the response head has been sent.
        BadMultipart, BodyTooLarge, RemoteProtocolError: as `parts`.
    """
    if formdata is None and beginfile is None and filedata is None:
        raise TypeError("multipart() needs formdata, or beginfile and filedata")
    if (beginfile is None) != (filedata is None):
        raise TypeError("multipart() needs beginfile and filedata together")
    if bufsize < 1:
        raise ValueError(f"bufsize={bufsize} is not positive")
    if request.response.committed():
        raise IsCommitted("Response committed: parse the form before anything is sent")
    form = Form(request, MAX_PARTS, bufsize, None)
    if not keepalive:
        request.response.clear_keepalive()
    calls = _calls(form, bufsize, formdata, beginfile, filedata)
    while True:
        try:
            call = next(calls, None)
        except RemoteProtocolError as failure:
            if error is None:
                raise
            error(_words(failure))
            return False
        if call is None:
            break
        function, arguments = call
        if function(*arguments) is False:
            return False
    if endmp is not None:
        endmp()
    return True


def _calls(
    form: Form,
    bufsize: int,
    formdata: Callable[..., object] | None,
    beginfile: Callable[..., object] | None,
    filedata: Callable[..., object] | None,
) -> Iterator[tuple[Callable[..., object], tuple[Any, ...]]]:
    """The callbacks and their arguments, in order; they are called elsewhere, so that their own errors stay apart."""
    while (part := form.next_part()) is not None:
        if part.filename is None:
            if formdata is not None:
                yield formdata, (part.name, part.value(bufsize))
        elif beginfile is not None and filedata is not None:
            yield beginfile, (part.name, part.filename, part.headers.get("content-type"), part.transfer_encoding)
            for piece in part.chunks():
                for at in range(0, len(piece), bufsize):
                    yield filedata, (piece[at : at + bufsize],)


def _words(failure: RemoteProtocolError) -> str:
    if isinstance(failure, IncompleteBody | BodyTimeout):
        return "Connection terminated"
    return "Allocation error" if isinstance(failure, BodyTooLarge) else "Multipart parse error"
