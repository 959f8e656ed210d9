"""Logging of launchers: style, level, and that a program's own logging is left alone."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from support import wait_until

from greenbas import logs
from greenbas.dispatcher import threads
from greenbas.logs import BatchHandler, configure_logging


@pytest.fixture(autouse=True)
def mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The logger of greenbas, without handlers; what it had is put back afterwards."""
    logger = logging.getLogger("greenbas")
    monkeypatch.setattr(logger, "handlers", [])
    level = logger.level
    yield logger
    logger.setLevel(level)


def configure(*styles: str, root: list[logging.Handler] | None = None) -> None:
    """Call `configure_logging` while the root logger has these handlers only: pytest adds some for each test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", root or [])
        for style in styles:
            configure_logging(style)


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    logging.getLogger("greenbas.site").info("note")
    logging.getLogger("greenbas.site").warning("hear, %s", "hear")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("Z ")[2] for line in lines] == [
        "INFO greenbas.site: note",
        "WARNING greenbas.site: hear, hear",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logging.getLogger("greenbas.site").exception('a "quoted" ü')
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"], record["message"]) == ("ERROR", "greenbas.site", 'a "quoted" ü')
    assert record["exception"].endswith("ValueError: line one\nline two")


@pytest.mark.parametrize(
    ("style", "level", "shown"),
    [
        ("text", logging.DEBUG, False),
        ("text", logging.INFO, True),
        ("json", logging.INFO, True),
        ("none", logging.INFO, False),
        ("none", logging.WARNING, True),
        ("none", logging.ERROR, True),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], style: str, level: int, shown: bool) -> None:
    configure(style)
    logging.getLogger("greenbas.http").log(level, "words")
    gevent.sleep(0)
    assert ("words" in capsys.readouterr().err) == shown


def test_twice_is_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text", "json")
    logging.getLogger("greenbas").warning("words")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Z WARNING greenbas: words")


@pytest.mark.parametrize("where", ["root", "greenbas"])
def test_a_program_that_has_handlers_keeps_them(mine: logging.Logger, where: str) -> None:
    own: list[logging.Handler] = [logging.StreamHandler(io.StringIO())]
    level = mine.level
    if where == "greenbas":
        mine.addHandler(own[0])
    configure("text", root=own if where == "root" else None)
    assert (mine.handlers, mine.level) == ([] if where == "root" else own, level)


# -- batches ------------------------------------------------------------------------------------------------------


class Stream(io.StringIO):
    """Counts the writes."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def batch() -> Iterator[tuple[logging.Logger, Stream, BatchHandler]]:
    """A logger whose only handler writes in batches."""
    stream = Stream()
    handler = BatchHandler(stream)
    logger = logging.getLogger("greenbas.tests.batch")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield logger, stream, handler
    logger.removeHandler(handler)


Batch = tuple[logging.Logger, Stream, BatchHandler]


def test_lines_of_one_turn_of_the_hub_share_a_write(batch: Batch) -> None:
    logger, stream, _ = batch
    for number in range(10):
        logger.info("line %d", number)
    assert stream.getvalue() == ""
    gevent.sleep(0)
    assert stream.getvalue() == "".join(f"line {number}\n" for number in range(10))
    assert stream.writes == 1
    logger.info("later")
    gevent.sleep(0)
    assert stream.getvalue().endswith("later\n")


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_what_matters_is_written_at_once_and_in_order(batch: Batch, level: int) -> None:
    logger, stream, _ = batch
    logger.info("before")
    logger.log(level, "matters")
    assert stream.getvalue() == "before\nmatters\n"
    logger.info("behind")
    gevent.sleep(0)
    assert stream.getvalue() == "before\nmatters\nbehind\n"


def test_many_lines_do_not_wait(batch: Batch) -> None:
    logger, stream, _ = batch
    for number in range(logs.BATCH_LINES):
        assert stream.getvalue() == ""
        logger.info("line %d", number)
    assert stream.getvalue().count("\n") == logs.BATCH_LINES


def test_flush_writes_what_waits(batch: Batch) -> None:
    logger, stream, handler = batch
    logger.info("words")
    handler.flush()
    assert stream.getvalue() == "words\n"
    gevent.sleep(0)
    assert stream.getvalue() == "words\n"


def test_lines_of_other_threads(batch: Batch) -> None:
    logger, stream, _ = batch

    def log(number: int) -> int:
        for line in range(200):
            logger.info("%d %d", number, line)
        return threading.get_ident()

    jobs = [gevent.spawn(threads.offload, log, number) for number in range(4)]
    log(4)
    gevent.joinall(jobs)
    wait_until(lambda: stream.getvalue().count("\n") == 1000, timeout=2)
    written = [tuple(map(int, line.split())) for line in stream.getvalue().splitlines()]
    for number in range(5):
        assert [line for who, line in written if who == number] == list(range(200))


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_stream_that_is_broken_breaks_nothing_else(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, _, handler = batch
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(handler, "stream", Broken())
    errors: list[Any] = []
    hub = gevent.get_hub()
    monkeypatch.setattr(hub, "handle_error", lambda *arguments: errors.append(arguments))
    logger.warning("at once")
    logger.info("later")
    gevent.sleep(0)
    assert errors == []
