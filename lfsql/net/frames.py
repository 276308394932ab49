"""Frames: how messages are cut out of a byte stream.

A frame is a 4-byte big-endian length and that many bytes of msgpack.  Sans-I/O, so that it is tested with bytes
alone.  Rules:

- A length is judged before a single byte of its frame is kept: an oversized frame costs its sender the link and
  us four bytes.
- Everything that one receive brought is decoded at once, and messages to send are encoded straight into the
  buffer that goes to the socket: at thousands of small messages a second the copies and calls in between were
  most of the cost.
- Whole frames inside one received chunk are handed out as views of it, not copies; only a frame that spans
  chunks is gathered.

Rejected: newline-delimited JSON (no bytes type, slow), gRPC and HTTP/2 (asyncio or threads, and far more per
message than the SQLite call it carries).
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from lfsql.errors import LimitExceeded, ProtocolViolation

_LENGTH: Final = struct.Struct(">I")
HEADER_BYTES: Final = _LENGTH.size

_encoder: Final = msgspec.msgpack.Encoder()


def append_frame(outgoing: bytearray, message: msgspec.Struct, frame_bytes_max: int) -> None:
    """Encode `message` as one frame at the end of `outgoing`.

    Raises LimitExceeded when the frame would be longer than `frame_bytes_max`, and what encoding raises of a message
    that cannot be one; `outgoing` is as it was then.
    """
    start = len(outgoing)
    outgoing += b"\0\0\0\0"
    try:
        _encoder.encode_into(message, outgoing, start + HEADER_BYTES)
    except BaseException:
        del outgoing[start:]  # else the other end would take the beginning of the next message for its length
        raise
    length = len(outgoing) - start - HEADER_BYTES
    if length > frame_bytes_max:
        del outgoing[start:]
        raise LimitExceeded(f"a message of {length} bytes exceeds frame_bytes_max ({frame_bytes_max})")
    _LENGTH.pack_into(outgoing, start, length)


class FrameDecoder:
    """Bytes in, frames out.  Holds at most one unfinished frame and what followed it in one chunk."""

    def __init__(self, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._chunk: bytes | bytearray = b""
        self._offset = 0
        self._partial = bytearray()
        self._wanted = 0

    @property
    def wanted(self) -> int:
        """How many bytes the unfinished frame still lacks; 0 when its length is not known yet."""
        return self._wanted - len(self._partial) if self._wanted else 0

    def feed(self, data: bytes) -> None:
        """Add what a receive returned.  Call `frames` or `frame` until empty before feeding more."""
        if self._partial or self._wanted:
            self._partial += data
            if self._wanted and len(self._partial) < self._wanted:
                return
            self._chunk, self._partial, self._wanted = self._partial, bytearray(), 0
        else:
            self._chunk = data
        self._offset = 0

    def frames(self) -> list[memoryview]:
        """Every whole frame there is.  Raises ProtocolViolation for a frame over the limit."""
        found: list[memoryview] = []
        while (one := self.frame()) is not None:
            found.append(one)
        return found

    def frame(self) -> memoryview | None:
        """The next whole frame; None when there is none yet.  Raises ProtocolViolation over the limit."""
        chunk, offset = self._chunk, self._offset
        left = len(chunk) - offset
        if left >= HEADER_BYTES:
            (length,) = _LENGTH.unpack_from(chunk, offset)
            if length > self.frame_bytes_max:
                raise ProtocolViolation(
                    f"a frame of {length} bytes was announced, {self.frame_bytes_max} are allowed"
                )
            end = offset + HEADER_BYTES + length
            if end <= len(chunk):
                self._offset = end
                return memoryview(chunk)[offset + HEADER_BYTES : end]
            self._wanted = HEADER_BYTES + length
        if left:
            self._partial += memoryview(chunk)[offset:]
        self._chunk, self._offset = b"", 0
        return None
