"""`Directory`: a node of the virtual file system, and the walk that finds who answers a request.

The walk. A directory asks its own function first; a function that says False leaves the request to what the directory
does by itself, which for a plain one is asking its children: in descending priority, first come first among equals; a
named child only when its name is the first segment of the path, an unnamed one always; each once. The first that
answers ends the walk. (The original skips and repeats unnamed children in some orders; BAS reference c.1.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from greenbas.auth.guard import Authenticates, Authorizes, Guard, Pass
from greenbas.codec import encode_json
from greenbas.dispatcher import current_owner
from greenbas.errors import AlreadyInserted, IncorrectUse
from greenbas.http import NO_STORE, Request, Response
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.headers import header_line
from greenbas.protocol.target import fold_dots

__all__ = ["DirFunction", "Directory"]

DirFunction = Callable[[Request, Response], Any]

MIN_PRIORITY, MAX_PRIORITY = -128, 127  # a signed byte, as in the original
_OCTETS = {"content-type": header_line("Content-Type", "application/octet-stream")}
_JSON = {
    "content-type": header_line("Content-Type", "application/json"),
    "cache-control": header_line("Cache-Control", NO_STORE),
}


class Directory:
    """A directory (BAS ``ba.create.dir``).

    Args:
        name: the path segment it answers to; None or "" makes it part of its parent: it sees every path there.
        priority: -128 to 127; siblings are asked in descending order.

    Raises:
        ValueError: a name with "/" in it, or a priority out of range.
        TypeError: a name that is no text.
    """

    _slashless = False  # whether this kind answers at "/name" without a function, too, instead of redirecting

    def __init__(self, name: str | None = None, *, priority: int = 0) -> None:
        name = "" if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"directory name {name!r}: use text, or None for an unnamed directory")
        if "/" in name or name in (".", "..") or "\0" in name:
            raise ValueError(f"directory name {name!r}: use one path segment; nest directories for more")
        need_number(f"the priority of directory {name!r}", priority, "use -128 to 127", whole=True)
        if not MIN_PRIORITY <= priority <= MAX_PRIORITY:
            raise ValueError(f"priority {priority}: use {MIN_PRIORITY} to {MAX_PRIORITY}")
        self._name = name
        self._priority = priority
        self._parent: Directory | None = None
        self._function: DirFunction | None = None
        self._p403: str | None = None
        self._guard: Guard | None = None
        self._children = Children()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name or '(unnamed)'!r} priority {self._priority}>"

    def name(self) -> str:
        """The name, "" for an unnamed one (BAS ``dir:name``)."""
        return self._name

    @property
    def priority(self) -> int:
        """The priority among siblings."""
        return self._priority

    @property
    def parent(self) -> Directory | None:
        """The directory it is inserted in."""
        return self._parent

    @property
    def children(self) -> list[Directory]:
        """The inserted directories in the order in which they are asked."""
        return list(self._children)

    @property
    def function(self) -> DirFunction | None:
        """The directory function, None without one."""
        return None if self.secure else self._function

    @property
    def secure(self) -> bool:
        """Whether requests are redirected to TLS; see `redirect2tls`."""
        return self._function is _require_tls

    def base_uri(self) -> str:
        """The absolute path with a slash at the end; "/" when not installed (BAS ``dir:baseuri``)."""
        names: list[str] = []
        place = self
        while place._parent is not None:
            names.append(place._name)
            place = place._parent
        if place._name:
            return "/"  # the topmost has a name: it is not the root of a site
        return "".join(["/", *(f"{name}/" for name in reversed(names) if name)])

    def insert(self, child: Directory, reference: bool = True) -> None:
        """Install a directory below this one (BAS ``dir:insert``).

        Args:
            child: the directory.
            reference: kept for the original's signature: a child is always kept alive by its parent.

        Raises:
            AlreadyInserted: the child has a parent: unlink it first.
            IncorrectUse: the child is this directory or above it.
            TypeError: the child is no directory.
        """
        self._adopt(child)
        self._children.add(child)

    def unlink(self) -> bool:
        """Remove from the parent; requests that it serves now go on (BAS ``dir:unlink``). True if it was linked."""
        parent, self._parent = self._parent, None
        if parent is None:
            return False
        parent._release(self)
        return True

    def set_func(self, function: DirFunction | None = None) -> None:
        """Install a directory function, or remove it (BAS ``dir:setfunc``).

        Args:
            function: called with (request, response) for every request that comes here; `request.relpath` is the rest
                of the path. It answers, or returns False to pass the request on. A returned str, bytes, dict or list
                is the body.

        Raises:
            IncorrectUse: the directory redirects to TLS.
            TypeError: the function cannot be called with (request, response), or is async.
        """
        if function is not None:
            if self.secure:
                raise IncorrectUse("Already set: this directory redirects to TLS")
            _check_function(function)
        self._function = function

    def redirect2tls(self) -> None:
        """Send every request that is not encrypted to its https URL (BAS ``dir:redirect2tls``).

        Raises:
            IncorrectUse: the directory has a function.
        """
        if self._function is not None:
            raise IncorrectUse("Already set: this directory has a function")
        self._function = _require_tls

    @property
    def guard(self) -> Guard | None:
        """The authenticator and authorizer that protect this directory, None without; see `set_auth`."""
        return self._guard

    def set_auth(self, authenticator: Authenticates | None = None, authorizer: Authorizes | None = None) -> None:
        """Protect this directory: its function, its files, and everything below it (BAS ``dir:setauth``).

        A user who has logged in somewhere on this server is known here, too. Forwards and includes are not asked. In
        readers what lies below ``public/`` is for everybody.

        Args:
            authenticator: of `greenbas.create.authenticator`; without one only those get in who have logged in
                elsewhere, and others get a 403.
            authorizer: of `greenbas.create.authorizer`, or of a `JsonUser`; without one everybody may do everything who
                has logged in. Neither of them removes the protection.

        Raises:
            TypeError: they are something else.
        """
        self._guard = None if authenticator is None and authorizer is None else Guard(authenticator, authorizer)

    def p403(self, path: str | None) -> None:
        """The page shown when access here is denied, an absolute path of this server, or None (BAS ``dir:p403``)."""
        self._p403 = None if path is None else need_text("p403: the path", path)

    def service(self, request: Request, relpath: str, simforward: bool = False) -> bool:
        """Have this directory answer a request (BAS ``dir:service``).

        Called from inside its own function it does what it would do without one.

        Args:
            request: the request.
            relpath: the path below this directory.
            simforward: as in a forward: hidden files may be reached.

        Returns:
            Whether it answered.
        """
        if not isinstance(request, Request):
            raise TypeError(f"service(request, relpath): the request comes first, not {request!r:.80}")
        folded = fold_dots(f"/{need_text('service: the path', relpath)}")
        if folded is None:
            return False  # above this directory there is nobody to ask
        relpath = folded[1:]
        running, caller_path, initial = request.running, request.relpath, request.initial
        if simforward:
            request.forwarded += 1
            request.initial = False
        try:
            if running is self:
                return self.serve_itself(request, request.response, relpath)
            return self.serve(request, request.response, relpath)
        finally:
            request.running, request.relpath = running, caller_path
            if simforward:
                request.forwarded -= 1
                request.initial = initial

    def walk(self) -> Iterator[Directory]:
        """This directory and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def close(self) -> None:
        """The server ends: let go of what was opened to answer requests. A plain directory has nothing of the kind."""

    def report(self) -> list[dict[str, Any]]:
        """What is behind this directory, for the status page: a row for each server that it asks.

        Returns:
            Dicts with the keys name, state, weight, in_flight, limit, idle, queued, served, failures, p50 and p95 (in
            milliseconds, None for unknown), tunnels and last_error. A plain directory asks nobody.
        """
        return []

    # The walk.

    def serve(self, request: Request, response: Response, path: str) -> bool:
        """Answer a request if this directory has something for it.

        Args:
            request: the request.
            response: its response.
            path: the decoded path below this directory.

        Returns:
            Whether the request has been answered.
        """
        function = self._function
        if self._guard is not None and request.initial and not self._admits(self._guard, request, response, path):
            return True
        if function is not None:
            request.relpath = path
            request.running = self
            if self._apply(function(request, response), response):
                return True
        return self.serve_itself(request, response, path)

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """What this kind of directory does without its function: here, ask the children."""
        return serve_from(self._children, request, response, path)

    def is_public(self, path: str) -> bool:
        """Whether a path below this directory is for everybody, though the directory is protected."""
        return False

    def serve_children(self, request: Request, response: Response, path: str) -> bool:
        """Ask the children in their order."""
        return serve_from(self._children, request, response, path)

    def denied(self, request: Request, response: Response) -> None:
        """Answer that access is denied: the nearest p403 page, or a plain 403."""
        place: Directory | None = self
        while place is not None and place._p403 is None:
            place = place._parent
        page = place._p403 if place is not None else None
        if page is None or not request.initial:
            response.send_error(403)
            return
        response.reset()
        response.status = 403
        if not self.root().service(request, page.lstrip("/"), simforward=True):
            response.send_error(403)

    def root(self) -> Directory:
        """The topmost directory above this one."""
        place = self
        while place._parent is not None:
            place = place._parent
        return place

    def _admits(self, guard: Guard, request: Request, response: Response, path: str) -> bool:
        # Whether a request comes through; if not, it has been answered.
        if self.is_public(path):
            return True
        request.relpath, request.running = path, self
        if self.secure and _require_tls(request, response):
            return False  # before anybody sends a password
        found = guard.look_at(request, path)
        if found is Pass.DENIED:
            self.denied(request, response)
        return found is Pass.ADMITTED

    def _apply(self, result: Any, response: Response) -> bool:
        # What a directory function returned. The frequent kinds come first.
        if isinstance(result, str):
            response.finish_with(result.encode())
        elif result is None or result is True:
            return True
        elif result is False:
            return False
        elif isinstance(result, dict | list):
            response.finish_with(encode_json(result), _JSON)
        elif isinstance(result, bytes):
            response.finish_with(result, _OCTETS)
        else:
            raise TypeError(
                f"the function of directory {self.base_uri()} returned {result!r:.80}: return None or True when it has "
                "answered, False to look further, or the body as str, bytes, dict or list"
            )
        return True

    def _adopt(self, child: Directory) -> None:
        if not isinstance(child, Directory):
            raise TypeError(f"only directories can be inserted, not {child!r:.80}; files go into a ResourceReader")
        if child._parent is not None:
            raise AlreadyInserted(f"{child!r} is inserted at {child.base_uri()}: unlink it first")
        if child is self.root():
            raise IncorrectUse(f"{child!r} cannot be inserted below itself")
        child._parent = self
        owner = current_owner()
        if owner is not None:
            owner.watch(child, Directory.unlink)

    def _release(self, child: Directory) -> None:
        self._children.remove(child)


