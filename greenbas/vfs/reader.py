"""`ResourceReader`: a directory that serves the files of an I/O interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from greenbas.errors import InvalidName, IsDirectory, NoAccess, NotDirectory, NotFound
from greenbas.http import Request, Response
from greenbas.io import Io, hidden
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.headers import header_line
from greenbas.protocol.mime import compressible
from greenbas.vfs.directory import Children, Directory, redirect_to_slash, serve_from
from greenbas.vfs.files import StaticFile, StaticFiles
from greenbas.vfs.static import BLOCK, accepts_gzip, send_static

__all__ = ["PYTHON_FILES", "DomainReader", "Program", "ResourceFilter", "ResourceReader"]

INDEX_NAMES = ("index.html", "index.htm")
# Modules that lie beside pages, maybe with passwords, and what editors and archivers make of them.
PYTHON_FILES = (".py", ".pyc", ".pyw", ".py~", ".py.bak", ".py.orig", ".py.gz")
PROGRAMS = (".psp",)  # sources: without the filter that runs them they are not there


Program = Callable[[Request, Response], object]


class ResourceFilter(Protocol):
    """Answers for the files with one extension instead of sending them; server pages are one."""

    def open(self, reader: ResourceReader, request: Request, path: str) -> Program:
        """Prepare to answer with a file.

        Args:
            reader: the directory it is in.
            request: who asks for it.
            path: the file's path below the root of the reader's I/O.

        Returns:
            What answers; it is called with the request, whose `running` and `relpath` are the reader and the path.

        Raises:
            NotFound, NotDirectory, InvalidName, IsDirectory, NoAccess: as `Io.open`; the reader answers accordingly.
        """


class ResourceReader(Directory):
    """Static files from an I/O (BAS ``ba.create.resrdr``).

    It asks, in this order: the prologue directories, its own files, its children.

    Args:
        io: where the files are.
        name: the path segment it answers to; None or "" makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """

    def __init__(self, io: Io, *, name: str | None = None, priority: int = 0) -> None:
        super().__init__(name, priority=priority)
        if not isinstance(io, Io):
            raise TypeError(f"a reader needs an I/O, not {io!r:.80}; for a folder on the disk that is DiskIo(folder)")
        self._io = io
        self._files = StaticFiles(io)
        self._headers: dict[str, str] = {}
        self._max_age: int | None = None
        self._prologue = Children()
        self._filters: dict[str, ResourceFilter] = {}  # by extension
        self._private: tuple[str, ...] | None = None
        self._no_files: tuple[str, ...] = PROGRAMS  # endings of what is never sent as it is
        self._index_names: tuple[str, ...] = INDEX_NAMES

    def io(self) -> Io:
        """The I/O it reads from (BAS ``rsrdr:io``)."""
        return self._io

    @property
    def prologue(self) -> list[Directory]:
        """The directories that are asked before the files, in their order."""
        return list(self._prologue)

    def header(self, headers: Mapping[str, str]) -> None:
        """Extra headers for every file of this reader, instead of those before (BAS ``rsrdr:header``).

        Raises:
            LocalProtocolError: a bad name or value.
            TypeError: not a dict of names and values, which are text.
        """
        if not isinstance(headers, Mapping):
            raise TypeError(f"header: give a dict such as {{'X-Name': 'value'}}, not {headers!r:.80}")
        for name, value in headers.items():
            need_text("the name of a header", name)
            header_line(name, need_text(f"the value of header {name}", value))
        self._headers = dict(headers)

    def set_max_age(self, seconds: int | None) -> None:
        """``Cache-Control: max-age`` on files; None sends none (BAS ``rsrdr:maxage``).

        Raises:
            ValueError: it is negative.
        """
        if seconds is not None and need_number("max-age", seconds, "give seconds, or None") < 0:
            raise ValueError(f"max-age {seconds}: use seconds from 0 up, or None")
        self._max_age = seconds

    def set_filter(self, extension: str, filter: ResourceFilter | None) -> None:
        """Have files with this extension answered by a filter, or by nobody special again.

        Args:
            extension: with its dot, such as ".psp"; in any case.
            filter: who answers; None for none. ``index`` with this extension becomes an index page, after those before.

        Raises:
            ValueError: it is no extension, or more than one.
            TypeError: the filter is none.
        """
        need_text("set_filter: the extension", extension, "write it with its dot, such as '.psp'")
        if filter is not None and not callable(getattr(filter, "open", None)):
            raise TypeError(f"set_filter: a filter has a method open(reader, request, path); {filter!r:.80} has none")
        if not extension.startswith(".") or "/" in extension or "." in extension[1:]:
            raise ValueError(f"extension {extension!r}: write it with its dot, such as '.psp'")
        extension = extension.lower()
        filters = {**self._filters}
        if filter is not None:
            filters[extension] = filter
        else:
            filters.pop(extension, None)
        self._filters = filters
        self._no_files = (*PROGRAMS, *filters, *(self._private or ()))
        self._index_names = (*INDEX_NAMES, *(f"index{name}" for name in filters))

    def filter(self, extension: str) -> ResourceFilter | None:
        """Who answers for files with this extension, if anybody."""
        return self._filters.get(need_text("filter: the extension", extension).lower())

    @property
    def private(self) -> tuple[str, ...] | None:
        """The endings of files that are not there for clients; None as long as nobody has said so."""
        return self._private

    def set_private(self, *endings: str) -> None:
        """Never send files whose names end like this: for clients, forwards and includes they are not there.

        Applications, and readers that run pages, begin with those of Python (`PYTHON_FILES`).

        Args:
            *endings: such as ".py", in any case; instead of those before. None at all sends every file.

        Raises:
            ValueError: an ending that is empty or has a slash in it.
        """
        for ending in endings:
            if not need_text("set_private: an ending", ending) or "/" in ending:
                raise ValueError(f"set_private({ending!r:.80}): give the end of a file's name, such as '.py'")
        self._private = tuple(ending.lower() for ending in endings)
        self._no_files = (*PROGRAMS, *self._filters, *self._private)

    def insert_prologue(self, child: Directory) -> None:
        """Install a directory that is asked before the files (BAS ``rsrdr:insertprolog``).

        Raises:
            AlreadyInserted: the child has a parent.
        """
        self._adopt(child)
        self._prologue.add(child)

    def walk(self) -> Iterator[Directory]:
        """This directory and all below it, the prologue included."""
        yield from super().walk()
        for child in self.prologue:
            yield from child.walk()

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """Prologue, files, children; the directories are asked in initial requests only."""
        if self._prologue and request.initial and self.serve_prologue(request, response, path):
            return True
        if self._serve_files(request, response, path):
            return True
        return bool(self._children) and request.initial and self.serve_children(request, response, path)

    def is_public(self, path: str) -> bool:
        """What lies below ``public/``: style sheets and pictures of a login page, for example."""
        return path.startswith("public/")

    def serve_prologue(self, request: Request, response: Response, path: str) -> bool:
        """Ask the prologue directories in their order."""
        return serve_from(self._prologue, request, response, path)

    def run(self, program: Program, request: Request, response: Response) -> None:
        """Run what a filter has prepared."""
        program(request, response)

    def _release(self, child: Directory) -> None:
        super()._release(child)
        self._prologue.remove(child)

    def _serve_files(self, request: Request, response: Response, path: str) -> bool:
        if request.initial and hidden(path):
            return False
        if path and not path.endswith("/"):
            return self._serve_file(request, response, path)
        for name in self._index_names:  # noqa: SIM110 - a generator would be one more frame in tracebacks of pages
            if self._serve_file(request, response, path + name):
                return True
        return False

    def _serve_file(self, request: Request, response: Response, path: str) -> bool:
        found: Program | StaticFile
        try:
            if path.lower().endswith(self._no_files):
                found = self._open_program(request, path)
            else:
                found = self._files.open(path)
        except (NotFound, NotDirectory, InvalidName):
            return False
        except IsDirectory:
            return redirect_to_slash(request, response, path) or self._serve_files(request, response, path + "/")
        except NoAccess:
            request.running = self
            self.denied(request, response)
            return True
        except BaseException:  # a page that cannot be compiled, a disk that fails: it is ours to answer for
            request.running, request.relpath = self, path
            raise
        request.running, request.relpath = self, path
        if not isinstance(found, StaticFile):
            self.run(found, request, response)
            return True
        with found:
            if self._allows(request, response):
                self._send(request, response, found, path)
        return True

    def _open_program(self, request: Request, path: str) -> Program:
        filter = self._filters.get(path[path.rfind(".") :].lower())
        if filter is None:
            raise NotFound(path)  # a source, and nobody runs it
        return filter.open(self, request, path)

    def _allows(self, request: Request, response: Response) -> bool:
        if request.method in ("GET", "HEAD") or not request.initial:
            return True  # a forward wants the page, such as one for an error, whatever the client asked to do
        if request.method == "OPTIONS":
            response.set_header("Allow", "OPTIONS, GET, HEAD")
        else:
            response.send_error(405)
            response.set_header("Allow", "OPTIONS, GET, HEAD")
        return False

    def add_headers(self, response: Response) -> None:
        """Set the headers that all responses of this reader have; see `header`."""
        for name, value in self._headers.items():
            response.set_header(name, value)

    def _send(self, request: Request, response: Response, file: StaticFile, path: str) -> None:
        if request.included:
            for start in range(0, file.size, BLOCK):
                response.write(file.read(start, min(start + BLOCK, file.size)))
            return
        self.add_headers(response)
        if self._max_age is not None:
            response.set_max_age(self._max_age)
        packed = self._files.open_packed(path, file) if compressible(file.kind) else None
        if packed is None:
            send_static(request, response, file)
            return
        with packed:
            # Caches have to know that there are two, whichever this client gets (RFC 9110 12.5.5).
            response.add_header("Vary", "Accept-Encoding")
            # A range of a compressed file would be of no use to someone who asked for a range of the file.
            plain = b"range" in request.message.headers or not accepts_gzip(request.header("accept-encoding"))
            send_static(request, response, file if plain else packed)


class DomainReader(ResourceReader):
    """Files for one domain: an unnamed resource reader that answers only for its host (BAS ``ba.create.domainresrdr``).

    Args:
        domain: the host name, compared in lower case without port; letters beyond ASCII as browsers send them (IDNA).
        io: where the files are.
        priority: -128 to 127.
        page404: the page for what is not found, relative to the I/O; without one the search goes on.

    Raises:
        ValueError: the domain is empty or more than a host name, and would match no request.
    """

    def __init__(self, domain: str, io: Io, *, priority: int = 0, page404: str | None = None) -> None:
        super().__init__(io, priority=priority)
        self._domain = _host_name(need_text("the domain", domain, "use a host name, such as 'example.com'"))
        self._page404 = None if page404 is None else need_text("page404", page404, "give a path below the I/O")

    def __repr__(self) -> str:
        return f"<DomainReader {self._domain!r} priority {self.priority}>"

    @property
    def domain(self) -> str:
        """The host name."""
        return self._domain

    @property
    def page404(self) -> str | None:
        """The page for what is not found."""
        return self._page404

    def serve(self, request: Request, response: Response, path: str) -> bool:
        """Answer requests for the domain; see `Directory.serve`."""
        if request.domain().rstrip(".") != self._domain:
            return False
        if super().serve(request, response, path):
            return True
        if self._page404 is None or not request.initial:
            return False
        response.status = 404
        if not self.service(request, self._page404.lstrip("/"), simforward=True):
            response.send_error(404)
        return True


def _host_name(domain: str) -> str:
    host = domain.lower().rstrip(".").removeprefix("[").removesuffix("]")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    # A single colon is that of a port; IPv6 addresses have more.
    if not host or "/" in host or host.count(":") == 1:
        raise ValueError(f"domain {domain!r}: use a host name alone, such as 'example.com'")
    return host
