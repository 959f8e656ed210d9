"""What to say in one line about code of the user's that failed."""

from __future__ import annotations

import traceback

from greenbas.http import is_own

__all__ = ["describe_failure"]


def describe_failure(what: str, error: BaseException) -> str:
    """One line: what failed, the last line of the user's own code in the traceback, and what happened there.

    Args:
        what: a module or an application.
        error: what it raised.
    """
    if isinstance(error, SyntaxError) and is_own(error.filename or "<unknown>"):
        return f"{what}: {error.filename} line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    last = ([frame for frame in frames if is_own(frame.filename)] or frames)[-1]
    words = " ".join([f"{type(error).__name__}:", *str(error).split()]).removesuffix(":")
    return f"{what}: {last.filename} line {last.lineno}: {words}"
