"""Frames fed whole, byte by byte, and with trailing junk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.core.requests import Forget
from lfsql.errors import LimitExceeded, ProtocolViolation
from lfsql.net.frames import FrameDecoder, append_frame


def encoded(*clients: str) -> bytes:
    outgoing = bytearray()
    for client in clients:
        append_frame(outgoing, Forget(client), 1 << 20)
    return bytes(outgoing)


def decoded(decoder: FrameDecoder, data: bytes) -> list[bytes]:
    decoder.feed(data)
    return [bytes(frame) for frame in decoder.frames()]


def test_many_frames_in_one_chunk() -> None:
    data = encoded("a", "b", "c")
    assert len(decoded(FrameDecoder(1 << 20), data)) == 3


@given(st.lists(st.text(max_size=50), max_size=8), st.integers(1, 7))
def test_any_cut_gives_the_same_frames(clients: list[str], size: int) -> None:
    data = encoded(*clients)
    whole = decoded(FrameDecoder(1 << 20), data) if data else []
    decoder = FrameDecoder(1 << 20)
    pieces: list[bytes] = []
    for start in range(0, len(data), size):
        pieces += decoded(decoder, data[start : start + size])
    assert pieces == whole
    assert len(pieces) == len(clients)


def test_an_unfinished_frame_says_what_it_lacks_once_its_length_is_known() -> None:
    data = encoded("x" * 100)
    decoder = FrameDecoder(1 << 20)
    assert decoded(decoder, data[:2]) == []
    assert decoder.wanted == 0
    assert decoded(decoder, data[2:10]) == []
    assert decoder.wanted == len(data) - 10
    assert decoded(decoder, data[10:] + b"\0") == [data[4:]]


def test_an_oversized_frame_is_refused_before_it_is_kept() -> None:
    decoder = FrameDecoder(100)
    decoder.feed((101).to_bytes(4, "big"))
    with pytest.raises(ProtocolViolation, match="101 bytes"):
        decoder.frames()


def test_a_frame_of_exactly_the_limit_passes() -> None:
    decoder = FrameDecoder(100)
    assert decoded(decoder, (100).to_bytes(4, "big") + b"z" * 100) == [b"z" * 100]


def test_a_message_over_the_limit_leaves_the_buffer_as_it_was() -> None:
    outgoing = bytearray(encoded("a"))
    before = bytes(outgoing)
    with pytest.raises(LimitExceeded):
        append_frame(outgoing, Forget("y" * 200), 100)
    assert outgoing == before


def test_a_message_that_cannot_be_encoded_leaves_the_buffer_as_it_was() -> None:
    outgoing = bytearray(encoded("a"))
    with pytest.raises(UnicodeEncodeError):
        append_frame(outgoing, Forget("\ud800"), 1 << 20)
    assert outgoing == encoded("a")
    append_frame(outgoing, Forget("b"), 1 << 20)
    assert len(decoded(FrameDecoder(1 << 20), bytes(outgoing))) == 2
