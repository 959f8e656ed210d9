"""A reverse proxy as a directory: what is asked below it is answered by other servers.

``create.redirector()`` makes the directory, as does ``[[proxy]]`` in greenbas.toml; ``greenbas proxy`` is a server with
nothing else. See docs/howto/proxy.md.
"""

import greenbas.plugin
from greenbas_plugins.proxy.settings import ProxySettings

__all__ = ["ProxySettings", "plugin"]

plugin = greenbas.plugin.Plugin(
    name="proxy",
    summary="a reverse proxy in front of other servers",
    kinds={"redirector": "greenbas_plugins.proxy.redirector:redirector"},
    commands={"proxy": "greenbas_plugins.proxy.command:main"},
    tables={"proxy": "redirector"},
    settings=ProxySettings,
    start="greenbas_plugins.proxy.watch:start",
    stop="greenbas_plugins.proxy.watch:stop",
)
