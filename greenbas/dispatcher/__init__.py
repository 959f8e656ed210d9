"""The socket event dispatcher: worker greenlets, timers, native threads, monkey patching, and the hub's watchdog."""

from greenbas.dispatcher import threads
from greenbas.dispatcher.descriptors import close_fd
from greenbas.dispatcher.fairpool import FairPool
from greenbas.dispatcher.greenlets import greenlet_name, spawn, yield_hub
from greenbas.dispatcher.owner import Owner, current_owner
from greenbas.dispatcher.patching import is_patched, patch
from greenbas.dispatcher.proxy import ThreadProxy, proxy
from greenbas.dispatcher.timer import Timer
from greenbas.dispatcher.watchdog import HubWatchdog
from greenbas.dispatcher.workers import Workers

__all__ = [
    "FairPool",
    "HubWatchdog",
    "Owner",
    "ThreadProxy",
    "Timer",
    "Workers",
    "close_fd",
    "current_owner",
    "greenlet_name",
    "is_patched",
    "patch",
    "proxy",
    "spawn",
    "threads",
    "yield_hub",
]
