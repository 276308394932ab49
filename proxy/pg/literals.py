"""What the wire forms of all types share: the errors for a wrong size or stored value."""

from __future__ import annotations

from typing import Final

from lfsql.errors import DatatypeMismatch, InvalidBinary, LimitExceeded, ProtocolViolation
from proxy.pg.settings import Value


def not_a(type_name: str, value: Value) -> DatatypeMismatch:
    """A stored value that its column's type cannot hold, e.g. from a file made by another program."""
    shown = repr(value) if not isinstance(value, str | bytes) else repr(value[:40])
    return DatatypeMismatch(f"stored value {shown} is not of type {type_name}")


def exact(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise ProtocolViolation("insufficient data left in message")
    if len(data) > size:
        raise InvalidBinary(f"incorrect binary data format: {len(data)} bytes, expected {size}")
    return data


GROWTH_BYTES_MAX: Final = 16 * 1024 * 1024


class Growth:
    """By how much the elements of one array or JSON value are longer as stored than as sent: 1e999 is five bytes."""

    def __init__(self) -> None:
        self._total = 0

    def add(self, difference: int) -> None:
        """Raises LimitExceeded."""
        if difference > 0:
            self._total += difference
            if self._total > GROWTH_BYTES_MAX:
                raise LimitExceeded(f"the numbers of one value grow by more than {GROWTH_BYTES_MAX} bytes")
