"""Options that are words of a table; a wrong one is an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from greenbas.errors import SettingError

__all__ = ["choose", "choose_all", "listed"]

T = TypeVar("T")


def choose(option: str, word: str, table: Mapping[str, T]) -> T:
    """Look up a word.

    Args:
        option: what it is an option of, for the message.
        word: what was given.
        table: what there is.

    Raises:
        SettingError: the table has no such word.
    """
    if isinstance(word, str) and word in table:
        return table[word]
    near = difflib.get_close_matches(str(word).upper(), [name.upper() for name in table], 1, 0.5)
    proper = next((name for name in table if near == [name.upper()]), None)
    hint = f"did you mean {proper!r}?" if proper else f"use {listed(table)}"
    raise SettingError(f"{option}: there is no {word!r}; {hint}")


def choose_all(option: str, words: Iterable[str], table: Mapping[str, T]) -> dict[str, T]:
    """Look up several words; one alone need not be in a list.

    Args:
        option: what they are options of, for the message.
        words: what was given.
        table: what there is.

    Raises:
        SettingError: the table has no such word.
    """
    given = [words] if isinstance(words, str) else list(words)
    return {word: choose(option, word, table) for word in given}


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
