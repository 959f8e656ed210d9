"""`Site`: the root of a virtual file system, and the one place where errors become HTTP."""

from __future__ import annotations

import logging

from greenbas.errors import Abort, NetError, RemoteProtocolError, RequestDeadline, SocketClosed, StoreUnavailable
from greenbas.http import KILLS, Request, Response, error_page, failure_json, failure_page, prefers_json
from greenbas.protocol.target import fold_dots
from greenbas.vfs.directory import Directory

__all__ = ["Site"]

# Seconds after which a client may try again when the store of the sessions is gone: restarting it takes some.
RETRY_AFTER = 5

_log = logging.getLogger("greenbas.site")


class Site:
    """Answers requests from a tree of directories.

    Args:
        dev: development mode: the page of a failure shows the traceback. Otherwise it shows an id that the log has too.
    """

    def __init__(self, *, dev: bool = False) -> None:
        self.root = Directory()
        self.dev = dev
        self.failures = 0  # handlers that raised

    def answer(self, request: Request, response: Response) -> None:
        """Find who answers, and turn whatever goes wrong into a response.

        Raises:
            NetError: the client of this response is gone.
        """
        try:
            try:
                if not request.relpath and request.path == "*":
                    self._not_found(request, response)  # OPTIONS of the whole server: no path of anybody
                elif not self.root.serve(request, response, request.relpath):
                    self._not_found(request, response)
            except Abort:
                pass  # the handler said that it is done
            if request.unsaved_sessions is not None:
                for session in request.unsaved_sessions:
                    session.save()  # before the client can know that it is done
            if response.filter is not None:
                response.filter.finalize(True)  # here, where its errors are answered as the handler's
        except RemoteProtocolError as error:
            self._refuse(request, response, error)
        except KILLS:
            raise
        except BaseException as error:
            if isinstance(error, NetError) and response.is_lost_by(error):
                raise
            self._fail(request, response, error)

    def find(self, request: Request, path: str) -> bool:
        """Have the tree answer for a path from inside a handler; see `Response.forward`.

        Args:
            request: its flags say whether this is a forward, an include or a redirect.
            path: absolute, or relative to the page or directory that runs, where it is looked for first.

        Returns:
            Whether somebody answered.
        """
        running, relpath = request.running, request.relpath
        try:
            if not path.startswith("/") and isinstance(running, Directory):
                path = relpath[: relpath.rfind("/") + 1] + path
                near = fold_dots(f"/{path}")  # None when it leads out of the directory, which the whole tree may follow
                if near is not None and not request.initial:
                    if running.serve_itself(request, request.response, near[1:]):
                        return True
                    request.running, request.relpath = running, relpath
                path = running.base_uri() + path
            target = fold_dots(path if path.startswith("/") else f"/{path}")
            return target is not None and self.root.serve(request, request.response, target[1:])
        finally:
            request.running, request.relpath = running, relpath

    def _not_found(self, request: Request, response: Response) -> None:
        request.running = None  # whoever ran last has passed
        if request.method == "OPTIONS" and request.path in ("*", "/"):
            response.set_header("Allow", "OPTIONS, GET, HEAD")
        else:
            response.send_error(404)

    def _refuse(self, request: Request, response: Response, error: RemoteProtocolError) -> None:
        # The body was bad and the handler let the error pass: the client gets the status that says so.
        _log.info("%r refused: %s", request, error)
        self._save_sessions(request)
        if response.committed():
            response.break_off(SocketClosed(str(error)))
            return
        response.recover()
        response.send_error(error.status, str(error) if self.dev else None)
        response.clear_keepalive()

    def _save_sessions(self, request: Request) -> None:
        # What a handler had done to a session before it failed stays done, as it does in memory.
        for session in request.unsaved_sessions or ():
            try:
                session.save()
            except (StoreUnavailable, TypeError) as error:
                _log.error("request %s: %r is not saved: %s", request.id, session, error)

    def _fail(self, request: Request, response: Response, error: BaseException) -> None:
        self.failures += 1
        if isinstance(error, StoreUnavailable):  # no mistake of the handler's: its traceback says nothing more
            _log.error("request %s %s %s failed: %s", request.id, request.method, request.target, error)
        else:
            _log.error("request %s %s %s failed", request.id, request.method, request.target, exc_info=error)
            self._save_sessions(request)
        if response.committed():
            # Part of the answer has gone as if all were well; only a broken connection tells the client otherwise.
            response.break_off(SocketClosed("the handler failed after the head had been sent"))
            return
        status = 503 if isinstance(error, RequestDeadline | StoreUnavailable) else 500
        response.recover()
        if isinstance(error, StoreUnavailable):
            response.set_header("Retry-After", str(RETRY_AFTER))
        if not self.dev:
            message = "Something went wrong here. The log of the server has the details."
            response.send_error_page(status, error_page(status, message, request_id=request.id))
            return
        what = status, request.id, request.method, request.target
        if prefers_json(request.header("accept"), request.header("x-requested-with")):
            response.json(failure_json(error, *what), return2caller=True)
            response.status = status
        else:
            response.send_error_page(status, failure_page(error, *what))
