"""Sources, sinks, filters and pumps."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbas.luasocket import ltn12
from greenbas.luasocket.ltn12 import Chunk, filter, pump, sink, source

Step = tuple[Any, Any]


def read(one: Callable[[], Any]) -> tuple[list[bytes], str | None]:
    """All that a source gives, and its error."""
    take, chunks = sink.table()
    _, error = pump.all(one, take)
    return chunks, error


def doubled(chunk: Chunk) -> Chunk:
    return None if chunk is None else chunk * 2


def held_back() -> Callable[[Chunk], Chunk]:
    """A filter that gives two bytes at a time, keeps the odd one, and ends with "!" and "?"."""
    kept, tail = bytearray(), [b"?", b"!"]

    def run(chunk: Chunk) -> Chunk:
        if chunk is None:
            if kept:
                rest = bytes(kept)
                kept.clear()
                return rest
            return tail.pop() if tail else None
        kept.extend(chunk)
        if len(kept) < 2:
            return b""
        piece = bytes(kept[:2])
        del kept[:2]
        return piece

    return run


# -- sources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "chunks", "error"),
    [
        (source.empty, [], None),
        (lambda: source.error("broken"), [], "broken"),
        (lambda: source.string(b""), [], None),
        (lambda: source.string(None), [], None),
        (lambda: source.string("ä"), ["ä".encode()], None),
        (lambda: source.string(b"x" * 5000), [b"x" * 2048, b"x" * 2048, b"x" * 904], None),
        (lambda: source.table([b"a", "b", b"c"]), [b"a", b"b", b"c"], None),
        (lambda: source.cat(source.string(b"a"), source.empty(), source.string(b"b")), [b"a", b"b"], None),
        (lambda: source.cat(source.string(b"a"), source.error("broken"), source.string(b"b")), [b"a"], "broken"),
        (lambda: source.file(None, "no such file"), [], "no such file"),
        (lambda: source.file(None), [], "unable to open file"),
        (lambda: source.file(io.BytesIO(b"y" * 2050)), [b"y" * 2048, b"yy"], None),
        (lambda: source.chain(source.table([b"a", b"b"]), doubled), [b"aa", b"bb"], None),
        (lambda: source.chain(source.string(b"abc"), held_back()), [b"ab", b"c", b"!", b"?"], None),
        (lambda: source.chain(source.string(b"abc"), held_back(), doubled), [b"abab", b"cc", b"!!", b"??"], None),
        (lambda: source.chain(source.error("broken"), doubled), [], "broken"),
        (lambda: ltn12.from_iter([b"a", "b"]), [b"a", b"b"], None),
        (lambda: ltn12.from_iter(bytes([n]) for n in b"xyz"), [b"x", b"y", b"z"], None),
    ],
)
def test_sources(make: Callable[[], Any], chunks: list[bytes], error: str | None) -> None:
    assert read(make()) == (chunks, error)


@pytest.mark.parametrize("make", [source.empty, lambda: source.string(b"x"), lambda: ltn12.from_iter([b"x"])])
def test_a_source_stays_at_its_end(make: Callable[[], Any]) -> None:
    one = make()
    read(one)
    assert [one(), one()] == [(None, None)] * 2


def test_a_file_is_closed_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    handle = path.open("rb")
    assert read(source.file(handle)) == ([b"data"], None)
    assert handle.closed


def test_a_file_that_cannot_be_read_is_a_failing_source(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    handle = Broken()
    assert read(source.file(handle)) == ([], "Input/output error")
    assert handle.closed


def test_rewind_gives_back_the_last_first() -> None:
    one: Any = source.rewind(source.table([b"a", b"b"]))
    assert one() == (b"a", None)
    one(b"x")
    one(b"y")
    assert read(one) == ([b"y", b"x", b"b"], None)


def test_a_finished_chain_is_empty() -> None:
    one = source.chain(source.string(b"a"), doubled)
    read(one)
    with pytest.raises(ValueError, match="source is empty!"):
        one()


def test_simplify_follows_successors() -> None:
    def last() -> Step:
        return None, None

    def second() -> Step:
        return b"two", last

    one = source.simplify(lambda: (b"one", second))
    assert read(one) == ([b"one", b"two"], None)


def test_a_source_may_leave_the_tuple_away() -> None:
    chunks = [b"a", b"b", None]
    assert read(lambda: chunks.pop(0)) == ([b"a", b"b"], None)


def test_to_iter_raises_the_error() -> None:
    one = ltn12.to_iter(source.cat(source.string(b"a"), source.error("broken")))
    assert next(one) == b"a"
    with pytest.raises(OSError, match=r"^broken$"):
        next(one)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1)))
def test_iterators_and_sources_are_the_same(chunks: list[bytes]) -> None:
    assert list(ltn12.to_iter(ltn12.from_iter(chunks))) == chunks


# -- sinks --------------------------------------------------------------------------------------------------------


def test_table_collects() -> None:
    mine: list[bytes] = [b"first"]
    take, chunks = sink.table(mine)
    assert [take(b"a"), take(b"b"), take(None)] == [(1, None)] * 3
    assert chunks is mine
    assert mine == [b"first", b"a", b"b"]


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (sink.null, (1, None)),
        (lambda: sink.error("full"), (None, "full")),
        (lambda: sink.file(None, "no such file"), (None, "no such file")),
        (lambda: sink.file(None), (None, "unable to open file")),
        (lambda: sink.chain(doubled, sink.error("full")), (None, "full")),
    ],
)
def test_sinks(make: Callable[[], Any], answer: Step) -> None:
    assert make()(b"x") == answer


def test_a_file_is_written_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    handle = path.open("wb")
    assert pump.all(source.string(b"x" * 5000), sink.file(handle)) == (1, None)
    assert handle.closed
    assert path.read_bytes() == b"x" * 5000


def test_a_file_that_takes_little_gets_all() -> None:
    class Slow(io.RawIOBase):
        got = b""

        def write(self, data: Any) -> int:
            self.got += bytes(data[:3])
            return len(data[:3])

    handle = Slow()
    sink.file(handle)(b"0123456789")
    assert handle.got == b"0123456789"


def test_a_full_disk_is_an_error() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    assert pump.all(source.string(b"x"), sink.file(Full())) == (None, "No space left on device")


def test_chain_gives_the_sink_what_filters_make() -> None:
    take, chunks = sink.table()
    assert pump.all(source.table([b"abc", b"de"]), sink.chain(held_back(), doubled, take)) == (1, None)
    assert b"".join(chunks) == b"ababcdcdee!!??"


def test_simplify_follows_the_sinks_successor() -> None:
    first, one = sink.table()
    second, two = sink.table()
    take = sink.simplify(lambda chunk, error=None: (first(chunk)[0], second))
    assert pump.all(source.table([b"a", b"b", b"c"]), take) == (1, None)
    assert (one, two) == ([b"a"], [b"b", b"c"])


# -- pumps --------------------------------------------------------------------------------------------------------


def test_step_moves_one_chunk() -> None:
    take, chunks = sink.table()
    one = source.string(b"a")
    assert [pump.step(one, take), pump.step(one, take)] == [(1, None), (None, None)]
    assert chunks == [b"a"]


def test_the_sources_error_comes_first() -> None:
    assert pump.all(source.error("source"), sink.error("sink")) == (None, "source")
    assert pump.all(source.string(b"x"), sink.error("sink")) == (None, "sink")


def test_the_sink_hears_of_the_sources_error() -> None:
    heard: list[Step] = []
    pump.all(source.error("broken"), lambda chunk, error=None: heard.append((chunk, error)))
    assert heard == [(None, "broken")]


def test_a_step_of_ones_own() -> None:
    take, chunks = sink.table()
    count = 0

    def counted(one: Any, other: Any) -> Any:
        nonlocal count
        count += 1
        return pump.step(one, other)

    assert pump.all(source.table([b"a", b"b"]), take, counted) == (1, None)
    assert (count, chunks) == (3, [b"a", b"b"])


@pytest.mark.parametrize("truth", [0, b"", "", 1, True])
def test_what_lua_holds_for_true_goes_on(truth: Any) -> None:
    # A socket's send of an empty chunk returns 0.
    assert pump.all(source.table([b"a", b"b"]), lambda chunk, error=None: truth) == (1, None)


# -- filters ------------------------------------------------------------------------------------------------------


def test_cycle_keeps_the_context() -> None:
    calls: list[Any] = []

    def low(context: Any, chunk: Chunk, extra: Any) -> Any:
        calls.append((context, chunk, extra))
        return chunk, (context or 0) + 1

    run = filter.cycle(low, None, "extra")
    assert [run(b"a"), run(None)] == [b"a", None]
    assert calls == [(None, b"a", "extra"), (1, None, "extra")]


def feed(run: Callable[[Chunk], Chunk], chunks: list[bytes]) -> Iterator[bytes]:
    """What comes out of a filter that is used as the contract says."""
    for chunk in chunks:
        piece = run(chunk)
        while piece:
            yield piece
            piece = run(b"")
        assert piece == b"", "None in the middle"
    while (piece := run(None)) is not None:
        yield piece


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=9)), st.integers(1, 3))
def test_a_chain_is_its_filters_one_after_the_other(chunks: list[bytes], count: int) -> None:
    expected = chunks
    for _ in range(count):
        expected = list(feed(held_back(), expected))
    made = filter.chain(*[held_back() for _ in range(count)])
    assert b"".join(feed(made, chunks)) == b"".join(expected)


def test_a_chain_stays_flat() -> None:
    run = filter.chain(doubled, doubled)
    for _ in range(5000):
        assert run(b"a") == b"aaaa"
    assert [run(b""), run(None), run(None)] == [b"", None, None]


@pytest.mark.parametrize(
    "use",
    [
        lambda bad: source.chain(source.string(b"x"), bad)(),
        lambda bad: sink.chain(bad, sink.null())(b"x"),
        lambda bad: filter.chain(bad, doubled)(b"x"),
    ],
)
def test_none_in_the_middle_is_a_fault_of_the_filter(use: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="filter returned inappropriate nil"):
        use(lambda chunk: None)


def test_a_filter_that_never_ends_is_a_fault() -> None:
    with pytest.raises(ValueError, match='filter returned ""'):
        read(source.chain(source.string(b"x"), lambda chunk: chunk or b""))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pump.all(None, sink.null()), r"bad argument #1 to 'all' \(function expected, got nil\)"),  # type: ignore[arg-type]
        (lambda: pump.all(source.empty(), 3), r"bad argument #2 to 'all' \(function expected, got number\)"),  # type: ignore[arg-type]
        (lambda: source.chain(source.empty()), "bad argument #2 to 'chain'"),
        (lambda: source.chain(source.empty(), b"x"), "bad argument #2 to 'chain'"),  # type: ignore[arg-type]
        (lambda: sink.chain(sink.null()), "bad argument #2 to 'chain'"),
        (lambda: filter.chain(), "bad argument #1 to 'chain'"),
        (lambda: filter.cycle(None), "bad argument #1 to 'cycle'"),  # type: ignore[arg-type]
        (lambda: source.table(b"x"), "bad argument #1 to 'table'"),  # type: ignore[arg-type]
        (lambda: read(lambda: object()), "bytes expected, got object"),
    ],
)
def test_wrong_use_raises(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
