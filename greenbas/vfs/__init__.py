"""The virtual file system: directories, resource readers, and the site that answers from them."""

from greenbas.vfs.directory import Directory, DirFunction
from greenbas.vfs.reader import PYTHON_FILES, DomainReader, Program, ResourceFilter, ResourceReader
from greenbas.vfs.site import Site
from greenbas.vfs.wsgi import WsgiDirectory, is_wsgi

__all__ = [
    "PYTHON_FILES",
    "DirFunction",
    "Directory",
    "DomainReader",
    "Program",
    "ResourceFilter",
    "ResourceReader",
    "Site",
    "WsgiDirectory",
    "is_wsgi",
]