class Children:
    """The children of a directory, looked up by the first segment of a path. Changing them never disturbs a walk."""

    def __init__(self) -> None:
        self._ordered: list[Directory] = []
        self.unnamed: list[Directory] = []  # whom to ask when no name matches
        self.by_name: dict[str, list[Directory]] = {}  # whom to ask for a first segment, unnamed ones included

    def __iter__(self) -> Iterator[Directory]:
        return iter(self._ordered)

    def __bool__(self) -> bool:
        return bool(self._ordered)

    def add(self, child: Directory) -> None:
        """Before the first with a lower priority."""
        place = next((i for i, one in enumerate(self._ordered) if one.priority < child.priority), len(self._ordered))
        self._index([*self._ordered[:place], child, *self._ordered[place:]], child.name())

    def remove(self, child: Directory) -> None:
        """Take it out, if it is there."""
        self._index([one for one in self._ordered if one is not child], child.name())

    def _index(self, ordered: list[Directory], changed: str) -> None:
        # New lists each time: a walk that is under way keeps the ones it began with. A named child changes one of them,
        # an unnamed one all.
        self._ordered = ordered
        self.unnamed = [child for child in ordered if not child.name()]
        names = {child.name() for child in ordered if child.name()}
        if changed:
            names &= {changed}
            self.by_name.pop(changed, None)
        for name in names:
            self.by_name[name] = [child for child in ordered if child.name() in ("", name)]


