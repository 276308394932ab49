"""The parts frontend messages are made of: strings, format lists, counted values.  All raise ProtocolViolation."""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final

from lfsql.errors import ProtocolViolation
from proxy.pg.text import decode_utf8

_int: Final = Struct(">i").unpack_from
_short: Final = Struct(">H").unpack_from


def malformed(message: str = "invalid message format") -> ProtocolViolation:
    return ProtocolViolation(message)


def string(buffer: bytes, start: int, end: int) -> tuple[str, int]:
    """A zero-terminated string and the place after its zero."""
    zero = buffer.find(0, start, end)
    if zero < 0:
        raise malformed("invalid string in message")
    if zero == start:
        return "", start + 1
    return decode_utf8(buffer[start:zero]), zero + 1


_FORMATS: Final[dict[bytes, tuple[int, ...]]] = {
    struct.pack(f">H{count}H", count, *(code,) * count): (code,) * count for count in range(17) for code in (0, 1)
}
"""Ready-made format lists by their bytes: up to 16 columns, all text or all binary."""


def formats(buffer: bytes, start: int, end: int) -> tuple[tuple[int, ...], int]:
    stop = start + 2
    count = buffer[start] << 8 | buffer[start + 1]
    if not count:
        return (), stop
    stop += 2 * count
    if stop > end:
        raise malformed()
    known = _FORMATS.get(buffer[start:stop]) if count < 17 else None
    if known is None:
        known = struct.unpack_from(f">{count}H", buffer, start + 2)
    return known, stop


def values(buffer: bytes, start: int, end: int) -> tuple[tuple[bytes | None, ...], int]:
    """A counted list of values, each with its length, -1 for NULL."""
    count = buffer[start] << 8 | buffer[start + 1]
    position = start + 2
    if count == 1:  # the shape of a point read; NULL, 0xffffffff, goes the general way, as it ends far behind
        stop = position + 4 + int.from_bytes(buffer[position : position + 4], "big")
        if stop <= end:
            return (buffer[position + 4 : stop],), stop
    values: list[bytes | None] = []
    for _ in range(count):
        (length,) = _int(buffer, position)
        position += 4
        if length >= 0:
            stop = position + length
            if stop > end:
                raise malformed("insufficient data left in message")
            values.append(buffer[position:stop])
            position = stop
        elif length == -1:
            values.append(None)
        else:
            raise malformed("insufficient data left in message")
    return tuple(values), position


def whole(position: int, end: int) -> None:
    if position != end:
        raise malformed()
