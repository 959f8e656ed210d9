"""JSON as responses carry it."""

from __future__ import annotations

import json
from typing import Any

import orjson

__all__ = ["encode"]


def encode(value: Any) -> bytes:
    """The JSON text of a value, as UTF-8 bytes.

    Dates, times, UUIDs, enums and dataclasses are written as orjson does; keys may be numbers, dates or enums.

    Raises:
        TypeError: a value has no JSON form; the message says what it is.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        pass
    # orjson stops at 64 bits and at text that is not valid Unicode; JSON, with escapes, does not. The standard library
    # also words the error for everything else.
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise TypeError(f"no JSON form: {error}") from None