def serve_from(children: Children, request: Request, response: Response, path: str) -> bool:
    """Ask these directories in their order; returns whether one answered."""
    segment, slash, rest = path.partition("/")
    for child in children.by_name.get(segment, children.unnamed):
        if not child._name:
            if child.serve(request, response, path):
                return True
        elif slash or child._function is not None or child._slashless or not redirect_to_slash(request, response, path):
            # A function answers at "/name" as well as below it; what has no function lives at "/name/".
            if child.serve(request, response, rest):
                return True
        else:
            return True
    return False


def _check_function(function: Any) -> None:
    # Now, where the mistake stands in the traceback, and not as a 500 for whoever asks first.
    if not callable(function):
        raise TypeError(f"a directory function is callable with (request, response), not {function!r:.80}")
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r:.80} is async: write a plain function, it may block")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise TypeError(f"a directory function is called with (request, response); {function!r:.80}: {error}") from None
    except ValueError:
        pass  # something built in, which does not tell


def _require_tls(request: Request, response: Response) -> bool:
    # The function of a directory that redirects to TLS.
    return response.redirect2tls(return2caller=True)


def redirect_to_slash(request: Request, response: Response, path: str) -> bool:
    """Send the client to the same path with a slash, so that relative links work; the query is kept.

    Args:
        request: the request.
        response: its response.
        path: the path below the directory that wants the slash.

    Returns:
        False when a slash behind the client's own path would not lead there: in a forward, or when a function has asked
        for a path of its own. The directory is to answer without the slash then.
    """
    if not request.initial or request.redirects or not request.path.endswith("/" + path):
        return False
    # 307 keeps method and body (RFC 9110 15.4.8); for GET the original's 302 is what everyone knows.
    status = 302 if request.method in ("GET", "HEAD") else 307
    response.redirect_with(status, request.url() + "/" + (f"?{request.query}" if request.query else ""))
    return True
