"""LuaSocket's modules in Python: `socket`, `ltn12`, `mime`, `url`, `headers`, `tp`, `smtp`, `http`, `ftp`.

Calls block the greenlet that makes them and no other, in a handler, a cosocket, a thread or a script.

What calls give back. Where LuaSocket returns ``value | nil, err``, a call here returns a tuple of fixed length, filled
up with None: ``client, err = socket.connect(host, port)``, ``data, err, partial = client.receive("*l")``. The length is
that of the longest form, for failures too, so that one line of unpacking serves both; `http.request` always gives four.
Only `socket.select` has a third value just when the time ran out. A call that has nothing but one value in LuaSocket
(``close()``, ``url.build(t)``) returns that value alone. Errors are LuaSocket's words, as str. What a caller does wrong
(a bad type, pattern or mode) raises TypeError or ValueError.

Text and bytes. Data are bytes on the way in and out; where data are sent, str is taken too, as UTF-8. What names
something is str: parts of URLs, header names and values, addresses, replies of servers, error words. There bytes are
taken too. Header values are latin-1, as in the rest of greenbas. Parts of URLs and replies are UTF-8 in which wrong
octets are kept as lone surrogates (PEP 383), so that nothing is lost.

Sources and sinks are functions: a source returns ``(chunk, None)``, ``(None, None)`` at the end and ``(None, err)``
after a failure; a sink takes ``(chunk, err=None)``, None at the end, and returns ``(1, None)`` or ``(None, err)``. See
`ltn12`.
"""

from __future__ import annotations

import importlib
import types

__all__ = ["ftp", "headers", "http", "ltn12", "mime", "smtp", "socket", "tp", "unix", "url"]


def __getattr__(name: str) -> types.ModuleType:
    # At first use: a page that takes URLs apart does not load TLS.
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
