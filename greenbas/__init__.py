"""greenbas: plain blocking Python handlers, thousands of connections, one small process."""

from greenbas import create, errors
from greenbas.dispatcher import Timer, patch, spawn, threads
from greenbas.dispatcher.threads import offload
from greenbas.http import Request, Response
from greenbas.server import Server

__all__ = ["Request", "Response", "Server", "Timer", "create", "errors", "offload", "patch", "spawn", "threads"]
