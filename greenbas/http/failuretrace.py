"""What is known about an exception, as bounded plain text: frames with their source and local values, and its causes.

Rules of this file. Everything that may run code of the application (``repr``, ``str``, loaders, odd mappings) is
guarded, whatever it raises: a failure is being told, and a second one would hide it. Everything has a limit.
"""

from __future__ import annotations

import linecache
import os
import stat
import sysconfig
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import FrameType, FunctionType, ModuleType, TracebackType

from gevent import Timeout

from greenbas.http.failurevalues import Values, cut, masked, plain, type_name

__all__ = ["Failure", "Frame", "Source", "describe"]

MAX_EXCEPTIONS = 20  # causes, contexts and members of groups together
MAX_FRAMES, MAX_FRAMES_EACH = 50, 30  # in all, and of one exception; of a recursion both ends are told
LINES_BEFORE, LINES_AFTER = 5, 4
MAX_LINE = 300  # characters of a source line, and of the name of a file
MAX_NAME = 100  # characters of the name of a function or variable
MAX_MESSAGE = 4000  # characters of a message or note
MAX_NAMES = 30  # local names of a frame
MAX_SECONDS = 0.5  # for the representations of all values together
MAX_FILE = 2 * 1024 * 1024  # bytes of a source file; nobody writes larger ones by hand

