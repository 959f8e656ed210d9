"""`PageFilter`: runs the server pages of a resource reader, each compiled once for as long as it does not change."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from greenbas.codec import encode_json
from greenbas.dispatcher.threads import Thread
from greenbas.errors import PageSyntaxError
from greenbas.http import NO_STORE, Request, Response
from greenbas.io import Io, normalize
from greenbas.pages.compiler import compile_page
from greenbas.pages.scope import Run, Scope, bind
from greenbas.protocol.headers import header_line
from greenbas.vfs import PYTHON_FILES, ResourceReader

__all__ = ["EXTENSION", "Page", "PageFilter", "get_app", "psp_filter"]

EXTENSION = ".psp"
# In production a page is looked at once a second, so a change shows after a second at most; in development each time.
# The look costs a tenth of a small page.
LOOK_AFTER = 1.0  # seconds
# A file this young may change once more within the same tick of the file system's clock, which no fingerprint shows.
SETTLED_AFTER = 2_000_000_000  # nanoseconds
# Bytes of a page beyond which a native thread compiles it, while the other greenlets go on: this many take 10 to 20 ms.
LARGE = 8 * 1024
_DEFAULT_LINES = {
    "content-type": header_line("Content-Type", "text/html; charset=utf-8"),
    "cache-control": header_line("Cache-Control", NO_STORE),
}

Fingerprint = tuple[int, ...]


class Page:
    """One page, ready to run.

    Args:
        source: its text.
        fingerprint: by which a change is noticed.
        run: the function that it became, with its names.
        reader: its directory.
    """

    __slots__ = ("_reader", "_run", "fingerprint", "looked", "settled", "source")

    def __init__(self, source: bytes, fingerprint: Fingerprint, run: Run, reader: ResourceReader) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.settled = False
        self.looked = 0.0  # when the file was last compared with this
        self._run = run
        self._reader = reader

    def __call__(self, request: Request, response: Response) -> None:
        """Run it."""
        if not request.included:
            self._reader.add_headers(response)
            if request.initial:
                response.adopt_lines(_DEFAULT_LINES)
        result = self._run(request, response)
        if result is not None:
            _take(result, request, response)


class PageFilter:
    """The filter for ``.psp`` of one resource reader.

    Args:
        app: the scope that the pages know as ``app``.
        clock: nanoseconds since the epoch.
    """

    def __init__(self, app: object, clock: Callable[[], int] = time.time_ns) -> None:
        self.app = app
        self._clock = clock
        self._pages: dict[str, Page] = {}
        self._scopes: dict[str, Scope] = {}
        self._thread = Thread(1, name="pages")  # for large ones; it runs while there are such

    def open(self, reader: ResourceReader, request: Request, path: str) -> Page:
        """The page at a path, compiled anew if it has changed; see `ResourceFilter.open`.

        Raises:
            IoError: as `Io.open`.
            PageSyntaxError: it cannot be compiled.
        """
        if "//" in path or path[0] == "/":
            path = normalize(path)  # one page, one entry, in how many ways it may be written
        page = self._pages.get(path)
        if page is not None and page.settled:
            now = time.monotonic()
            if now - page.looked < LOOK_AFTER and not request.dev:
                return page
            if page.fingerprint == reader.io().fingerprint(path):
                page.looked = now
                return page
        return self._look_again(reader, path, page)

    def _look_again(self, reader: ResourceReader, path: str, page: Page | None) -> Page:
        source, fingerprint = _read(reader.io(), path)
        if page is None or page.source != source:
            page = self._made(reader, path, source, fingerprint)
        page.fingerprint = fingerprint
        page.settled = self._clock() - max(fingerprint[1:3]) > SETTLED_AFTER
        return page

    def _made(self, reader: ResourceReader, path: str, source: bytes, fingerprint: Fingerprint) -> Page:
        if len(source) <= LARGE:
            page = self._pages[path] = self._compile(reader, path, source, fingerprint)
            return page
        try:
            return self._thread.offload(self._compile_large, reader, path, source, fingerprint)
        finally:
            self._thread.close()  # when no page waits: large pages do not change often

    def _compile_large(self, reader: ResourceReader, path: str, source: bytes, fingerprint: Fingerprint) -> Page:
        # In the thread, one after the other: who has waited for the same page meanwhile finds it made.
        page = self._pages.get(path)
        if page is None or page.source != source:
            with _collector_off():
                page = self._pages[path] = self._compile(reader, path, source, fingerprint)
        return page

    def _compile(self, reader: ResourceReader, path: str, source: bytes, fingerprint: Fingerprint) -> Page:
        filename = reader.io().file_name(path)
        compiled = compile_page(_decode(source, filename), filename)
        scope = self._scopes.setdefault(path, Scope())
        return Page(source, fingerprint, bind(compiled, reader, path, scope, self.app), reader)


def psp_filter(reader: ResourceReader, app: object = None) -> bool:
    """Have a reader run its server pages (BAS ``rsrdr:lspfilter``). A second call begins with fresh page scopes.

    From here on Python files are not sent, unless `ResourceReader.set_private` has said or says what else is private.

    Args:
        reader: whose ``*.psp`` are to be run.
        app: what its pages know as ``app``; an empty `Scope` unless given.

    Returns:
        True if it did not do so before.
    """
    newly = get_app(reader) is None
    if reader.private is None:
        reader.set_private(*PYTHON_FILES)  # modules that the pages use may lie beside them
    reader.set_filter(EXTENSION, PageFilter(Scope() if app is None else app))
    return newly


def get_app(reader: ResourceReader) -> object:
    """What the pages of a reader know as ``app``; None when it runs none (BAS ``rsrdr:getapp``)."""
    found = reader.filter(EXTENSION)
    return found.app if isinstance(found, PageFilter) else None


def _read(io: Io, path: str) -> tuple[bytes, Fingerprint]:
    with io.open(path) as handle:
        fingerprint = handle.fingerprint()
        if fingerprint is None:  # an I/O that has none: time and size have to do
            stat = handle.stat()
            fingerprint = (0, stat.mtime_ns, stat.mtime_ns, stat.size)
        return bytes(handle.read()), fingerprint


def _take(result: object, request: Request, response: Response) -> None:
    # What a page has returned, as a directory function might.
    if isinstance(result, str | bytes):
        response.write(result)
    elif isinstance(result, dict | list):
        if request.included:
            response.write(encode_json(result))
        elif response.byte_count():
            kind = type(result).__name__
            raise TypeError(f"the page returned a {kind}, which is sent as JSON, but it has written something before")
        else:
            response.json(result, return2caller=True)
    elif type(result) is not int and result is not True:  # `return write("...")` gives a number
        raise TypeError(
            f"the page returned {result!r:.80}: return nothing, or more output as str or bytes, or a dict or list to "
            "be sent as JSON; a page cannot pass a request on"
        )


@contextmanager
def _collector_off() -> Iterator[None]:
    # A syntax tree is many objects, none of them garbage before the end: the collector would go through them time and
    # again, with all greenlets waiting, and takes a third of the time.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _decode(source: bytes, filename: str) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        byte = source[error.start]
        raise PageSyntaxError(f"byte 0x{byte:02x} is not UTF-8: save the page as UTF-8", filename, line) from None
