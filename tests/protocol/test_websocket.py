"""Frames in pieces: the examples of RFC 6455, what is refused and when, and other implementations as oracles."""

from __future__ import annotations

import struct
import zlib

import pytest
import websocket as websocket_client
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from greenbas.errors import ConnectionClosed
from greenbas.protocol.websocket import FrameReader, Piece
from greenbas.protocol.websocketdeflate import Codec, Deflate, negotiate
from greenbas.protocol.websocketframe import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_payload,
    make_frame,
    parse_close,
)

MASKED_HELLO = bytes.fromhex("8185 37fa213d 7f9f4d5158")


def raw(first: int, payload: bytes = b"", *, length: bytes | None = None) -> bytes:
    """A frame for a client's reader with any first byte, and any length field."""
    return bytes([first]) + (bytes([len(payload)]) if length is None else length) + payload


def read(data: bytes, size: int | None = None, **options: object) -> tuple[list[Piece], ConnectionClosed | None]:
    """What a client's reader makes of bytes that arrive in pieces of `size`."""
    reader = FrameReader(client=True, **options)  # type: ignore[arg-type]
    pieces = []
    for start in range(0, len(data), size or max(len(data), 1)):
        pieces += reader.feed(data[start : start + (size or len(data))])
    return pieces, reader.failure


def messages(pieces: list[Piece]) -> list[str | bytes]:
    """Pieces put together; control frames by themselves."""
    found: list[str | bytes] = []
    parts: list[str | bytes] = []
    for piece in pieces:
        if piece.opcode in (TEXT, BINARY):
            parts.append(piece.data)
            if piece.last:
                found.append(("" if piece.istext else b"").join(parts))  # type: ignore[arg-type]
                parts = []
        else:
            found.append(piece.data)
    assert not parts
    return found


# -- what goes out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opcode", "payload", "fin", "wire"),
    [  # RFC 6455 5.7
        (TEXT, b"Hello", True, "8105 48656c6c6f"),
        (TEXT, b"Hel", False, "0103 48656c"),
        (CONT, b"lo", True, "8002 6c6f"),
        (PING, b"Hello", True, "8905 48656c6c6f"),
        (BINARY, bytes(256), True, "827e0100" + "00" * 256),
        (BINARY, bytes(65536), True, "827f0000000000010000" + "00" * 65536),
        (BINARY, b"", True, "8200"),
        (BINARY, bytes(125), True, "827d" + "00" * 125),
        (BINARY, bytes(126), True, "827e007e" + "00" * 126),
        (BINARY, bytes(65535), True, "827effff" + "00" * 65535),
    ],
)
def test_frames_as_in_the_rfc(opcode: int, payload: bytes, fin: bool, wire: str) -> None:
    assert make_frame(opcode, payload, fin=fin) == bytes.fromhex(wire)
    pieces, failure = read(bytes.fromhex(wire), max_size=None) if opcode != CONT else ([], None)
    assert failure is None
    for piece in pieces:
        data = piece.data.encode() if isinstance(piece.data, str) else piece.data
        assert (data, piece.opcode, piece.last) == (payload, opcode, fin)


def test_a_masked_frame_as_in_the_rfc() -> None:
    (piece,) = FrameReader().feed(MASKED_HELLO)
    assert piece == Piece("Hello", True, 5, 5, True, TEXT)


def test_masks_differ() -> None:
    assert len({make_frame(TEXT, b"Hello", masked=True)[2:6] for _ in range(20)}) > 15


@given(st.binary(max_size=300), st.sampled_from([TEXT, BINARY, PING, PONG]), st.booleans())
def test_frames_equal_those_of_the_library(payload: bytes, opcode: int, fin: bool) -> None:
    if opcode >= CLOSE:
        payload, fin = payload[:125], True
    assert make_frame(opcode, payload, fin=fin) == Frame(Opcode(opcode), payload, fin).serialize(mask=False)


@given(st.binary(max_size=70_000))
@settings(max_examples=30)
def test_masked_frames_are_read_by_the_library(payload: bytes) -> None:
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(make_frame(BINARY, payload, masked=True))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert bytes(frame.data) == payload


