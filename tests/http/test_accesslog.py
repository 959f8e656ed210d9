"""The access log: one record a request, right in every field, that no client can forge (wish 49)."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import wait_until
from web import Client, ask, get, head, serving

from greenbas import Server
from greenbas.http import AccessLog, JsonFormatter, Request, Response, TextFormatter

LARGE = 100_000


class Lines(logging.Handler):
    """Keeps the records; `text` and `json` are what the formatters make of them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def text(self) -> list[str]:
        return [TextFormatter().format(record) for record in self.records]

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(JsonFormatter().format(record)) for record in self.records]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged about requests."""
    handler = Lines()
    logger = logging.getLogger("greenbas.access")
    logger.addHandler(handler)
    before, logger.propagate = (logger.level, logger.propagate), False
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.level, logger.propagate = before


def app(request: Request, response: Response) -> Any:
    match request.relpath:
        case "flushed":
            response.write("one")
            response.flush()
            response.write("two")
            return None
        case "sent":
            response.set_content_length(5)
            return response.send("hello")
        case "large":
            return "x" * LARGE
        case "fail":
            raise RuntimeError
        case "missing":
            return False
        case "moved":
            response.send_redirect("/")
        case "empty":
            response.status = 204
            return "never sent"
        case "unchanged":
            request.check_time(0)
        case "slow":
            time.sleep(0.05)
        case "body":
            request.body()
    return "hello"


@pytest.fixture
def server(lines: Lines) -> Iterator[Server]:
    with serving(app, max_body=1000) as server:
        server.log_requests(AccessLog())
        yield server


# -- the fields ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "sent"),
    [
        pytest.param(head("GET /?a=b HTTP/1.1"), 200, 5, id="a result"),
        pytest.param(head("HEAD / HTTP/1.1"), 200, 0, id="HEAD"),
        pytest.param(head("HEAD /large HTTP/1.1"), 200, 0, id="HEAD of more than the buffer"),
        pytest.param(head("GET / HTTP/1.0"), 200, 5, id="HTTP/1.0"),
        pytest.param(head("GET /large HTTP/1.1"), 200, LARGE, id="more than the buffer"),
        pytest.param(head("GET /flushed HTTP/1.1"), 200, 6, id="chunked, framing not counted"),
        pytest.param(head("HEAD /flushed HTTP/1.1"), 200, 0, id="HEAD of chunked"),
        pytest.param(head("GET /sent HTTP/1.1"), 200, 5, id="sent raw"),
        pytest.param(head("GET /empty HTTP/1.1"), 204, 0, id="204"),
        pytest.param(head("GET /moved HTTP/1.1"), 302, 0, id="redirect"),
        pytest.param(
            head("GET /unchanged HTTP/1.1", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"), 304, 0, id="304"
        ),
        pytest.param(head("GET /missing HTTP/1.1"), 404, None, id="404"),
        pytest.param(head("GET /fail HTTP/1.1"), 500, None, id="500"),
        pytest.param(head("POST / HTTP/1.1", "Content-Length: 1001") + "x" * 1001, 413, None, id="413"),
        pytest.param(head("POST /body HTTP/1.1", "Transfer-Encoding: chunked") + "z\n", 400, None, id="bad body"),
        pytest.param(head("OPTIONS * HTTP/1.1"), 200, 0, id="OPTIONS *"),
    ],
)
def test_one_record_for_a_request(server: Server, lines: Lines, text: str, status: int, sent: int | None) -> None:
    answer = ask(server, text)
    wait_until(lambda: lines.records)
    method, target, _ = text.partition("\n")[0].split(" ")
    (record,) = lines.json
    assert answer.status == status
    assert list(record) == ["time", "client", "user", "method", "target", "status", "bytes", "seconds", "id"]
    assert (record["client"], record["user"]) == ("127.0.0.1", None)
    assert (record["method"], record["target"], record["status"]) == (method, target, status)
    assert record["bytes"] == len(answer.body) == (len(answer.body) if sent is None else sent)
    assert 0 <= record["seconds"] < 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])


def test_the_line_in_text(server: Server, lines: Lines) -> None:
    ask(server, head("GET /?a=b HTTP/1.1"))
    wait_until(lambda: lines.records)
    (line,) = lines.text
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r' 127\.0\.0\.1 - "GET /\?a=b" 200 5 0\.\d{6} [0-9a-f]+-[0-9a-f]+', line)


def test_pipelined_requests_have_a_record_each(server: Server, lines: Lines) -> None:
    with Client(server) as client:
        client.send("".join(head(f"GET /?{i} HTTP/1.1") for i in range(20)))
        for _ in range(20):
            client.answer()
    wait_until(lambda: len(lines.records) == 20)
    assert [record["target"] for record in lines.json] == [f"/?{i}" for i in range(20)]
    assert len({record["id"] for record in lines.json}) == 20


def test_seconds_and_time(server: Server, lines: Lines) -> None:
    get(server, "/slow")
    wait_until(lambda: lines.records)
    assert 0.05 <= lines.records[0].seconds < 1
    assert abs(lines.records[0].created - time.time()) < 2


def test_the_id_is_that_of_the_page_and_of_the_error(
    server: Server, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    page = get(server, "/fail").body.decode()
    wait_until(lambda: lines.records)
    name = lines.records[0].id
    assert f"<code>{name}</code>" in page
    (error,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert name in error.getMessage()


def test_the_client_is_the_one_that_a_trusted_proxy_names(lines: Lines) -> None:
    with serving(app, trusted_proxies=("127.0.0.1",)) as server:
        server.log_requests(AccessLog())
        for named in ("203.0.113.9", "::1", 'x" 200 5', "203.0.113.9, evil\\n"):
            get(server, "/", f"X-Forwarded-For: {named}")
    assert [record["client"] for record in lines.json] == ["203.0.113.9", "::1", "127.0.0.1", "127.0.0.1"]


# -- what has no answer, or is no request -------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["BAD\n\n", head("GET / HTTP/1.1", "Host: y"), b"\x16\x03\x01"], ids=repr)
def test_what_is_no_request_has_no_record(
    server: Server, lines: Lines, caplog: pytest.LogCaptureFixture, data: str | bytes
) -> None:
    """A line in the log of the server says why it was refused."""
    with caplog.at_level(logging.INFO, "greenbas.http"):
        assert ask(server, data, "GET").status == 400
    assert lines.records == []
    (record,) = caplog.records
    assert record.name == "greenbas.http" and "refused 127.0.0.1" in record.getMessage()


def test_a_client_that_leaves_before_the_answer(lines: Lines) -> None:
    def handler(request: Request, response: Response) -> str:
        time.sleep(0.05)
        response.write("x" * LARGE)
        time.sleep(0.05)
        return "x" * LARGE

    with serving(handler) as server:
        server.log_requests(AccessLog())
        client = Client(server)
        client.send(head("GET / HTTP/1.1"))
        wait_until(lambda: server.service.counters.requests)
        client.reset()
        wait_until(lambda: lines.records)
    (record,) = lines.json
    assert record["method"] == "GET" and record["bytes"] <= LARGE


def test_a_killed_request_has_a_record(lines: Lines) -> None:
    """No head has left, so there is no status to tell: 499."""
    with serving(lambda request, response: time.sleep(60)) as server, Client(server) as client:
        server.log_requests(AccessLog())
        client.send(head("GET / HTTP/1.1"))
        wait_until(lambda: server.service.workers.active)
        server.stop(drain_timeout=0)
        wait_until(lambda: lines.records)
    assert (lines.records[0].status, lines.records[0].bytes) == (499, 0)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ann", "ann"), ("ann@example.com", "ann@example.com"), ("", "-"), ("a b", '"a b"'),
        ("größe", '"gr\\u00f6\\u00dfe"'), ('a" 200 5', '"a\\" 200 5"'), ("a\nb", '"a\\nb"'),
    ],
)  # fmt: skip
def test_the_user_who_is_logged_in(lines: Lines, name: str, shown: str) -> None:
    def login(request: Request, response: Response) -> None:
        if request.relpath == "in":
            request.login(name)

    with serving(login) as server:
        server.log_requests(AccessLog())
        cookie = get(server, "/in")["set-cookie"].partition(";")[0]
        get(server, "/", f"Cookie: {cookie}")  # nobody has asked who it is
        wait_until(lambda: len(lines.records) == 2)
    assert f' 127.0.0.1 {shown} "GET /in" 200 ' in lines.text[0]
    assert lines.json[0]["user"] == name
    assert ' 127.0.0.1 - "GET /" 200 ' in lines.text[1]


def test_it_is_off_until_asked_for(lines: Lines) -> None:
    """It then costs a request nothing."""
    with serving(app) as server:
        get(server, "/")
        log = AccessLog()
        server.log_requests(log)
        get(server, "/?logged")
        server.log_requests(None)
        get(server, "/")
    assert [record.target for record in lines.records] == ["/?logged"]


def test_it_may_be_asked_for_before_the_start(lines: Lines) -> None:
    server = Server()
    server.directory()(app)
    server.log_requests(AccessLog())
    server.listen(0)
    server.start()
    get(server, "/")
    server.stop(drain_timeout=0)
    assert len(lines.records) == 1


def test_a_logger_of_ones_own_and_its_level() -> None:
    logger = logging.getLogger("test.own")
    logger.propagate = False
    handler = Lines()
    logger.addHandler(handler)
    try:
        with serving(app) as server:
            server.log_requests(AccessLog(logger))
            logger.setLevel(logging.WARNING)
            get(server, "/")
            logger.setLevel(logging.INFO)
            get(server, "/?2")
        assert [record.target for record in handler.records] == ["/?2"]
    finally:
        logger.removeHandler(handler)


# -- forging ------------------------------------------------------------------------------------------------------

QUERIES = ['a"b', "a\\", '"', "a%0d%0aGET", "a%22%20200%205", "\\u000a", "{}'`"]


@pytest.mark.parametrize("query", QUERIES)
def test_what_a_client_puts_into_a_target(server: Server, lines: Lines, query: str) -> None:
    get(server, "/?" + query)
    wait_until(lambda: lines.records)
    (text,), (fields,) = lines.text, lines.json
    assert fields["target"] == "/?" + query
    before, quoted, after = re.fullmatch(r'(\S+ \S+ -) ("(?:[^"\\]|\\.)*") (\d+ \d+ \S+ \S+)', text).groups()  # type: ignore[union-attr]
    assert json.loads(quoted) == f"GET /?{query}"
    assert before.endswith("127.0.0.1 -") and after.startswith("200 5 ")


ODD = ["\n", "\r\n", "\x1b[31m", "\0", "\x85", "\u2028", "\xe4", "€", '"', "\\", " ", "\ud800"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_whatever_a_value_holds_a_line_stays_a_line(server: Server, lines: Lines, odd: str) -> None:
    """Values that no request can have today: the formatters do not rely on that."""
    get(server, "/")
    wait_until(lambda: lines.records)
    record = lines.records[0]
    record.target = f"/a{odd}b"
    record.method = f"G{odd}T"
    (text,), made = lines.text, JsonFormatter().format(record)
    for line in (text, made):
        assert line.splitlines() == [line]
        assert not re.search(r"[\x00-\x1f\x85\u2028\u2029]", line)
    assert json.loads(made)["target"] == f"/a{odd}b"
    assert json.loads(re.search(r'"(?:[^"\\]|\\.)*"', text)[0]) == f"G{odd}T /a{odd}b"  # type: ignore[index]


# -- other handlers and formatters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formatter", "expected"),
    [
        pytest.param(logging.Formatter(), "GET /?x 200", id="the message"),
        pytest.param(logging.Formatter(logging.BASIC_FORMAT), "INFO:greenbas.access:GET /?x 200", id="basicConfig"),
        pytest.param(
            logging.Formatter("{levelname} {name} {status} {bytes} {message}", style="{"),
            "INFO greenbas.access 200 5 GET /?x 200",
            id="braces",
        ),
        pytest.param(logging.Formatter("$levelname $client", style="$"), "INFO 127.0.0.1", id="dollars"),
        pytest.param(logging.Formatter("%(levelno)d %(method)s %(msecs)d"), r"20 GET \d+", id="fields"),
        pytest.param(logging.Formatter("%(asctime)s %(process)s %(threadName)s"), r"\d{4}-.*", id="time and process"),
        pytest.param(logging.Formatter("%(filename)s:%(lineno)d %(funcName)s"), r".*:\d+ .*", id="place"),
    ],
)
def test_ordinary_formatters(server: Server, lines: Lines, formatter: logging.Formatter, expected: str) -> None:
    """A program that has set up logging in its own way gets the records too."""
    get(server, "/?x")
    wait_until(lambda: lines.records)
    expected = expected.replace("?", r"\?") if "GET /" in expected else expected
    assert re.fullmatch(expected, formatter.format(lines.records[0]))


def test_records_can_be_copied_and_sent(server: Server, lines: Lines) -> None:
    """As QueueHandler and SocketHandler do."""
    get(server, "/?x")
    wait_until(lambda: lines.records)
    record = lines.records[0]
    for twin in (copy.copy(record), pickle.loads(pickle.dumps(record)), logging.makeLogRecord(record.__dict__)):
        assert (twin.target, twin.status, twin.name, twin.levelno) == ("/?x", 200, "greenbas.access", logging.INFO)
        assert TextFormatter().format(twin)


def test_other_records_pass_through_the_formatters() -> None:
    record = logging.LogRecord("greenbas.http", logging.WARNING, __file__, 1, "a %s", ("\nb",), None)
    assert TextFormatter().format(record).endswith("WARNING greenbas.http: a \nb")
    made = json.loads(JsonFormatter().format(record))
    assert (made["logger"], made["level"], made["message"]) == ("greenbas.http", "WARNING", "a \nb")
    try:
        raise RuntimeError("why")
    except RuntimeError as error:
        record.exc_info = (RuntimeError, error, error.__traceback__)
    assert "RuntimeError: why" in TextFormatter().format(record)
    assert "RuntimeError: why" in json.loads(JsonFormatter().format(record))["exception"]
    assert "\n" not in JsonFormatter().format(record)
