"""The files of this application, for the page that shows them."""

from __future__ import annotations

from greenbas.io import Io

KINDS = (".py", ".psp", ".css", ".js", ".md")


def find(io: Io, folder: str = "") -> list[str]:
    """The paths of all sources in a folder and below it, those of hidden ones included."""
    found = []
    for entry in io.stats(folder):
        if entry.is_dir:
            found += find(io, f"{folder}{entry.name}/")
        elif entry.name.endswith(KINDS):
            found.append(folder + entry.name)
    return found
