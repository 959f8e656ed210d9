"""The cases of the Autobahn test suite for WebSocket servers, as raw frames over a real socket.

Numbers in the ids are those of the suite. A case is what the client sends, and what has to come back: frames in order,
and then the close code, or None when the connection stays open until the client closes it with 1000.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from web import serving
from wsraw import BINARY, CLOSE, CONT, PING, PONG, TEXT, Peer, close_frame, masked

from greenbas import Request, Response, Server
from greenbas.protocol.websocketdeflate import Deflate

Frames = list[tuple[int, bytes]]
MIB = 1024 * 1024


def echo(request: Request, response: Response) -> None:
    with request.upgrade(max_size=16 * MIB) as ws:
        for message in ws:
            ws.send(message)


def deflated(request: Request, response: Response) -> None:
    with request.upgrade(max_size=16 * MIB, compression=Deflate(window_bits=15, memory_level=8)) as ws:
        for message in ws:
            ws.send(message)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        made.directory("echo")(echo)
        made.directory("deflate")(deflated)
        yield made


def text(*parts: bytes) -> list[bytes]:
    """A text message, in as many fragments as there are parts."""
    return message(TEXT, *parts)


def message(opcode: int, *parts: bytes) -> list[bytes]:
    """A message in fragments."""
    return [masked(CONT if n else opcode, part, fin=n == len(parts) - 1) for n, part in enumerate(parts)]


def bits(first: int, payload: bytes = b"") -> bytes:
    """A frame with any first byte."""
    frame = masked(BINARY, payload)
    return bytes([first]) + frame[1:]


def check(peer: Peer, sent: list[bytes], expected: Frames, code: int | None, size: int | None = None) -> None:
    """Send, in packets of `size`, and compare what comes."""
    data = b"".join(sent)
    if size is None:
        peer.send(data)
    else:
        peer.chopped(data, size)
    assert [peer.frame() for _ in expected] == expected
    if code is None:
        peer.send(close_frame(1000))
    assert peer.closing() == (code or 1000)


# -- 1, 2: echo, pings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["1.1", "1.2"])
@pytest.mark.parametrize("length", [0, 125, 126, 127, 128, 65535, 65536])
@pytest.mark.parametrize("size", [None, 997])
def test_1_echo(server: Server, opcode: int, length: int, size: int | None) -> None:
    with Peer.open(server, "/echo") as peer:
        check(peer, [masked(opcode, b"*" * length)], [(opcode, b"*" * length)], None, size)


PINGS = {
    "2.1": ([masked(PING)], [(PONG, b"")], None),
    "2.2": ([masked(PING, b"Hello, world!")], [(PONG, b"Hello, world!")], None),
    "2.3": ([masked(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")], [(PONG, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")], None),
    "2.4": ([masked(PING, b"\xfe" * 125)], [(PONG, b"\xfe" * 125)], None),
    "2.5": ([masked(PING, b"\xfe" * 126)], [], 1002),
    "2.7": ([masked(PONG)], [], None),
    "2.8": ([masked(PONG, b"unsolicited")], [], None),
    "2.9": ([masked(PONG, b"unsolicited"), masked(PING, b"ping")], [(PONG, b"ping")], None),
    "2.10": ([masked(PING, b"%d" % n) for n in range(10)], [(PONG, b"%d" % n) for n in range(10)], None),
}


@pytest.mark.parametrize("size", [None, 1])  # in octets it is 2.6 and 2.11
@pytest.mark.parametrize("case", PINGS)
def test_2_pings(server: Server, case: str, size: int | None) -> None:
    with Peer.open(server, "/echo") as peer:
        check(peer, *PINGS[case], size)


# -- 3, 4: reserved bits and opcodes ------------------------------------------------------------------------------

RESERVED = {
    "3.1": bits(0x80 | 0x10 | TEXT, b"x"),
    "3.2": bits(0x80 | 0x20 | TEXT, b"x"),
    "3.3": bits(0x80 | 0x30 | TEXT, b"x"),
    "3.4": bits(0x80 | 0x40 | TEXT, b"x"),
    "3.5": bits(0x80 | 0x50 | BINARY, b"\x00\xff"),
    "3.6": bits(0x80 | 0x60 | PING, b"x"),
    "3.7": bits(0x80 | 0x70 | CLOSE),
} | {f"4.{1 + (op > 7)}.{op}": bits(0x80 | op, b"" if op % 2 else b"x") for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)}


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("case", RESERVED)
def test_3_and_4_what_is_reserved(server: Server, case: str, size: int | None) -> None:
    with Peer.open(server, "/echo") as peer:
        peer.send(masked(TEXT, b"first"))
        assert peer.text() == "first"
        # What came before it is answered, also when it came with it.
        check(peer, [masked(TEXT, b"second"), RESERVED[case], masked(PING)], [(TEXT, b"second")], 1002, size)


# -- 5: fragments -------------------------------------------------------------------------------------------------

A, B = b"fragment1", b"fragment2"
FRAGMENTS: dict[str, tuple[list[bytes], Frames, int | None]] = {
    "5.1": ([masked(PING, A, fin=False), masked(CONT, B)], [], 1002),
    "5.2": ([masked(PONG, A, fin=False), masked(CONT, B)], [], 1002),
    "5.3-5": (text(A, B), [(TEXT, A + B)], None),
    "5.6-8": (
        [masked(TEXT, A, fin=False), masked(PING, b"ping"), masked(CONT, B)],
        [(PONG, b"ping"), (TEXT, A + B)],
        None,
    ),
    "5.9": ([masked(CONT, b"non-continuation")], [], 1002),
    "5.12": ([masked(CONT, b"non-continuation", fin=False)], [], 1002),
    "5.18": ([masked(TEXT, A, fin=False), masked(TEXT, B)], [], 1002),
    "5.19": (
        [
            masked(TEXT, b"1", fin=False),
            masked(CONT, b"2", fin=False),
            masked(PING, b"p1"),
            masked(CONT, b"3", fin=False),
            masked(CONT, b"4", fin=False),
            masked(PING, b"p2"),
            masked(CONT, b"5"),
        ],
        [(PONG, b"p1"), (PONG, b"p2"), (TEXT, b"12345")],
        None,
    ),
}


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize("case", FRAGMENTS)
def test_5_fragments(server: Server, case: str, size: int | None) -> None:
    with Peer.open(server, "/echo") as peer:
        check(peer, *FRAGMENTS[case], size)


@pytest.mark.parametrize("fin", [True, False], ids=["5.15, 5.16", "5.17"])
def test_5_a_continuation_behind_a_whole_message(server: Server, fin: bool) -> None:
    with Peer.open(server, "/echo") as peer:
        peer.send(*text(A, B))
        assert peer.text() == "fragment1fragment2"
        check(peer, [masked(CONT, b"non-continuation", fin=fin), *text(A, B)], [], 1002)


# -- 6: UTF-8 -----------------------------------------------------------------------------------------------------

GOOD = [
    "6.1 ",
    "6.2 Hello-µ@ßöäüàá-UTF-8!!",
    "6.5 κόσμε",
    "6.7 \x00\x80\u0800\U00010000",
    "6.9 \x7f\u07ff\uffff\U0010ffff",
    "6.11 \ud7ff\ue000\ufffd\U0010ffff",
    "6.22 \ufffe\uffff\U0001fffe\U0001ffff\U0010fffe\U0010ffff",
    "6.23 \ufff9\ufffa\ufffb\ufffc\ufffd\ufffe\uffff",
]
BAD = {
    "6.3": bytes.fromhex("cebae1bdb9cf83cebcceb5eda080656469746564"),
    "6.6": "κόσμε".encode()[:-1],
    "6.8.1": b"\xf8\x88\x80\x80\x80",
    "6.8.2": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1": b"\xf7\xbf\xbf\xbf",
    "6.10.2": b"\xfb\xbf\xbf\xbf\xbf",
    "6.12": b"\x80",
    "6.13": b"\xbf" * 3,
    "6.14": b"\xc0 \xc1 \xc2 ",
    "6.14.6": b"\xe0 \xef ",
    "6.15": b"\xc0",
    "6.16": b"\xe0\x80",
    "6.17": b"\xf0\x80\x80",
    "6.18": b"\xc0\xaf",
    "6.18.2": b"\xe0\x80\xaf",
    "6.18.3": b"\xf0\x80\x80\xaf",
    "6.19": b"\xc1\xbf",
    "6.20": b"\xed\xa0\x80",
    "6.20.4": b"\xed\xbf\xbf",
    "6.21": b"\xed\xa0\x80\xed\xb0\x80",
    "6.4": b"\xf4\x90\x80\x80",
    "6.24": b"\xef\xbf\xbe\xff",
}


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("sample", GOOD, ids=lambda sample: sample.partition(" ")[0])
def test_6_text(server: Server, sample: str, size: int | None) -> None:
    data = sample.partition(" ")[2].encode()
    octets = [data[n : n + 1] for n in range(len(data))] or [b""]
    with Peer.open(server, "/echo") as peer:
        check(peer, [*text(data), *text(*octets), *text(b"", data, b"")], [(TEXT, data)] * 3, None, size)


@pytest.mark.parametrize("how", ["whole", "fragments", "chopped"])
@pytest.mark.parametrize("case", BAD)
def test_6_what_is_no_text(server: Server, case: str, how: str) -> None:
    data = BAD[case]
    octets = [data[n : n + 1] for n in range(len(data))]
    with Peer.open(server, "/echo") as peer:
        check(peer, text(*octets) if how == "fragments" else text(data), [], 1007, 1 if how == "chopped" else None)


@pytest.mark.parametrize("case", ["6.4.1", "6.4.2", "6.4.3", "6.4.4"])
def test_6_4_bad_text_fails_at_once(server: Server, case: str) -> None:
    good, bad, rest = "κόσμε".encode(), b"\xf4\x90\x80\x80", b"edited"
    with Peer.open(server, "/echo") as peer:
        if case in ("6.4.1", "6.4.2"):  # the rest of the message is never sent
            cut = 4 if case == "6.4.1" else 2
            peer.send(masked(TEXT, good, fin=False))
            peer.send(masked(CONT, bad[:cut], fin=False))
        else:  # the rest of the frame is never sent
            frame = masked(TEXT, good + bad + rest)
            at = len(frame) - len(rest) - (0 if case == "6.4.3" else 2)
            peer.send(frame[:7])
            peer.send(frame[7:at])
        assert peer.closing() == 1007


# -- 7: the end ---------------------------------------------------------------------------------------------------


def test_7_1_1_a_message_before_the_close(server: Server) -> None:
    with Peer.open(server, "/echo") as peer:
        peer.send(masked(TEXT, b"Hello World!"))
        assert peer.text() == "Hello World!"
        peer.send(close_frame())
        assert peer.closing() == 1000


@pytest.mark.parametrize(
    "behind",
    [close_frame(), masked(PING), masked(TEXT, b"no"), masked(CONT, b"no"), masked(BINARY, bytes(256 * 1024))],
    ids=["7.1.2", "7.1.3", "7.1.4", "7.1.5", "7.1.6"],
)
def test_7_1_what_comes_behind_a_close_does_not_count(server: Server, behind: bytes) -> None:
    with Peer.open(server, "/echo") as peer:
        check(peer, [close_frame(), behind], [], 1000)


def test_7_1_5_a_close_within_a_message(server: Server) -> None:
    with Peer.open(server, "/echo") as peer:
        check(peer, [masked(TEXT, A, fin=False), close_frame(), masked(CONT, B)], [], 1000)


def test_7_1_6_a_close_behind_a_large_message(server: Server) -> None:
    with Peer.open(server, "/echo") as peer:
        data = b"BAsd7&jh23" * (MIB // 40)
        peer.send(masked(TEXT, data), close_frame(1000), masked(PING))
        found = [peer.frame()[0] for _ in range(1)]
        assert found[0] in (TEXT, CLOSE)  # the suite calls it informational


CLOSES = {
    "7.3.1": (close_frame(None), None),
    "7.3.2": (masked(CLOSE, b"\x03"), 1002),
    "7.3.3": (close_frame(1000), 1000),
    "7.3.4": (close_frame(1000, b"Hello World!"), 1000),
    "7.3.5": (close_frame(1000, b"*" * 123), 1000),
    "7.3.6": (close_frame(1000, b"*" * 124), 1002),
    "7.5.1": (close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"), 1007),
}
CLOSES |= {
    f"7.7-{code}": (close_frame(code), code)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
}
CLOSES |= {
    f"7.9-{code}": (close_frame(code), 1002)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
}


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("case", CLOSES)
def test_7_close_frames(server: Server, case: str, size: int | None) -> None:
    frame, code = CLOSES[case]
    with Peer.open(server, "/echo") as peer:
        if size:
            peer.chopped(frame)
        else:
            peer.send(frame)
        assert peer.closing() == code


# -- 9: size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.1", "9.2"])
@pytest.mark.parametrize("length", [64 * 1024, MIB, 8 * MIB])
def test_9_large_messages(server: Server, opcode: int, length: int) -> None:
    data = b"BAsd7&jh23........"[:16] * (length // 16)
    with Peer.open(server, "/echo") as peer:
        check(peer, [masked(opcode, data)], [(opcode, data)], None)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.3", "9.4"])
@pytest.mark.parametrize("length", [64, 4096, 256 * 1024, 4 * MIB])
def test_9_large_messages_in_fragments(server: Server, opcode: int, length: int) -> None:
    data = b"BAsd7&jh23......" * (4 * MIB // 16)
    parts = [data[start : start + length] for start in range(0, len(data), length)]
    with Peer.open(server, "/echo") as peer:
        check(peer, message(opcode, *parts), [(opcode, data)], None)  # quadratic work would take minutes


@pytest.mark.parametrize("size", [64, 256, 2048])
def test_9_5_and_9_6_chopped(server: Server, size: int) -> None:
    data = os.urandom(MIB // 4)
    with Peer.open(server, "/echo") as peer:
        check(peer, [masked(BINARY, data)], [(BINARY, data)], None, size)


@pytest.mark.parametrize("length", [0, 16, 64, 256, 1024, 4096])
def test_9_7_and_9_8_round_trips(server: Server, length: int) -> None:
    with Peer.open(server, "/echo") as peer:
        for number in range(100):
            opcode = (TEXT, BINARY)[number % 2]
            peer.send(masked(opcode, b"*" * length))
            assert peer.frame() == (opcode, b"*" * length)
        check(peer, [], [], None)


def test_10_1_1_automatic_fragments(server: Server) -> None:
    data = b"*" * 65536
    parts = [data[start : start + 1300] for start in range(0, len(data), 1300)]
    with Peer.open(server, "/echo") as peer:
        check(peer, text(*parts), [(TEXT, data)], None)


# -- 12, 13: permessage-deflate -----------------------------------------------------------------------------------

OFFERS = {
    "13.1": "",
    "13.2": "; client_no_context_takeover; client_max_window_bits",
    "13.3": "; server_no_context_takeover; server_max_window_bits=9",
    "13.4": "; server_no_context_takeover; server_max_window_bits=15",
    "13.5": "; client_max_window_bits=9; server_max_window_bits=9",
    "13.6": "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
    "13.7": "; server_max_window_bits=8, permessage-deflate; client_max_window_bits, permessage-deflate",
}
SAMPLES = {
    "text": b'{"name": "Autobahn", "items": [1, 2, 3], "tag": "\xc3\xa4"} ' * 20_000,
    "random": os.urandom(MIB),
    "zeros": bytes(2 * MIB),
}


class Squeezer:
    """The client's half of permessage-deflate, by zlib alone."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self._encoder = self._make_encoder()
        self._decoder = self._make_decoder()

    def _bits(self, side: str) -> int:
        return int(self.answer.partition(f"{side}_max_window_bits=")[2].partition(";")[0] or 15)

    def _make_encoder(self) -> Any:
        return zlib.compressobj(wbits=-self._bits("client"))

    def _make_decoder(self) -> Any:
        return zlib.decompressobj(wbits=-self._bits("server"))

    def squeeze(self, data: bytes) -> bytes:
        if "client_no_context_takeover" in self.answer:
            self._encoder = self._make_encoder()
        return (self._encoder.compress(data) + self._encoder.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def release(self, data: bytes) -> bytes:
        if "server_no_context_takeover" in self.answer:
            self._decoder = self._make_decoder()
        return self._decoder.decompress(data + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("offer", OFFERS)
def test_12_and_13_compressed(server: Server, offer: str, sample: str) -> None:
    data = SAMPLES[sample]
    opcode = TEXT if sample == "text" else BINARY
    lengths = [0, 16, 64, 256, 1024, 4096, 8192, 32768, 131072]
    if offer == "13.1":
        lengths.append(len(data))
    if sample == "text":
        lengths = [length - length % 58 for length in lengths]  # no character is cut
    with Peer.open(server, "/deflate", f"Sec-WebSocket-Extensions: permessage-deflate{OFFERS[offer]}") as peer:
        answer = peer.head.decode().partition("Sec-WebSocket-Extensions: ")[2].partition("\r\n")[0]
        assert answer.startswith("permessage-deflate")
        squeezer = Squeezer(answer)
        for number, length in itertools.product(range(2), lengths):
            squeezed = squeezer.squeeze(data[:length])
            if number:  # in fragments, of which the first alone has the bit
                cut = len(squeezed) // 2
                peer.send(masked(opcode, squeezed[:cut], fin=False, compressed=True), masked(PING, b"!"))
                assert peer.frame() == (PONG, b"!")
                peer.send(masked(CONT, squeezed[cut:]))
            else:
                peer.send(masked(opcode, squeezed, compressed=True))
            first, payload = peer.frame()
            assert first == opcode | 0x40
            assert squeezer.release(payload) == data[:length]
        check(peer, [], [], None)


def test_12_a_client_may_leave_messages_uncompressed(server: Server) -> None:
    with Peer.open(server, "/deflate", "Sec-WebSocket-Extensions: permessage-deflate") as peer:
        peer.send(masked(TEXT, b"plain"))
        first, payload = peer.frame()
        assert (first, Squeezer("").release(payload)) == (TEXT | 0x40, b"plain")


@pytest.mark.parametrize(
    "frames",
    [
        [masked(PING, b"x", compressed=True)],
        [masked(CLOSE, b"\x03\xe8", compressed=True)],
        [masked(TEXT, b"x", fin=False, compressed=True), masked(CONT, b"y", compressed=True)],
        [masked(TEXT, b"\xff\xff\xff", compressed=True)],
    ],
)
def test_13_what_is_wrong_with_compression(server: Server, frames: list[bytes]) -> None:
    with Peer.open(server, "/deflate", "Sec-WebSocket-Extensions: permessage-deflate") as peer:
        check(peer, frames, [], 1002)


def test_13_a_bomb(server: Server) -> None:
    with Peer.open(server, "/deflate", "Sec-WebSocket-Extensions: permessage-deflate") as peer:
        check(peer, [masked(BINARY, Squeezer("").squeeze(bytes(100 * MIB)), compressed=True)], [], 1009)