# -- what comes in ------------------------------------------------------------------------------------------------

part = st.one_of(st.text(max_size=200), st.binary(max_size=200), st.binary(min_size=60_000, max_size=70_000))


@st.composite
def wire(draw: st.DrawFn) -> tuple[bytes, list[str | bytes]]:
    """Masked bytes of some messages in fragments with control frames in between, and what they say, in order."""
    sent, expected = [], []
    for message in draw(st.lists(part, max_size=5)):
        payload = message.encode() if isinstance(message, str) else message
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        ends = [*cuts, len(payload)]
        for number, (start, stop) in enumerate(zip([0, *cuts], ends, strict=True)):
            opcode = CONT if number else TEXT if isinstance(message, str) else BINARY
            sent.append((opcode, payload[start:stop], number == len(ends) - 1))
            if draw(st.booleans()):
                control = draw(st.binary(max_size=125))
                sent.append((draw(st.sampled_from([PING, PONG])), control, True))
                expected.append(control)
        # A control frame comes before the message that it stands within.
        tail = [] if not sent or sent[-1][0] < CLOSE else [expected.pop()]
        expected += [message, *tail]
    frames = [websocket_client.ABNF(int(fin), 0, 0, 0, opcode, 1, payload) for opcode, payload, fin in sent]
    return b"".join(frame.format() for frame in frames), expected


@given(wire(), st.integers(1, 40_000))
@settings(max_examples=60, deadline=None)
def test_what_websocket_client_sends_is_read_whatever_the_cuts(
    case: tuple[bytes, list[str | bytes]], size: int
) -> None:
    data, expected = case
    reader = FrameReader()
    pieces = [piece for start in range(0, len(data), size) for piece in reader.feed(data[start : start + size])]
    assert reader.failure is None
    assert messages(pieces) == expected


def test_a_frame_that_trickles_says_how_far_it_is() -> None:
    frame = make_frame(TEXT, "añb".encode(), fin=False) + make_frame(CONT, b"c")
    pieces, failure = read(frame, 1)
    assert failure is None
    assert pieces == [
        Piece("a", True, 1, 4, False, TEXT),
        Piece("", True, 2, 4, False, TEXT),
        Piece("ñ", True, 3, 4, False, TEXT),
        Piece("b", True, 4, 4, False, TEXT),
        Piece("c", True, 1, 1, True, TEXT),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_control_frames_between_fragments(size: int) -> None:
    data = (
        make_frame(TEXT, b"one ", fin=False)
        + make_frame(PING, b"?")
        + make_frame(CONT, b"", fin=False)
        + make_frame(PONG, b"!" * 125)
        + make_frame(CONT, b"two")
        + make_frame(BINARY, b"three")
        + make_frame(CLOSE, close_payload(1000, "bye"))
    )
    pieces, failure = read(data, size)
    assert failure is None
    assert messages(pieces) == [b"?", b"!" * 125, "one two", b"three", b"\x03\xe8bye"]


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (raw(0x83), 1002, "opcode 3"),
        (raw(0x87), 1002, "opcode 7"),
        (raw(0x8B), 1002, "opcode 11"),
        (raw(0x8F, b"x"), 1002, "opcode 15"),
        (raw(0xC1, b"x"), 1002, "reserved bit"),
        (raw(0xA1, b"x"), 1002, "reserved bit"),
        (raw(0x91, b"x"), 1002, "reserved bit"),
        (raw(0xD9), 1002, "reserved bit"),
        (raw(0x09, b"x"), 1002, "fragmented"),
        (raw(0x0A), 1002, "fragmented"),
        (raw(0x08), 1002, "fragmented"),
        (raw(0x89, bytes(126), length=b"\x7e\x00\x7e"), 1002, "more than 125"),
        (raw(0x88, bytes(126), length=b"\x7e\x00\x7e"), 1002, "more than 125"),
        (raw(0x80, b"x"), 1002, "without a beginning"),
        (raw(0x00, b"x"), 1002, "without a beginning"),
        (raw(0x01, b"x") + raw(0x81, b"y"), 1002, "within another"),
        (raw(0x02, b"x") + raw(0x82, b"y"), 1002, "within another"),
        (raw(0x81, b"x") + raw(0x80, b"y"), 1002, "without a beginning"),
        (raw(0x82, length=b"\x7e\x00\x05") + bytes(5), 1002, "more bytes than it needs"),
        (raw(0x82, length=b"\x7f" + bytes(6) + b"\x01\x00") + bytes(256), 1002, "more bytes than it needs"),
        (raw(0x82, length=b"\x7f\x80" + bytes(7)), 1002, "highest bit"),
        (b"\x81\x85mask", 1002, "masked"),
        (raw(0x81, b"\xff"), 1007, "UTF-8"),
        (raw(0x81, b"\xc3"), 1007, "UTF-8"),
        (raw(0x01, b"\xc3") + raw(0x80), 1007, "UTF-8"),
        (raw(0x81, b"\xed\xa0\x80"), 1007, "UTF-8"),
        (raw(0x81, b"\xf4\x90\x80\x80"), 1007, "UTF-8"),
        (raw(0x81, b"\xc0\xaf"), 1007, "UTF-8"),
        (raw(0x82, length=b"\x7e\x03\xe9") + bytes(1001), 1009, "1001 bytes"),
        (raw(0x02, bytes(100)) * 1 + b"".join(raw(0x00, bytes(100)) for _ in range(10)), 1009, "1100 bytes"),
    ],
)
def test_what_breaks_the_protocol_is_refused(data: bytes, code: int, words: str, size: int | None) -> None:
    _, failure = read(data, size, max_size=1000)
    assert failure is not None
    assert failure.code == code
    assert words in failure.reason


