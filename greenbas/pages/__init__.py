"""Python Server Pages: HTML with Python in it, compiled once."""

from greenbas.pages.compiler import PARAMETERS, CompiledPage, compile_page, parse_psp
from greenbas.pages.escape import escape
from greenbas.pages.filter import EXTENSION, Page, PageFilter, get_app, psp_filter
from greenbas.pages.scope import Scope

__all__ = [
    "EXTENSION",
    "PARAMETERS",
    "CompiledPage",
    "Page",
    "PageFilter",
    "Scope",
    "compile_page",
    "escape",
    "get_app",
    "parse_psp",
    "psp_filter",
]