# Where code lives that the user has not written.
_FOREIGN = ("<frozen", *(sysconfig.get_path(key) + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib")))
_FOREIGN += (os.path.dirname(os.path.dirname(__file__)) + os.sep,)
_NO_FILES = frozenset({"<string>", "<unknown>", "<stdin>"})  # other names in angle brackets are files of an I/O
_COMPILED = (".pxd", ".pyx")  # gevent's own, which name their sources without a folder
_PAGE = ".psp"  # a server page is the user's, wherever it lies
_DEFINITIONS = (ModuleType, FunctionType, type)  # what a module is full of, and nobody looks for


@dataclass(frozen=True, slots=True)
class Source:
    """Some lines of a file.

    Attributes:
        first: the number of the first of them.
        marked: the number of the line that matters.
        offset: the column in it that matters, counted from 1; 0 when only the line is known.
    """

    first: int
    marked: int
    lines: tuple[str, ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of a traceback, or the place of a syntax error.

    Attributes:
        own: whether it is the user's own code, and not of a library.
        source: of own code, if it can be found.
        values: local names and short representations, of own code.
        more: how many names are left out.
    """

    file: str
    line: int
    function: str
    own: bool
    source: Source | None = None
    values: tuple[tuple[str, str], ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """One exception.

    Attributes:
        kind: its class.
        message: what it says.
        notes: what was added with ``add_note``.
        relation: how it belongs to one before it, as a sentence; "" for the first.
        frames: of its traceback, the innermost last; a number stands for so many that are left out.
    """

    kind: str
    message: str
    notes: tuple[str, ...]
    relation: str
    frames: tuple[Frame | int, ...]


def describe(error: BaseException, *, with_values: bool = True) -> list[Failure]:
    """An exception, then the members of its group, then what it came from.

    Args:
        error: with its traceback.
        with_values: tell local values, which runs code of the application.

    Returns:
        At least one; the first is `error` itself.
    """
    # A representation that waits for something is ended by the Timeout; one that computes can only be the last one.
    timeout = Timeout.start_new(MAX_SECONDS + 0.05)  # after the deadline by any clock
    try:
        return _describe(error, Values(time.monotonic() + MAX_SECONDS) if with_values else None)
    finally:
        timeout.close()


def _describe(error: BaseException, values: Values | None) -> list[Failure]:
    told: list[Failure] = []
    seen: set[int] = set()
    left = MAX_FRAMES
    waiting: deque[tuple[BaseException, str]] = deque([(error, "")])
    while waiting and len(told) < MAX_EXCEPTIONS:
        current, relation = waiting.popleft()
        if id(current) in seen:
            continue
        seen.add(id(current))
        frames = tuple(_frames(current, min(MAX_FRAMES_EACH, left), values))
        left -= sum(isinstance(frame, Frame) for frame in frames)
        kind = type_name(current)
        notes = getattr(current, "__notes__", None)
        notes = tuple(_message(note) for note in notes[:MAX_NAMES]) if isinstance(notes, list) else ()
        told.append(Failure(kind, _message(current), notes, relation, frames))
        waiting.extendleft(reversed(list(_related(current, kind))))
    return told


def _message(value: object) -> str:
    return cut(masked(plain(value, MAX_MESSAGE)), MAX_MESSAGE)


def _related(error: BaseException, kind: str) -> Iterator[tuple[BaseException, str]]:
    if isinstance(error, BaseExceptionGroup):
        count = len(error.exceptions)
        for number, member in enumerate(error.exceptions[:MAX_EXCEPTIONS], 1):
            yield member, f"Exception {number} of {count} in the {kind}"
    if error.__cause__ is not None:
        yield error.__cause__, f"The direct cause of the {kind}"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__, f"While this was handled, the {kind} came"


def _frames(error: BaseException, most: int, values: Values | None) -> Iterator[Frame | int]:
    places = list(_places(error.__traceback__))
    if len(places) > most:
        # Who called is told by the first ones, what happened by the last ones.
        head = most // 3
        tail = places[len(places) - (most - head) :]
        yield from (_frame(frame, line, values) for frame, line in places[:head])
        yield len(places) - most
        places = tail
    yield from (_frame(frame, line, values) for frame, line in places)
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and isinstance(error.lineno, int):
        yield _syntax(error, error.filename, error.lineno)


def _places(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno or 0
        trace = trace.tb_next


def _frame(frame: FrameType, line: int, values: Values | None) -> Frame:
    file, function = frame.f_code.co_filename, cut(frame.f_code.co_qualname, MAX_NAME)
    shown_file = cut(file, MAX_LINE)
    if not is_own(file):
        return Frame(shown_file, line, function, False)
    source = _source(file, line, frame.f_globals)
    try:
        shown, more = _locals(frame, values) if values is not None else ((), 0)
    except BaseException:  # exec() takes any mapping for locals
        shown, more = (), 0
    return Frame(shown_file, line, function, True, source, shown, more)


def is_own(file: str) -> bool:
    """Whether a file is the user's: a page, or not of Python, an installed package or greenbas."""
    return file.endswith(_PAGE) or not (file.startswith(_FOREIGN) or file.endswith(_COMPILED) or file in _NO_FILES)


def _syntax(error: SyntaxError, file: str, line: int) -> Frame:
    # The place in the text that cannot be compiled; no frame has ever run there.
    offset = error.offset if isinstance(error.offset, int) else 0
    source = _source(file, line, None, offset)
    if source is None and isinstance(error.text, str) and error.text:
        source = Source(line, line, (_shown(error.text),), offset)
    return Frame(cut(file, MAX_LINE), line, "", True, source)


def _source(file: str, line: int, module: dict[str, object] | None, offset: int = 0) -> Source | None:
    try:
        lines = _lines(file, module)
    except BaseException:  # a loader may do anything
        return None
    if not 0 < line <= len(lines):
        return None
    first = max(1, line - LINES_BEFORE)
    around = tuple(_shown(text) for text in lines[first - 1 : line + LINES_AFTER])
    return Source(first, line, around, max(0, offset))


def _lines(file: str, module: dict[str, object] | None) -> list[str]:
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        pass  # then it comes from a loader or from linecache, or there is none
    else:
        # A name may be anything: a device would be read for ever.
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE:
            return []
    linecache.checkcache(file)
    return linecache.getlines(file, module)


def _shown(line: str) -> str:
    return line.rstrip("\r\n").expandtabs(4)[:MAX_LINE].rstrip()


def _locals(frame: FrameType, values: Values) -> tuple[tuple[tuple[str, str], ...], int]:
    names = frame.f_locals
    found = [name for name in islice(names, 10_000) if isinstance(name, str) and name.isidentifier()]
    # What a page calls is added by its compiler, with one underscore.
    hidden = "_" if frame.f_code.co_filename.endswith(_PAGE) else "__"
    found = [name for name in found if not name.startswith(hidden)]
    if frame.f_code.co_name == "<module>":
        found = [name for name in found if not issubclass(type(names[name]), _DEFINITIONS)]
    shown = tuple((cut(name, MAX_NAME), values.short(name, names[name])) for name in found[:MAX_NAMES] if name in names)
    return shown, max(0, len(found) - MAX_NAMES)