def test_a_server_wants_a_mask() -> None:
    reader = FrameReader()
    assert reader.feed(make_frame(TEXT, b"x")) == []
    assert reader.failure is not None
    assert "not masked" in reader.failure.reason


def test_what_came_before_the_failure_is_delivered_and_nothing_behind_it() -> None:
    reader = FrameReader(client=True)
    (piece,) = reader.feed(raw(0x81, b"ok") + raw(0x83) + raw(0x81, b"late"))
    assert piece.data == "ok"
    assert reader.failure is not None
    assert reader.feed(raw(0x81, b"later")) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        # Autobahn 6.4: the first byte that cannot be right is enough.
        ("κόσμε".encode(), b"\xf4\x90"),
        (b"", b"\xed\xa0"),
        (b"", b"\xf5"),
        (b"x", b"\x80"),
        (b"x", b"\xe0\x80"),
        (b"x", b"\xf0\x8f"),
        (b"x", b"\xc1"),
    ],
)
def test_bad_utf8_is_found_in_the_middle_of_a_frame(good: bytes, bad: bytes) -> None:
    reader = FrameReader(client=True)
    frame = raw(0x01, b"" + good + bad + b"x" * 50)
    end = 2 + len(good) + len(bad)
    for number in range(end - 1):
        reader.feed(frame[number : number + 1])
        assert reader.failure is None, number
    reader.feed(frame[end - 1 : end])
    assert reader.failure is not None
    assert reader.failure.code == 1007


@given(st.binary(max_size=12), st.integers(1, 5))
def test_pieces_of_text_are_valid_when_the_whole_is(payload: bytes, size: int) -> None:
    try:
        expected: str | None = payload.decode()
    except UnicodeDecodeError:
        expected = None
    pieces, failure = read(make_frame(TEXT, payload), size)
    if expected is None:
        assert failure is not None
        assert failure.code == 1007
    else:
        assert failure is None
        assert messages(pieces) == [expected]


def test_a_size_over_the_limit_is_refused_before_the_bytes_come() -> None:
    reader = FrameReader(client=True, max_size=10)
    assert reader.feed(b"\x82\x0b") == []
    assert reader.failure is not None
    assert reader.failure.code == 1009


