"""Which content coding a client wants (RFC 9110 12.5.3)."""

from __future__ import annotations

import pytest

from greenbas.protocol.encodings import best_coding

BOTH = ("gzip", "deflate")


@pytest.mark.parametrize(
    ("accepted", "best"),
    [
        pytest.param(None, None, id="not sent: anything would do, the plain one surely"),
        pytest.param("", None, id="empty: identity alone"),
        pytest.param("   ", None, id="blank"),
        pytest.param("gzip", "gzip", id="one"),
        pytest.param("deflate", "deflate", id="the other"),
        pytest.param("deflate, gzip", "gzip", id="equal weights: ours"),
        pytest.param("gzip, deflate, br, zstd", "gzip", id="a browser"),
        pytest.param("GZip", "gzip", id="8.4.1: any case"),
        pytest.param("x-gzip", "gzip", id="8.4.1.3: the old name"),
        pytest.param("br", None, id="none of ours"),
        pytest.param("gzipped", None, id="longer"),
        pytest.param("gzip;q=0.5, deflate;q=0.8", "deflate", id="weights"),
        pytest.param("gzip;q=0.8, deflate;q=0.5", "gzip", id="weights, ours"),
        pytest.param("gzip;q=0", None, id="refused"),
        pytest.param("gzip;q=0.000", None, id="refused, precisely"),
        pytest.param("gzip;q=0, deflate", "deflate", id="one refused"),
        pytest.param("gzip;q=0.001", "gzip", id="hardly"),
        pytest.param("*", "gzip", id="anything"),
        pytest.param("*;q=0", None, id="nothing else"),
        pytest.param("*;q=0, gzip", "gzip", id="nothing but"),
        pytest.param("gzip;q=0, *", "deflate", id="anything but"),
        pytest.param("deflate;q=0.5, *;q=0.1", "deflate", id="rather than anything"),
        pytest.param("identity", None, id="identity"),
        pytest.param("identity, gzip", "gzip", id="identity as much"),
        pytest.param("identity, gzip;q=0.5", None, id="identity rather"),
        pytest.param("identity;q=0.5, gzip;q=0.5", "gzip", id="identity as much, weights"),
        pytest.param("identity;q=0, *;q=0", None, id="nothing at all"),
        pytest.param("identity;q=0.5, *;q=0.4", None, id="identity rather than anything"),
        pytest.param("gzip ; q = 1", "gzip", id="blanks"),
        pytest.param("gzip;Q=0", None, id="Q"),
        pytest.param("\tgzip\t,\tdeflate;q=0.1", "gzip", id="tabs"),
        pytest.param(",,gzip,,", "gzip", id="5.6.1: empty elements"),
        pytest.param("gzip;", "gzip", id="no parameter"),
        pytest.param("gzip;level=9", "gzip", id="another parameter"),
        pytest.param("gzip;q=", None, id="no weight"),
        pytest.param("gzip;q=much", None, id="a word"),
        pytest.param("gzip;q=-1", None, id="below"),
        pytest.param("gzip;q=7, deflate", "gzip", id="above: no more than 1"),
        pytest.param("gzip;q=nan, deflate;q=0.1", "deflate", id="nan"),
        pytest.param("gzip;q=nan", None, id="nan alone"),
        pytest.param("gzip;q=inf, deflate", "gzip", id="inf"),
        pytest.param("gzip;q=1e-400, deflate;q=0.1", "deflate", id="too small"),
        pytest.param("identity;q=nan, gzip", "gzip", id="identity nan"),
        pytest.param("gzip;q=0, gzip", "gzip", id="twice: the last"),
        pytest.param(";q=1", None, id="a weight alone"),
        pytest.param("gzip deflate", None, id="no comma"),
        pytest.param("g\xfczip", None, id="latin-1"),
    ],
)
def test_best_coding(accepted: str | None, best: str | None) -> None:
    assert best_coding(accepted, BOTH) == best


@pytest.mark.parametrize(
    ("offered", "best"),
    [
        pytest.param((), None, id="nothing"),
        pytest.param(("gzip",), "gzip", id="one"),
        pytest.param(("br", "gzip"), "br", id="the first"),
        pytest.param(("deflate",), "deflate", id="the least"),
        pytest.param(("zstd",), None, id="another"),
    ],
)
def test_what_is_offered(offered: tuple[str, ...], best: str | None) -> None:
    assert best_coding("gzip, br, deflate;q=0.1", offered) == best


def test_a_long_value() -> None:
    value = ",".join(f"c{number}" for number in range(5000))
    assert best_coding(value, BOTH) is None
    assert best_coding(value + ",gzip", BOTH) == "gzip"
