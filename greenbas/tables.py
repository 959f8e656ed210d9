"""Dataclasses made from tables of greenbas.toml: names and types are those of the class."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union

from greenbas.errors import SettingError
from greenbas.http import check_names

__all__ = ["convert", "convert_table", "make_table", "nearest"]

T = TypeVar("T")


def make_table(kind: type[T], given: Mapping[str, Any]) -> T:
    """Make a dataclass from a table.

    Args:
        kind: the dataclass; it may check more when it is made, with a ValueError.
        given: names and values as TOML has them.

    Raises:
        SettingError: a name that is unknown or missing, a value of the wrong type, or what the dataclass says.
    """
    values = convert_table(kind, given)
    missing = dataclasses.MISSING
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = field.init and field.default is missing and field.default_factory is missing
        if required and field.name not in given:
            raise SettingError(f"{field.name!r} is missing")
    try:
        return kind(**values)
    except SettingError:
        raise
    except (ValueError, TypeError) as error:
        raise SettingError(str(error)) from error


def convert_table(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a table as the fields of a dataclass want them.

    Raises:
        SettingError: an unknown name, or a value of the wrong type.
    """
    check_names(given, kind)
    settable = {field.name for field in dataclasses.fields(kind) if field.init}
    for name in given:
        if name not in settable:
            raise SettingError(f"{name} cannot be set")
    hints = typing.get_type_hints(kind)
    return {name: convert(name, value, hints[name]) for name, value in given.items()}


def convert(name: str, value: Any, hint: Any) -> Any:
    """A value as an annotation wants it: arrays become tuples where one is asked for, whole numbers floats.

    An annotation that no value of TOML can be judged by is met by any value.

    Args:
        name: for the message.
        value: as TOML has it.
        hint: the annotation, resolved.

    Raises:
        SettingError: the value is not of that type.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SettingError(f"{name}: the number has {value.bit_length():,} bits: TOML has whole numbers of 64")
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_to_one(name, value, typing.get_args(hint))
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise SettingError(f"{name}: {_shown(value)} is none of {', '.join(map(str, typing.get_args(hint)))}")
        return value
    kind = origin or hint
    if kind in (tuple, list) or (isinstance(kind, type) and issubclass(kind, (frozenset, set))):
        return _convert_array(name, value, kind, typing.get_args(hint))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    words = _WORDS.get(kind)
    if words is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise SettingError(f"{name}: {_shown(value)} is {words}")
    return value


_WORDS: dict[Any, str] = {
    bool: "neither True nor False",
    int: "not a whole number",
    float: "not a number",
    str: "not a text",
    dict: "not a table",
}


def _convert_to_one(name: str, value: Any, hints: tuple[Any, ...]) -> Any:
    """As the first alternative that fits."""
    real = [hint for hint in hints if hint is not type(None)]
    problems = []
    for hint in sorted(real, key=lambda hint: not _is_of(value, hint)):  # an int stays one in float | int
        try:
            return convert(name, value, hint)
        except SettingError as error:
            problems.append(error)
    raise problems[0]


def _is_of(value: Any, hint: Any) -> bool:
    kind = typing.get_origin(hint) or hint
    return kind is type(value) or (isinstance(value, list) and kind in (tuple, frozenset, set))


def _convert_array(name: str, value: Any, kind: Any, hints: tuple[Any, ...]) -> Any:
    if not isinstance(value, list | tuple):
        raise SettingError(f"{name}: {_shown(value)} is not an array")
    if kind is tuple and hints and hints[-1] is not Ellipsis:
        if len(value) != len(hints):
            raise SettingError(f"{name}: {_shown(value)} must have {len(hints)} elements")
        return tuple(convert(name, one, hint) for one, hint in zip(value, hints, strict=True))
    hint = hints[0] if hints else Any
    return kind(convert(name, one, hint) for one in value)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # a number of very many digits in it, or too deep
        return f"this {type(value).__name__}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is unknown: the one that may have been meant, else all there are."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