# -- close frames -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_close_codes(code: int) -> None:
    payload = close_payload(code, "weil ß")
    assert parse_close(payload) == (code, "weil ß")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_bad_close_codes(code: int) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        parse_close(struct.pack("!H", code))
    assert caught.value.code == 1002
    with pytest.raises(ValueError, match=f"close code {code} cannot be sent"):
        close_payload(code, "why")


def test_close_frames_without_a_code() -> None:
    assert parse_close(b"") == (1005, "")
    with pytest.raises(ConnectionClosed, match="1002"):
        parse_close(b"\x03")
    with pytest.raises(ConnectionClosed, match="1007"):
        parse_close(b"\x03\xe8\xff")


def test_close_reasons_fit_into_a_frame() -> None:
    assert len(close_payload(1000, "ß" * 61)) == 124
    with pytest.raises(ValueError, match="the reason has 124 bytes"):
        close_payload(1000, "ß" * 62)


# -- compression --------------------------------------------------------------------------------------------------


def codecs(
    offer: str = "permessage-deflate", configured: Deflate | None = None
) -> tuple[str, Codec, PerMessageDeflate]:
    """What the server answers to an offer, its codec, and the client's."""
    agreed = negotiate([offer], configured or Deflate())
    assert agreed is not None
    value, codec = agreed
    server_bits = 12 if "server_max_window_bits=12" in value else 15
    client_bits = int(value.partition("client_max_window_bits=")[2][:2] or 15)
    client = PerMessageDeflate(
        "server_no_context_takeover" in value, "client_no_context_takeover" in value, server_bits, client_bits
    )
    return value, codec, client


@pytest.mark.parametrize(
    ("offers", "configured", "answer"),
    [
        (["permessage-deflate"], Deflate(), "permessage-deflate; server_max_window_bits=12"),
        (
            ["permessage-deflate; client_max_window_bits"],
            Deflate(),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            ["permessage-deflate; server_max_window_bits=10"],
            Deflate(window_bits=15),
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            ["permessage-deflate; client_max_window_bits=9"],
            Deflate(window_bits=15),
            "permessage-deflate; server_max_window_bits=15; client_max_window_bits=9",
        ),
        (
            ["permessage-deflate"],
            Deflate(no_context_takeover=True, window_bits=15),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
        ),
        (["x-webkit-deflate-frame, permessage-deflate"], Deflate(), "permessage-deflate; server_max_window_bits=12"),
        (
            ["permessage-deflate; nonsense=1", "permessage-deflate"],
            Deflate(),
            "permessage-deflate; server_max_window_bits=12",
        ),
        (["permessage-deflate; server_max_window_bits=8"], Deflate(), None),
        (["permessage-deflate; server_max_window_bits=16"], Deflate(), None),
        (["permessage-deflate; client_max_window_bits=12; client_max_window_bits=12"], Deflate(), None),
        (["permessage-bzip2"], Deflate(), None),
        ([], Deflate(), None),
    ],
)
def test_offers(offers: list[str], configured: Deflate, answer: str | None) -> None:
    agreed = negotiate(offers, configured)
    assert (agreed and agreed[0]) == answer


def test_a_malformed_offer() -> None:
    with pytest.raises(ValueError, match="Sec-WebSocket-Extensions"):
        negotiate(["permessage-deflate; ="], Deflate())


@pytest.mark.parametrize("wrong", [{"window_bits": 8}, {"window_bits": 16}, {"memory_level": 0}, {"memory_level": 10}])
def test_settings_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="use "):
        Deflate(**wrong)


OFFERS = ["permessage-deflate", "permessage-deflate; client_no_context_takeover; server_no_context_takeover"]


