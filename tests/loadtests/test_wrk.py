"""What wrk prints, and what is read from it."""

from __future__ import annotations

import pytest
from wrk import Measurement, WrkFailed, command, errors, parse, percentile, shortfall

GOOD = """\
Running 3s test @ http://127.0.0.1:8000/hello/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.94ms    1.02ms  21.25ms   95.11%
    Req/Sec    68.99k     2.96k   74.31k    70.00%
  Latency Distribution
     50%  718.00us
     75%    1.06ms
     90%    1.31ms
     99%    4.00ms
  206123 requests in 3.00s, 24.37MB read
Requests/sec:  68639.12
Transfer/sec:      8.12MB
"""
BAD = GOOD.replace(
    "Requests/sec",
    "  Socket errors: connect 0, read 3, write 0, timeout 2\n  Non-2xx or 3xx responses: 17\nRequests/sec",
)
SLOW = """\
  Latency Distribution
     50%    1.20s
     75%    1.50s
     90%    1.00m
     99%    1.50m
  12 requests in 10.01s, 12.01GB read
Requests/sec:      1.20
Transfer/sec:      1.20GB
"""


def test_parse() -> None:
    assert parse(GOOD, client_cpu=0.5, server_cpu=0.8) == Measurement(
        rate=68639.12,
        requests=206123,
        bytes_read=int(24.37 * 1024**2),
        p50_ms=718.0 * 0.001,
        p99_ms=4.0,
        errors="",
        client_cpu=0.5,
        server_cpu=0.8,
    )


def test_parse_large_units() -> None:
    slow = parse(SLOW)
    assert (slow.p50_ms, slow.p99_ms, slow.bytes_read) == (1200, 90_000, int(12.01 * 1024**3))


def test_errors() -> None:
    assert errors(GOOD) == ""
    assert errors(BAD) == ("Socket errors: connect 0, read 3, write 0, timeout 2; Non-2xx or 3xx responses: 17")
    assert parse(BAD).errors == errors(BAD)


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused", GOOD.replace("99%", "")])
def test_not_a_report(output: str) -> None:
    with pytest.raises(WrkFailed):
        parse(output)


def test_percentile_is_not_the_share_within_a_deviation() -> None:
    assert percentile(GOOD, 75) == 1.06


def test_rate_per_cpu() -> None:
    assert parse(GOOD, server_cpu=0.5).rate_per_cpu == pytest.approx(2 * 68639.12)
    assert parse(GOOD).rate_per_cpu == 0.0


@pytest.mark.parametrize(
    ("requests", "read", "body", "wrong"),
    [
        (100, 15_000, 13, ""),
        (100, 102_400, 1024, ""),
        (100, 95_000, 1024, ""),  # rounded, or begun and not ended
        (100, 50_000, 1024, "only 500 bytes a response, the body has 1024"),
        (0, 0, 13, "no request was answered"),
    ],
)
def test_shortfall(requests: int, read: int, body: int, wrong: str) -> None:
    assert shortfall(Measurement(1.0, requests, read, 1.0, 1.0, ""), body) == wrong


def test_command() -> None:
    line = command("http://127.0.0.1:1/", 3)
    assert line[0] == "wrk" and line[-1] == "http://127.0.0.1:1/"
    assert {"-t1", "-c64", "-d3s", "--latency"} < set(line)
    assert line.count("-H") > 8
    assert "-c4" in command("http://127.0.0.1:1/", 3, connections=4)


def test_a_percentile_of_seconds_has_a_space_behind_it() -> None:
    """Seen with gunicorn, whose slowest requests take more than a second."""
    assert percentile("  Latency Distribution\n     90%  843.63ms\n     99%    1.33s \n", 99) == 1330.0
