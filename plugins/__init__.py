"""The plugins that come with greenbas: one folder each, named by an entry point in the group ``greenbas.plugins``.

A plugin imports public names of `greenbas` only, and never another plugin.
"""

from __future__ import annotations

__all__: list[str] = []