@given(
    st.lists(st.tuples(st.text(max_size=3000), st.integers(0, 3000)), max_size=6), st.sampled_from(OFFERS), st.data()
)
@settings(max_examples=40, deadline=None)
def test_compressed_messages_both_ways(texts: list[tuple[str, int]], offer: str, data: st.DataObject) -> None:
    _, codec, client = codecs(offer)
    reader = FrameReader(codec=codec)
    for text, cut in texts:
        payload = text.encode()
        cut = min(cut, len(payload))
        sent = Frame(Opcode.TEXT, payload[:cut], fin=False).serialize(mask=True, extensions=[client])
        sent += make_frame(PING, b"?", masked=True)
        sent += Frame(Opcode.CONT, payload[cut:]).serialize(mask=True, extensions=[client])
        size = data.draw(st.integers(1, 500))
        pieces = [piece for start in range(0, len(sent), size) for piece in reader.feed(sent[start : start + size])]
        assert reader.failure is None
        assert messages(pieces) in ([b"?", text], [b"?", text][::-1])
        back = client.decode(Frame(Opcode.TEXT, codec.compress(payload), rsv1=True))
        assert bytes(back.data) == payload


def test_the_reserved_bit_belongs_on_the_first_frame_alone() -> None:
    for frames in ([0x41, 0xC0], [0xC9], [0xC8], [0x01, 0xC0]):
        _, codec, _ = codecs()
        reader = FrameReader(client=True, codec=codec)
        for first in frames:
            reader.feed(raw(first))
        assert reader.failure is not None
        assert reader.failure.code == 1002


def compressed_zeros(size: int) -> bytes:
    maker = zlib.compressobj(wbits=-15)
    return (maker.compress(bytes(size)) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("size", [1_000_001, 30_000_000])
def test_a_bomb_does_not_go_off(size: int, pieces: int) -> None:
    _, codec, _ = codecs(configured=Deflate(window_bits=15))
    reader = FrameReader(client=True, max_size=1_000_000, codec=codec)
    payload = compressed_zeros(size)
    step = len(payload) // pieces + 1
    cuts = [payload[start : start + step] for start in range(0, len(payload), step)]
    inflated = 0
    for number, cut in enumerate(cuts):
        last = number == len(cuts) - 1
        for piece in reader.feed(make_frame(CONT if number else BINARY, cut, fin=last, compressed=not number)):
            inflated += len(piece.data)
    assert reader.failure is not None
    assert reader.failure.code == 1009
    assert inflated <= 1_000_000


def test_the_limit_itself_is_allowed_compressed() -> None:
    _, codec, _ = codecs(configured=Deflate(window_bits=15))
    reader = FrameReader(client=True, max_size=1_000_000, codec=codec)
    (piece,) = reader.feed(make_frame(BINARY, compressed_zeros(1_000_000), compressed=True))
    assert piece.last
    assert piece.data == bytes(1_000_000)


def test_damaged_compression() -> None:
    _, codec, _ = codecs()
    reader = FrameReader(client=True, codec=codec)
    reader.feed(make_frame(BINARY, b"\xff" * 50, compressed=True))
    assert reader.failure is not None
    assert reader.failure.code == 1002
    assert "damaged" in reader.failure.reason


@pytest.mark.parametrize(
    "payloads",
    [
        ["f248cdc9c90700"],  # RFC 7692 7.2.3.1
        ["f248cdc9c90700", "f200110000"],  # 7.2.3.2, the second one with the window of the first
        ["000500faff48656c6c6f00"],  # 7.2.3.3, not compressed
        ["f348cdc9c9070000", "f248cdc9c90700"],  # 7.2.3.4, a final block, and a message behind it
        ["f248050000 00ffff cac9c90700"],  # 7.2.3.5, two blocks
    ],
)
def test_examples_of_the_rfc(payloads: list[str]) -> None:
    for size in (None, 1):
        _, codec, _ = codecs()
        for payload in payloads:
            pieces, failure = read(make_frame(TEXT, bytes.fromhex(payload), compressed=True), size, codec=codec)
            assert failure is None
            assert messages(pieces) == ["Hello"]


def test_an_uncompressed_message_among_compressed_ones() -> None:
    _, codec, client = codecs()
    reader = FrameReader(codec=codec)
    data = (
        Frame(Opcode.TEXT, b"one").serialize(mask=True, extensions=[client])
        + make_frame(TEXT, b"two", masked=True)
        + Frame(Opcode.TEXT, b"one").serialize(mask=True, extensions=[client])
    )
    assert [piece.data for piece in reader.feed(data)] == ["one", "two", "one"]
