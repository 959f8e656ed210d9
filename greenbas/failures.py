"""What to say in one line about code of the user's that failed."""

from __future__ import annotations

import os
import sysconfig
import traceback

__all__ = ["describe_failure", "is_foreign"]

# Where code lives that the user has not written.
_FOREIGN = ("<frozen", *(sysconfig.get_path(key) + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib")))
_FOREIGN += (os.path.dirname(__file__) + os.sep,)


def is_foreign(filename: str) -> bool:
    """Whether a file belongs to Python, to an installed package or to greenbas."""
    return filename.startswith(_FOREIGN) or filename in ("<string>", "<unknown>")


def describe_failure(what: str, error: BaseException) -> str:
    """One line: what failed, the last line of the user's own code in the traceback, and what happened there.

    Args:
        what: a module or an application.
        error: what it raised.
    """
    if isinstance(error, SyntaxError) and not is_foreign(error.filename or "<unknown>"):
        return f"{what}: {error.filename} line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    last = ([frame for frame in frames if not is_foreign(frame.filename)] or frames)[-1]
    words = " ".join([f"{type(error).__name__}:", *str(error).split()]).removesuffix(":")
    return f"{what}: {last.filename} line {last.lineno}: {words}"
