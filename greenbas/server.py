"""`Server`: a site, its listeners and its life."""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import gevent
from gevent import get_hub
from gevent.event import Event

from greenbas import plugin
from greenbas.dispatcher import HubWatchdog, patch, spawn
from greenbas.errors import GreenbasError, IncorrectUse
from greenbas.http import (
    AccessLog,
    HttpService,
    HttpSettings,
    LoginTracker,
    Request,
    Session,
    State,
    check_names,
    make_settings,
)
from greenbas.limits import raise_descriptor_limit
from greenbas.logs import LOG_STYLES, configure_logging
from greenbas.net import Listener
from greenbas.protocol.arguments import need_number, need_text
from greenbas.renewal import Renewal, read_again
from greenbas.vfs import Directory, Site

if TYPE_CHECKING:
    from greenbas.net.tls import ServerTls

__all__ = ["DEFAULT_PORT", "Server"]

DEFAULT_PORT = 9357  # where BAS's own server goes when port 80 is taken

# Requests free their memory by reference counts; the cyclic collector only looks for what applications leave. At the
# default of 700 allocations it would look over all young objects some hundred times a second under load.
COLLECT_AFTER = 20_000

_log = logging.getLogger("greenbas.server")

F = TypeVar("F", bound=Callable[..., Any])


