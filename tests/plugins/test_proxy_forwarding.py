"""The header fields that go on, and those that do not: hop by hop, forged, smuggled."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.errors import LocalProtocolError, SettingError
from greenbas_plugins.proxy.fieldnames import DROPPED, END_TO_END, PLAIN, Kinds, request_kind, response_kind
from greenbas_plugins.proxy.fields import Fields
from greenbas_plugins.proxy.forwarding import Forwarding, Peer, encode_head
from greenbas_plugins.proxy.hops import forwards_left, via_hops
from greenbas_plugins.proxy.trailers import request_trailers, response_trailers
from greenbas_plugins.proxy.upgrades import upgrade_asked, upgrade_granted

Pair = tuple[bytes, bytes]

CLIENT = Peer("192.0.2.7", secure=True, trusted=False)
PROXY = Peer("10.0.0.1", secure=False, trusted=True)
HOST = (b"Host", b"shop.example")
PLAIN_WAY = Forwarding()


def pairs(*lines: str) -> list[Pair]:
    """Fields from lines such as "Name: value"."""
    found = []
    for line in lines:
        name, _, value = line.partition(": ")
        found.append((name.encode("latin-1"), value.encode("latin-1")))
    return found


def lines(fields: list[Pair]) -> list[str]:
    return [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in fields]


def sent(*asked: str, peer: Peer = CLIENT, way: Forwarding = PLAIN_WAY, **options: object) -> list[str]:
    """What the backend gets of these fields, without those that are always made."""
    fields = way.request([HOST, *pairs(*asked)], peer, b"shop.example", **options)  # type: ignore[arg-type]
    return [line for line in lines(fields) if line not in MADE]


MADE = lines(PLAIN_WAY.request([HOST], CLIENT, b"shop.example"))


def value_of(name: str, fields: list[Pair]) -> str | None:
    values = [value.decode("latin-1") for key, value in fields if key.decode("latin-1").lower() == name.lower()]
    assert len(values) < 2, f"{name} stands there {len(values)} times"
    return values[0] if values else None


def test_a_browser_request() -> None:
    asked = pairs("User-Agent: test/1", "Accept: */*", "Cookie: a=b; c=d", "Accept-Language: de", "Priority: u=1")
    fields = PLAIN_WAY.request([HOST, *asked, (b"Connection", b"keep-alive")], CLIENT, b"shop.example")
    assert lines(fields) == [
        "Host: shop.example",
        *lines(asked),
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        'Forwarded: for=192.0.2.7;host="shop.example";proto=https',
        "Via: 1.1 greenbas",
    ]


# -- hop by hop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "Connection: close",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Anything: x",
        "TE: deflate",
        "TE: trailers;q=1",
        "Trailer: X-Sum",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "transfer-encoding: chunked",
        "Content-Length: 5",
        "CONTENT-LENGTH: 5",
        "Upgrade: websocket",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Expect: 100-continue",
        "Expect: y 100-continue",
        "Proxy: http://evil.example:8080",
        "PROXY: http://evil.example:8080",
        "Host: other.example",
        "host: other.example",
    ],
)
def test_not_for_the_backend(line: str) -> None:
    assert sent(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "Accept-Encoding: gzip, br",
        "Authorization: Bearer x",
        "Content-Type: text/plain",
        "Content-Encoding: gzip",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Upgrade-Insecure-Requests: 1",
        "Range: bytes=0-1",
        "X-Odd: caf\xe9 \xff\x80",
        "X-Tab: a\tb",
        "X-Empty: ",
        "x-lower: Case Kept",
        "Connected: 1",
        "X-Forward: 1",
        "Max-Forwards: 3",
        "Cookie: $Version=1; a=\x22b\x22",
    ],
)
def test_for_the_backend_as_it_is(line: str) -> None:
    assert sent(line) == [line]


def test_repeated_fields_keep_number_and_order() -> None:
    twice = ["Cookie: a=1", "X-One: 1", "Cookie: b=2", "X-One: 2"]
    assert sent(*twice) == twice


@pytest.mark.parametrize(
    ("connection", "kept"),
    [
        (["X-Secret-Hop"], ["X-Other: 2"]),
        (["x-secret-hop"], ["X-Other: 2"]),
        (["close, X-Secret-Hop"], ["X-Other: 2"]),
        ([",, X-Secret-Hop ,\tx-other,"], []),
        (["keep-alive", "X-Secret-Hop", "X-Other"], []),
        (["keep-alive"], ["X-Secret-Hop: 1", "X-Other: 2"]),
        (["X-Secret"], ["X-Secret-Hop: 1", "X-Other: 2"]),
        (["X-Secret-Hop: 1"], ["X-Secret-Hop: 1", "X-Other: 2"]),
    ],
    ids=str,
)
def test_what_connection_names_stays_here(connection: list[str], kept: list[str]) -> None:
    fields = ["X-Secret-Hop: 1", *(f"Connection: {value}" for value in connection), "X-Other: 2"]
    assert sent(*fields) == kept
    answer = lines(PLAIN_WAY.response(pairs(*fields)))
    assert answer == [*kept, "Via: 1.1 greenbas"]


@pytest.mark.parametrize("name", sorted(END_TO_END - {b"host", b"via", b"max-forwards", b"accept-encoding"}))
def test_what_is_for_all_cannot_be_named_in_connection(name: bytes) -> None:
    line = f"{name.decode()}: x"
    assert sent(line, f"Connection: {name.decode()}, close") == [line]


@pytest.mark.parametrize(
    "name", ["Host", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Content-Length"]
)
@pytest.mark.parametrize("peer", [CLIENT, PROXY], ids=["client", "proxy"])
def test_what_the_proxy_says_cannot_be_named_in_connection(name: str, peer: Peer) -> None:
    asked = pairs("X-Forwarded-For: 198.51.100.1", "Via: 1.0 first", "X-Forwarded-Proto: https")
    plain = PLAIN_WAY.request([HOST, *asked], peer, b"shop.example")
    named = PLAIN_WAY.request([HOST, *asked, *pairs(f"Connection: {name}")], peer, b"shop.example")
    assert named == plain


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("TE: trailers", True),
        ("TE: Trailers, deflate;q=0.5", True),
        ("te: gzip,trailers", True),
        ("TE: trailersx", False),
        ("TE: ", False),
    ],
)
def test_trailers_are_understood_when_the_client_does(line: str, made: bool) -> None:
    assert sent(line) == (["Connection: TE", "TE: trailers"] if made else [])


def test_trailers_in_one_of_several_fields() -> None:
    assert sent("TE: trailers", "TE: gzip") == ["Connection: TE", "TE: trailers"]


def test_expect_is_made_when_the_client_waits() -> None:
    assert sent("Expect: 100-Continue", "Expect: 100-continue", expects=True) == ["Expect: 100-continue"]


def test_identity_is_asked_for() -> None:
    way = Forwarding(identity=True)
    assert sent("Accept-Encoding: gzip", "accept-encoding: br", way=way) == ["Accept-Encoding: identity"]
    assert sent(way=way) == ["Accept-Encoding: identity"]


# -- Host and Via -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "authority", "expected"),
    [
        (b"", b"shop.example", "shop.example"),
        (b"", b"shop.example:8443", "shop.example:8443"),
        (b"backend:8000", b"shop.example", "backend:8000"),
        (b"", b"", "fallback:1"),
        (b"backend", b"", "backend"),
    ],
)
def test_host(host: bytes, authority: bytes, expected: str) -> None:
    way = Forwarding(host=host)
    # The Host field is not looked at: an absolute target has replaced it (RFC 9112 3.2.2).
    fields = way.request([(b"Host", b"from.the.field")], CLIENT, authority, fallback=b"fallback:1")
    assert fields[0][0] == b"Host"
    assert value_of("Host", fields) == expected
    assert value_of("X-Forwarded-Host", fields) == (authority.decode() or None)


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({}, [], ["1.1 greenbas"]),
        ({"http11": False}, [], ["1.0 greenbas"]),
        ({}, ["1.0 a, 1.1 b", "1.1 c"], ["1.0 a, 1.1 b", "1.1 c", "1.1 greenbas"]),
    ],
)
def test_via(options: dict[str, bool], before: list[str], after: list[str]) -> None:
    asked = [HOST, *pairs(*(f"Via: {value}" for value in before))]
    for fields in (PLAIN_WAY.request(asked, CLIENT, b"x", **options), PLAIN_WAY.response(asked[1:], **options)):  # type: ignore[arg-type]
        assert [value.decode() for name, value in fields if name == b"Via"] == after


def test_via_can_be_left_out_and_must_be_a_token() -> None:
    for http11 in (True, False):
        fields = Forwarding(name="").request([HOST], CLIENT, b"x", http11=http11)
        assert value_of("Via", fields) is None
    with pytest.raises(SettingError, match="'my proxy' is no token"):
        Forwarding(name="my proxy")


def test_via_hops() -> None:
    assert via_hops([HOST]) == 0
    assert via_hops(pairs("Via: 1.1 a, 1.1 b", "via: 1.0 c")) == 3


@pytest.mark.parametrize(
    ("method", "values", "left", "kept"),
    [
        ("GET", ["0"], None, ["0"]),
        ("OPTIONS", [], None, []),
        ("OPTIONS", ["0"], 0, ["0"]),
        ("OPTIONS", ["7"], 7, ["6"]),
        ("TRACE", ["1"], 1, ["0"]),
        ("TRACE", ["5", "2"], 2, ["4", "1"]),
        ("TRACE", ["-1"], None, []),
        ("TRACE", ["1e3"], None, []),
        ("TRACE", ["9" * 5000], None, []),
    ],
)
def test_max_forwards(method: str, values: list[str], left: int | None, kept: list[str]) -> None:
    asked = [f"Max-Forwards: {value}" for value in values]
    assert forwards_left(method, pairs(*asked)) == left
    assert sent(*asked, method=method) == [f"Max-Forwards: {value}" for value in kept]


# -- who asked ----------------------------------------------------------------------------------------------------

FORGED = [
    "X-Forwarded-For: 127.0.0.1",
    "x-forwarded-for: 127.0.0.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Server: evil",
    "X-Forwarded-Ssl: on",
    "X-Forwarded: for=127.0.0.1",
    "Forwarded: for=127.0.0.1",
    "FORWARDED: for=127.0.0.1",
    "X-Real-IP: 127.0.0.1",
    "X-Client-IP: 127.0.0.1",
    "True-Client-IP: 127.0.0.1",
    "CF-Connecting-IP: 127.0.0.1",
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "X-Script-Name: /admin",
    "Front-End-Https: on",
]


@pytest.mark.parametrize("line", FORGED)
def test_a_client_says_nothing_about_itself(line: str) -> None:
    assert sent(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "X_Forwarded_For: 127.0.0.1",
        "X-Forwarded_For: 127.0.0.1",
        "X_Real_IP: 127.0.0.1",
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
        "Proxy_Connection: x",
        "User_Agent: x",
    ],
)
@pytest.mark.parametrize("peer", [CLIENT, PROXY], ids=["client", "proxy"])
@pytest.mark.parametrize("underscores", [False, True])
def test_underscores_imitate_nothing(line: str, peer: Peer, underscores: bool) -> None:
    way = Forwarding(underscores=underscores)
    plain = way.request([HOST], peer, b"shop.example")
    assert way.request([HOST, *pairs(line)], peer, b"shop.example") == plain


def test_other_names_with_underscores_pass_when_wanted() -> None:
    assert sent("My_Name: 1") == []
    assert sent("My_Name: 1", way=Forwarding(underscores=True)) == ["My_Name: 1"]
    assert lines(PLAIN_WAY.response(pairs("My_Name: 1")))[0] == "My_Name: 1"


@pytest.mark.parametrize(
    ("address", "plain", "node"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1", '"[2001:db8::1]"'),
        ("2001:DB8:0:0::1", "2001:db8::1", '"[2001:db8::1]"'),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1", '"[fe80::1]"'),
        ("unix", None, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_addresses(address: str, plain: str | None, node: str) -> None:
    fields = PLAIN_WAY.request([HOST], Peer(address, secure=False, trusted=False), b"a:1")
    assert value_of("X-Forwarded-For", fields) == plain
    assert value_of("X-Forwarded-Proto", fields) == "http"
    assert value_of("Forwarded", fields) == f'for={node};host="a:1";proto=http'


def test_prefix_is_told() -> None:
    fields = Forwarding(prefix=b"/shop").request([HOST], CLIENT, b"a")
    assert value_of("X-Forwarded-Prefix", fields) == "/shop"


def test_one_connection_asks_several_proxies_and_hosts() -> None:
    peer = Peer("192.0.2.7", secure=False, trusted=False)
    one, two = Forwarding(prefix=b"/one"), Forwarding(prefix=b"/two")
    for way, host, prefix in [(one, b"a", "/one"), (two, b"a", "/two"), (two, b"b", "/two"), (one, b"a", "/one")] * 2:
        fields = way.request([HOST], peer, host)
        assert (value_of("X-Forwarded-Prefix", fields), value_of("X-Forwarded-Host", fields)) == (prefix, host.decode())


OURS = 'for=10.0.0.1;host="shop.example";proto=http'


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ([], {"for": "10.0.0.1", "proto": "http", "host": "shop.example", "": OURS}),
        # X-Forwarded-For is extended, and tells Forwarded.
        (["X-Forwarded-For: 192.0.2.7"], {"for": "192.0.2.7, 10.0.0.1", "": f"for=192.0.2.7, {OURS}"}),
        (
            ["X-Forwarded-For: a, 192.0.2.7"],
            {"for": "a, 192.0.2.7, 10.0.0.1", "": f"for=unknown, for=192.0.2.7, {OURS}"},
        ),
        (["X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2"], {"for": "1.1.1.1, 2.2.2.2, 10.0.0.1"}),
        (["X-Forwarded-For: [2001:db8::1]:80"], {"": f'for="[2001:db8::1]", {OURS}'}),
        (["X-Forwarded-For: 192.0.2.7:5000"], {"": f"for=192.0.2.7, {OURS}"}),
        (["X-Forwarded-For: "], {"for": "10.0.0.1", "": OURS}),
        (["X-Forwarded-For: ,, "], {"for": "10.0.0.1", "": OURS}),
        # The nearest proxy's word on scheme and host.
        (
            ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example"],
            {"proto": "https", "host": "www.example", "": f'for=192.0.2.7;host="www.example";proto=https, {OURS}'},
        ),
        (["X-Forwarded-Proto: http, HTTPS"], {"proto": "https"}),
        (["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], {"proto": "https"}),
        (["X-Forwarded-Proto: javascript"], {"proto": "http"}),
        (["X-Forwarded-Host: a, b:1"], {"host": "b:1"}),
        (["X-Forwarded-Host: a/b"], {"host": "shop.example"}),
        (['X-Forwarded-Host: a"; x="'], {"host": "shop.example"}),
        # Forwarded is extended when nothing speaks against it.
        (
            ["Forwarded: for=192.0.2.7;proto=https;host=www.example"],
            {
                "for": "192.0.2.7, 10.0.0.1",
                "proto": "https",
                "host": "www.example",
                "": f"for=192.0.2.7;proto=https;host=www.example, {OURS}",
            },
        ),
        (
            ['Forwarded: For="[2001:db8::1]:47";by=_x, for=_hidden', "Forwarded: for=192.0.2.7"],
            {
                "for": "2001:db8::1, unknown, 192.0.2.7, 10.0.0.1",
                "": f'For="[2001:db8::1]:47";by=_x, for=_hidden, for=192.0.2.7, {OURS}',
            },
        ),
        (
            ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7;secret=x"],
            {"for": "192.0.2.7, 10.0.0.1", "": f"for=192.0.2.7;secret=x, {OURS}"},
        ),
        # Another story: the client invented it, and the proxy let it through.
        (
            ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=127.0.0.1;proto=https;host=evil"],
            {"for": "192.0.2.7, 10.0.0.1", "proto": "http", "host": "shop.example", "": f"for=192.0.2.7, {OURS}"},
        ),
        (["Forwarded: for=127.0.0.1;proto"], {"for": "10.0.0.1", "": OURS}),
        (['Forwarded: for="127.0.0.1'], {"": OURS}),
        (["Forwarded: x"], {"": OURS}),
        (["Forwarded: " + "for=1.1.1.1," * 40 + "for=2.2.2.2"], {"": OURS}),
        ([r'Forwarded: for="1.1.1.1\"";proto=https'], {"for": "unknown, 10.0.0.1", "proto": "https"}),
        # Prefixes add up.
        (["X-Forwarded-Prefix: /outer"], {"prefix": "/outer/shop"}),
        (["X-Forwarded-Prefix: /a/b/"], {"prefix": "/a/b/shop"}),
        (["X-Forwarded-Prefix: /"], {"prefix": "/shop"}),
        (["X-Forwarded-Prefix: //evil.example"], {"prefix": "/shop"}),
        (["X-Forwarded-Prefix: /a/../b"], {"prefix": "/shop"}),
        (["X-Forwarded-Prefix: /a/%2e%2E/b"], {"prefix": "/shop"}),
        (["X-Forwarded-Prefix: /a/.."], {"prefix": "/shop"}),
        (["X-Forwarded-Prefix: /.well-known"], {"prefix": "/.well-known/shop"}),
        (["X-Forwarded-Prefix: /a, /b"], {"prefix": "/shop"}),
        (['X-Forwarded-Prefix: /a"><script>'], {"prefix": "/shop"}),
        (["X-Forwarded-Prefix: https://evil.example"], {"prefix": "/shop"}),
    ],
    ids=str,
)
def test_a_trusted_proxy_is_believed_and_extended(said: list[str], made: dict[str, str]) -> None:
    fields = Forwarding(prefix=b"/shop").request([HOST, *pairs(*said)], PROXY, b"shop.example")
    names = {"": "Forwarded"}
    for short, expected in made.items():
        assert value_of(names.get(short, f"X-Forwarded-{short}"), fields) == expected


def test_a_trusted_proxy_on_a_unix_socket_adds_no_address() -> None:
    peer = Peer("unix", secure=False, trusted=True)
    fields = PLAIN_WAY.request([HOST, *pairs("X-Forwarded-For: 192.0.2.7")], peer, b"a")
    assert value_of("X-Forwarded-For", fields) == "192.0.2.7"
    assert value_of("Forwarded", fields) == 'for=192.0.2.7, for=unknown;host="a";proto=http'


def test_what_else_a_trusted_proxy_says_goes_on() -> None:
    said = ["X-Real-IP: 192.0.2.7", "X-Forwarded-Port: 443"]
    fields = lines(PLAIN_WAY.request([HOST, *pairs(*said)], PROXY, b"a"))
    assert all(line in fields for line in said)


@pytest.mark.parametrize(
    ("peer", "said", "outer"),
    [
        (PROXY, ["X-Forwarded-Prefix: /outer/"], b"/outer"),
        (PROXY, ["X-Forwarded-Prefix: /a", "X-Forwarded-Prefix: /b"], b""),
        (PROXY, [], b""),
        (CLIENT, ["X-Forwarded-Prefix: /outer"], b""),
    ],
)
def test_outer(peer: Peer, said: list[str], outer: bytes) -> None:
    assert PLAIN_WAY.outer(pairs(*said), peer) == outer


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"]),
            st.text(st.sampled_from('for=1.2,;"\\ []:ab_') | st.characters(max_codepoint=255, min_codepoint=32)),
        ),
        max_size=4,
    )
)
def test_whatever_a_trusted_proxy_says_our_hop_stands_last(said: list[tuple[str, str]]) -> None:
    asked = [(name.encode(), value.encode("latin-1")) for name, value in said]
    fields = PLAIN_WAY.request([HOST, *asked], PROXY, b"shop.example")
    chain, forwarded = value_of("X-Forwarded-For", fields), value_of("Forwarded", fields)
    assert chain is not None and chain.rpartition(", ")[2] == "10.0.0.1"
    assert forwarded is not None and forwarded.endswith(OURS)
    assert value_of("X-Forwarded-Proto", fields) in ("http", "https", "ws", "wss")


# -- responses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "Connection: close",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "Proxy-Authenticate: Basic",
        "Proxy-Authentication-Info: x",
        "Transfer-Encoding: chunked",
        "Content-Length: 5",
        "Trailer: X-Sum",
        "Upgrade: h2,h2c",
        'Alt-Svc: h3=":8443"; ma=86400',
        "ALT-SVC: clear",
    ],
)
def test_not_for_the_client(line: str) -> None:
    assert lines(PLAIN_WAY.response(pairs(line))) == ["Via: 1.1 greenbas"]


def test_a_response_goes_on_as_it_is() -> None:
    answer = [
        "Server: x",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "X-Odd: \xe9",
        "Proxy-Status: cache",
        "TE: x",
        "Date: now",
    ]
    assert lines(PLAIN_WAY.response(pairs(*answer))) == [*answer, "Via: 1.1 greenbas"]


def test_set_cookie_cannot_be_named_in_connection() -> None:
    assert "Set-Cookie: a=1" in lines(PLAIN_WAY.response(pairs("Connection: Set-Cookie, X-A", "Set-Cookie: a=1")))


# -- upgrades -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "protocol"),
    [
        (["Connection: Upgrade", "Upgrade: websocket"], b"websocket"),
        (["Connection: keep-alive, upgrade", "Upgrade: WebSocket"], b"WebSocket"),
        (["Connection: keep-alive", "Connection: Upgrade", "Upgrade: foo/2"], b"foo/2"),
        (["Connection: Upgrade", "Upgrade: h2c, websocket"], b"websocket"),
        (["Connection: Upgrade", "Upgrade: a", "Upgrade: b"], b"a, b"),
        (["Upgrade: websocket"], b""),
        (["Connection: Upgrade"], b""),
        (["Connection: xupgrade", "Upgrade: websocket"], b""),
        (["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"], b""),
        (["Connection: Upgrade", "Upgrade: H2C"], b""),
        (["Connection: Upgrade", "Upgrade: h2"], b""),
        (["Connection: Upgrade", "Upgrade: HTTP/2.0"], b""),
        (["Connection: Upgrade", "Upgrade: TLS/1.2"], b""),
        (["Connection: Upgrade", "Upgrade: web socket"], b""),
        (["Connection: Upgrade", "Upgrade: \xff"], b""),
    ],
    ids=str,
)
def test_upgrade_asked(asked: list[str], protocol: bytes) -> None:
    assert upgrade_asked(pairs(*asked)) == protocol


def test_upgrade_passed_on() -> None:
    asked = ["Connection: keep-alive, Upgrade, X-Hop", "Upgrade: h2c, websocket", "X-Hop: 1", "TE: trailers"]
    assert sent(*asked, upgrade=b"websocket") == ["Connection: Upgrade", "Upgrade: websocket"]
    answer = PLAIN_WAY.response(pairs("Connection: Upgrade", "Upgrade: websocket"), upgrade=b"websocket")
    assert lines(answer) == ["Connection: Upgrade", "Upgrade: websocket", "Via: 1.1 greenbas"]


@pytest.mark.parametrize(
    ("answered", "granted"),
    [
        (["Connection: upgrade", "Upgrade: websocket"], True),
        (["Connection: x, Upgrade", "upgrade: WEBSOCKET"], True),
        (["Connection: Upgrade", "Upgrade: foo"], True),
        (["Connection: Upgrade", "Upgrade: bar"], False),
        (["Connection: Upgrade", "Upgrade: websocket, bar"], False),
        (["Connection: Upgrade", "Upgrade: h2c"], False),
        (["Connection: Upgrade"], False),
        (["Upgrade: websocket"], False),
        ([], False),
    ],
    ids=str,
)
def test_upgrade_granted(answered: list[str], granted: bool) -> None:
    assert upgrade_granted(b"websocket, Foo", pairs(*answered)) is granted
    assert not upgrade_granted(b"", pairs(*answered))


# -- trailers and heads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "request_", "response"),
    [
        ("Grpc-Status: 0", True, True),
        ("X-Checksum: 1", True, True),
        ("Server-Timing: db;dur=53", True, True),
        ("Content-Length: 5", False, False),
        ("Transfer-Encoding: chunked", False, False),
        ("Host: x", False, False),
        ("Trailer: x", False, False),
        ("Connection: x", False, False),
        ("Via: x", False, False),
        ("Authorization: x", False, False),
        ("Cookie: x", False, False),
        ("Set-Cookie: x", False, False),
        ("Content-Type: text/html", False, False),
        ("X-Forwarded-For: x", False, True),
        ("Forwarded: x", False, True),
        ("X_Checksum: 1", False, True),
        ("Max-Forwards: 1", False, False),
    ],
)
def test_trailers(line: str, request_: bool, response: bool) -> None:
    assert request_trailers(pairs(line)) == (pairs(line) if request_ else [])
    assert response_trailers(pairs(line)) == (pairs(line) if response else [])


def test_encode_head() -> None:
    assert encode_head(b"GET / HTTP/1.1", []) == b"GET / HTTP/1.1\r\n\r\n"
    head = encode_head(b"HTTP/1.1 200 OK", pairs("A: 1", "B: \xff"))
    assert head == b"HTTP/1.1 200 OK\r\nA: 1\r\nB: \xff\r\n\r\n"


NAMES = st.sampled_from(
    ["Host", "Connection", "Content-Length", "Transfer-Encoding", "TE", "Via", "X-A", "X-Forwarded-For", "Upgrade"]
) | st.text(st.sampled_from("abXY-_.!1"), min_size=1, max_size=8)
VALUES = st.sampled_from(["X-A", "Host", "chunked", "5", "close, Content-Length", "trailers"]) | st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=12
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12), st.booleans())
def test_any_head_stays_one_head_without_framing(said: list[tuple[str, str]], trusted: bool) -> None:
    asked = [(name.encode(), value.encode("latin-1")) for name, value in said]
    fields = PLAIN_WAY.request(asked, Peer("192.0.2.7", True, trusted), b"shop.example")
    seen: list[Pair] = []

    class Seen:
        def on_header(self, name: bytes, value: bytes) -> None:
            seen.append((name, value))

    parser = httptools.HttpRequestParser(Seen())
    parser.feed_data(encode_head(b"GET / HTTP/1.1", fields))
    assert seen == fields
    names = [name.lower() for name, _ in fields]
    assert names.count(b"host") == names.count(b"x-forwarded-for") == names.count(b"forwarded") == 1
    assert not {b"content-length", b"transfer-encoding", b"upgrade"} & set(names)


@pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
@pytest.mark.parametrize("parser", ["HttpRequestParser", "HttpResponseParser"])
def test_the_parser_in_front_lets_no_control_through(code: int, parser: str) -> None:
    # What this module relies on instead of looking at every value again.
    start = b"GET / HTTP/1.1\r\n" if parser == "HttpRequestParser" else b"HTTP/1.1 200 OK\r\n"
    with pytest.raises(httptools.HttpParserError):
        getattr(httptools, parser)(object()).feed_data(start + b"X: a" + bytes([code]) + b"b\r\n\r\n")


def test_kinds_are_remembered_within_bounds() -> None:
    kinds = Kinds()
    for number in range(5000):
        assert kinds[b"X-%d" % number] == PLAIN
        assert kinds[b"X-" + b"long" * 1000] == PLAIN
    assert len(kinds) <= 1024
    assert max(map(len, kinds)) <= 64
    assert (kinds[b"cOnTent-LENGTH"], Kinds(responses=True)[b"Trailer"]) == (DROPPED, DROPPED)


@pytest.mark.parametrize("name", [b"content-length", b"transfer-encoding", b"trailer", b"upgrade", b"keep-alive"])
def test_framing_is_dropped_both_ways(name: bytes) -> None:
    assert request_kind(name.title()) == response_kind(name.upper()) == DROPPED


# -- fields for hooks ---------------------------------------------------------------------------------------------


def test_fields_read_and_change() -> None:
    fields = Fields(pairs("Host: a", "X-One: 1", "x-one: 2", "X-Two: \xe9"))
    assert (fields.get("X-ONE"), fields.get_all("x-one"), fields.get("None")) == ("1, 2", ["1", "2"], None)
    assert "x-TWO" in fields and "X-Three" not in fields and 1 not in fields
    assert (len(fields), list(fields)[3]) == (4, ("X-Two", "\xe9"))
    fields.set("X-One", "  3\t")
    fields.add("X-Two", "4")
    fields.set("Host", "b")
    assert lines(fields.pairs) == ["Host: b", "X-One: 3", "X-Two: \xe9", "X-Two: 4"]
    fields.remove("x-two", "None")
    fields.update([("X-Three", "5"), ("X-One", "6")])
    assert lines(fields.pairs) == ["Host: b", "X-One: 6", "X-Three: 5"]
    assert repr(fields) == "<Fields ['Host', 'X-One', 'X-Three']>"


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("X A", "1", "is not a field name"),
        ("", "1", "is not a field name"),
        ("X\r\nA", "1", "is not a field name"),
        ("X", "1\r\nY: 2", "control character"),
        ("X", "\0", "control character"),
        ("X", "\u20ac", "not latin-1"),
        ("Content-Length", "1", "the proxy's own"),
        ("transfer-encoding", "chunked", "the proxy's own"),
        ("Connection", "close", "the proxy's own"),
        ("TE", "trailers", "the proxy's own"),
        ("Content_Length", "1", "the proxy's own"),
    ],
)
def test_fields_refuse(name: str, value: str, word: str) -> None:
    fields = Fields([HOST])
    for change in (fields.set, fields.add):
        with pytest.raises(LocalProtocolError, match=word):
            change(name, value)
    assert fields.pairs == [HOST]


def test_fields_keep_one_host() -> None:
    fields = Fields([HOST])
    with pytest.raises(LocalProtocolError, match="one Host"):
        fields.add("host", "b")
    with pytest.raises(LocalProtocolError, match="needs its Host"):
        fields.remove("HOST")
    Fields([(b"Host", b"odd")], responses=True).remove("Host")
    with pytest.raises(TypeError, match="is a int, not a text"):
        fields.set("X", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is a bytes, not a text"):
        fields.set(b"X", "1")  # type: ignore[arg-type]
