"""Server pages run without a server: compiled, called, and what they emitted returned."""

from __future__ import annotations

from typing import Any

from greenbas.errors import PageSyntaxError
from greenbas.pages.compiler import CompiledPage, compile_page
from greenbas.pages.escape import escape

FILENAME = "/no/such/folder/some.psp"


class Output:
    """Takes what a page emits; `calls` has the parts of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str | bytes, ...]] = []

    def emit(self, *parts: str | bytes) -> None:
        assert all(type(part) in (str, bytes) for part in parts), parts
        self.calls.append(parts)

    def print(self, *values: object) -> None:
        self.emit(" ".join(map(str, values)) + "\n")

    @property
    def text(self) -> str:
        return b"".join(
            part if isinstance(part, bytes) else part.encode() for parts in self.calls for part in parts
        ).decode()


def call(page: CompiledPage, output: Output, **values: Any) -> Any:
    """Call a page with values by their names."""
    known = {
        "print": output.print,
        "write": output.emit,
        "_emit": output.emit,
        "_escape": escape,
        "request": "the request",
        "app": {"title": "<App>"},
        **values,
    }
    return page.function(*[known[name] for name in page.parameters])


def run(text: str, filename: str = FILENAME, **values: Any) -> str:
    """What a page emits."""
    output = Output()
    call(compile_page(text, filename), output, **values)
    return output.text


def refused(text: str) -> PageSyntaxError:
    """The error that a page is refused with."""
    try:
        compile_page(text, FILENAME)
    except PageSyntaxError as error:
        assert error.filename == FILENAME
        return error
    raise AssertionError(f"this page was compiled: {text!r}")
