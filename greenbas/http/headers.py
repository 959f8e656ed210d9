"""`ResponseHeaders`: a response's headers as a mapping."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenbas.http.responsehead import ResponseHead

__all__ = ["ResponseHeaders"]


class ResponseHeaders(MutableMapping[str, str]):
    """Reads and changes the headers of a response; names in any case.

    Args:
        response: the response whose headers these are; its `set_header` checks every value.
    """

    __slots__ = ("_response",)

    def __init__(self, response: ResponseHead) -> None:
        self._response = response

    def __getitem__(self, name: str) -> str:
        value = self._response.contains_header(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self._response.set_header(name, value)

    def __delitem__(self, name: str) -> None:
        if self._response.contains_header(name) is None:
            raise KeyError(name)
        self._response.set_header(name, None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._response.contains_header(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._response.header_names())

    def __len__(self) -> int:
        return len(self._response.header_names())

    def __repr__(self) -> str:
        return f"<ResponseHeaders {dict(self)!r}>"

    def add(self, name: str, value: str) -> None:
        """Add a field beside those of the same name."""
        self._response.add_header(name, value)
