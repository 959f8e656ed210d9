"""Sockets: `Stream`, the one transport for everything that moves bytes, and `Listener`."""

from greenbas.net.filesend import read_piece, send_file
from greenbas.net.listener import Listener
from greenbas.net.stream import Buffer, Stream

__all__ = ["Buffer", "Listener", "Stream", "read_piece", "send_file"]