class Server:
    """An HTTP server over a virtual file system.

    Args:
        **settings: time-outs and limits, see `greenbas.http.HttpSettings`; all have defaults.

    Raises:
        SettingError: an unknown name or a value out of range.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = make_settings(HttpSettings, settings)
        self._site = Site(dev=self._settings.dev)
        self._service: HttpService | None = None
        self._watchdog: HubWatchdog | None = None
        self._tracker = LoginTracker()
        self._listeners: list[Listener] = []
        self._access_log: AccessLog | None = None
        self._stopped = Event()
        self._signalled = False

    def __repr__(self) -> str:
        if self._service is None:
            return "<Server not started>"
        where = ", ".join(f"{listener.url_host}:{listener.port}" for listener in self.listeners)
        state = " stopping" if self._service.draining and not self._stopped.is_set() else ""
        state = " stopped" if self._stopped.is_set() else state
        return f"<Server {where or 'no listener'}{state} {self._service.table!r} {self._service.workers!r}>"

    @property
    def settings(self) -> HttpSettings:
        """The settings in force."""
        return self._settings

    def configure(self, **changes: Any) -> None:
        """Change settings before the server starts.

        Raises:
            SettingError: an unknown name or a value out of range.
            IncorrectUse: the server has started.
        """
        if self._service is not None:
            raise IncorrectUse("settings cannot change while the server runs")
        check_names(changes, HttpSettings)
        self._settings = dataclasses.replace(self._settings, **changes)
        self._site.dev = self._settings.dev

    # The site.

    @property
    def site(self) -> Site:
        """What answers the requests."""
        return self._site

    @property
    def root(self) -> Directory:
        """The root directory; it is unnamed."""
        return self._site.root

    def insert(self, directory: Directory) -> None:
        """Install a directory at the root (BAS ``dir:insert()``).

        Raises:
            AlreadyInserted: it is installed somewhere.
        """
        self.root.insert(directory)

    def directory(self, name: str | None = None, *, priority: int = 0) -> Callable[[F], F]:
        """Decorator: the function answers for a directory at the root.

        Args:
            name: the first path segment it answers to; without one it sees every path.
            priority: -128 to 127; siblings are asked in descending order.

        Raises:
            TypeError: the function cannot be called with (request, response), or the parentheses are missing.
        """
        if callable(name):
            raise TypeError("write @server.directory() or @server.directory('name'), with parentheses")

        def install(function: F) -> F:
            made = Directory(name, priority=priority)
            made.set_func(function)
            self.insert(made)
            return function

        return install

    # The sessions.

    @overload
    def session(self, which: int) -> Session | None: ...
    @overload
    def session(self, which: str, request: Request, create: bool = False) -> Session | None: ...

    def session(self, which: int | str, request: Request | None = None, create: bool = False) -> Session | None:
        """A living session (BAS ``ba.session``); `Request.session` finds that of a client.

        Args:
            which: its number, which is no secret, or its public id.
            request: with a public id: whose client wants it.
            create: with a public id: make it the session of that request, which gets a new one if there is none.

        Returns:
            The session, or None.

        Raises:
            StoreUnavailable: nobody knows.
            IncorrectUse: the server has not started.
            TypeError: a public id without a request.
        """
        sessions = self.service.sessions
        if isinstance(which, int):
            return sessions.with_number(which)
        if request is None:
            raise TypeError("session: a public id counts for the client of a request: give that, too")
        return sessions.with_id(which, request, create)

    def sessions(self, user: str | None = None) -> list[int]:
        """The numbers of all living sessions, or of a user's (BAS ``ba.sessions``)."""
        return self.service.sessions.numbers(user)

    def users(self) -> list[str]:
        """The names of those who are logged in, sorted (BAS ``ba.users``)."""
        return self.service.sessions.users()

    @property
    def tracker(self) -> LoginTracker:
        """Who has logged in, and who has tried to (BAS ``ba.tracker``)."""
        return self._tracker

    # The life.

    @property
    def service(self) -> HttpService:
        """Connections, workers and counters of the running server.

        Raises:
            IncorrectUse: the server has not started.
        """
        if self._service is None:
            raise IncorrectUse("the server has not started")
        return self._service

    @property
    def listeners(self) -> list[Listener]:
        """The listeners that are open."""
        return [listener for listener in self._listeners if not listener.closed]

    @property
    def watchdog(self) -> HubWatchdog | None:
        """Counts how often the hub was blocked; None before the start."""
        return self._watchdog

    def listen(self, port: int = DEFAULT_PORT, *, host: str = "127.0.0.1", tls: ServerTls | None = None) -> Listener:
        """Open a listener (BAS ``ba.create.servcon``); it accepts once the server has started.

        Args:
            port: 0 lets the system choose.
            host: an address or name; "" is every address, IPv6 included.
            tls: serve HTTPS with this context, of `greenbas.create.tls_server`.

        Raises:
            BindFailed: names the address and the reason.
            IncorrectUse: the server has been stopped, or `tls` is no server's context.
        """
        self._must_not_be_stopped()
        need_number("listen: the port", port, "give 0 to 65535; the address is host=...", whole=True)
        need_text("listen: host", host, "give an address such as '127.0.0.1', or '' for all")
        if tls is not None and not getattr(tls, "is_server", False):
            raise IncorrectUse(f"listen: tls {tls!r} is no server's context: make one with create.tls_server")
        listener = Listener(
            get_hub(), lambda sock: self._accept(sock, listener), host=host, port=port, relieve=self._relieve
        )
        listener.tls = tls
        self._listeners.append(listener)
        if self._service is not None:
            listener.start()
        return listener

    def start(self) -> None:
        """Begin to serve; returns at once. Does nothing when it has started.

        The plugins in use are started before the listeners accept.

        Raises:
            PluginError: a plugin cannot start; the server is stopped then.
            IncorrectUse: the server has been stopped: its directories can be inserted in another one.
        """
        self._must_not_be_stopped()
        if self._service is not None:
            return
        hub = get_hub()
        self._service = HttpService(hub, self._settings, self._site.answer, self._site.find, self._tracker)
        self._service.access_log = self._access_log
        self._service.tls_port = self._tls_port
        self._service.start()
        self._watchdog = HubWatchdog(hub, limit=self._settings.hub_blocked_after)
        self._watchdog.start()
        try:
            self._service.sessions.open()
            plugin.server_starts(self)
        except BaseException:
            self.stop(drain_timeout=0)
            raise
        for listener in self._listeners:
            listener.start()

    def log_requests(self, log: AccessLog | None) -> None:
        """Send access records to `log`, or nowhere; before the start or later."""
        self._access_log = log
        if self._service is not None:
            self._service.access_log = log

    def stop(self, drain_timeout: float | None = None) -> list[str]:
        """Stop: no new connections, requests on their way are answered, what lasts too long is killed.

        Right at any moment, and a second call returns at once: before the start, while it stops, afterwards.

        Args:
            drain_timeout: seconds that running requests have; the setting unless given.

        Returns:
            The names of the workers that were killed.
        """
        if drain_timeout is not None:
            need_number("stop: drain_timeout", drain_timeout, "give seconds, or None for the setting")
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        service = self._service
        if service is None:
            self._close_directories()
            return []
        if service.draining:
            return []
        seconds = self._settings.drain_timeout if drain_timeout is None else drain_timeout
        try:
            killed = service.drain(seconds, gevent.sleep)
            plugin.server_stops(self)
            self._close_directories()
            service.sessions.close()
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            self._stopped.set()
        return killed

    def wait(self) -> None:
        """Block until the server has been stopped; returns at once when it has not started."""
        if self._service is not None:
            self._stopped.wait()

    def run(
        self, port: int = DEFAULT_PORT, *, host: str = "127.0.0.1", log: str = "text", tls: ServerTls | None = None
    ) -> None:
        """Patch, listen, serve until SIGTERM or SIGINT, drain. For the main program: it ends the process on failure.

        Args:
            port: where to listen, 0 for any.
            host: an address or name.
            log: "text", "json" or "none": the access log and all other logs, on standard error.
            tls: serve HTTPS with this context, of `greenbas.create.tls_server`.
        """
        try:
            patch()
            if log not in LOG_STYLES:
                raise IncorrectUse(f"log {log!r}: use {', '.join(LOG_STYLES)}")
            raise_descriptor_limit()
            self.listen(port, host=host, tls=tls)
            self.serve_forever(log)
        except GreenbasError as error:
            sys.exit(f"greenbas: {error}")

    def serve_forever(self, log: str = "text") -> None:
        """Serve on the open listeners until SIGTERM or SIGINT, then drain; a second signal does not wait.

        Args:
            log: "text", "json" or "none"; what `log_requests` was given goes before.
        """
        configure_logging(log)
        if log != "none" and self._access_log is None:
            self.log_requests(AccessLog())
        self.start()
        _tame_collector()
        watchers = [gevent.signal_handler(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)]
        if any(listener.tls is not None for listener in self.listeners):
            watchers.append(gevent.signal_handler(signal.SIGHUP, self._on_hangup, _has_terminal()))
        renewal = Renewal(self._contexts)
        renewal.start()
        # After that: who reads it may send a signal at once.
        for listener in self.listeners:
            scheme = "http" if listener.tls is None else "https"
            print(f"greenbas serves {scheme}://{listener.url_host}:{listener.port}/", flush=True)
        try:
            self.wait()
        finally:
            renewal.stop()
            for watcher in watchers:
                watcher.cancel()

    def reload_tls(self) -> bool:
        """Read the certificates of all TLS listeners again, as SIGHUP does; connections that exist live on.

        What cannot be used is logged, and the old ones stay.

        Returns:
            Whether all could be used.
        """
        return read_again(self._contexts())

    def _on_signal(self) -> None:
        again, self._signalled = self._signalled, True
        if not again:
            spawn(self.stop, name="stop")
            return
        # Whatever `stop` still waits for: a handler that does not end, a head that does not come.
        self.service.workers.kill_all()
        for connection in self.service.table.in_state(*State):
            connection.close_now()
        self._stopped.set()

    def _tls_port(self) -> int | None:
        return next((listener.port for listener in self.listeners if listener.tls is not None), None)

    def _contexts(self) -> set[ServerTls]:
        return {listener.tls for listener in self.listeners if listener.tls is not None}

    def _on_hangup(self, had_terminal: bool) -> None:
        if had_terminal and not _has_terminal():
            self._on_signal()  # somebody has closed the window that the server ran in
            return
        spawn(self.reload_tls, name="reload of certificates")

    def _close_directories(self) -> None:
        for directory in self.root.walk():
            try:
                directory.close()
            except Exception:
                _log.exception("closing %r failed", directory)

    def _must_not_be_stopped(self) -> None:
        if self._service is not None and self._service.draining:
            raise IncorrectUse("the server has been stopped: make another one to serve again")

    def _accept(self, sock: Any, listener: Listener) -> None:
        assert self._service is not None
        self._service.accept(sock, listener.tls)

    def _relieve(self) -> bool:
        return self._service is not None and self._service.table.evict()


def _has_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _tame_collector() -> None:
    # What is loaded now stays: no collection has to look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)
