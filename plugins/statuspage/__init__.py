"""A page that shows how a server is doing: numbers, small charts, and a table of its directories.

``create.statuspage()`` makes the directory. See docs/howto/statuspage.md.
"""

import greenbas.plugin
from greenbas_plugins.statuspage.settings import StatusSettings

__all__ = ["StatusSettings", "plugin"]

plugin = greenbas.plugin.Plugin(
    name="statuspage",
    summary="a page that shows how the server is doing",
    kinds={"statuspage": "greenbas_plugins.statuspage.page:StatusPage"},
    settings=StatusSettings,
    start="greenbas_plugins.statuspage.watch:start",
    stop="greenbas_plugins.statuspage.watch:stop",
)
