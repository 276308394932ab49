"""What the COPY readers share: the options, the errors, and a bounded tail of an incomplete line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from lfsql.errors import BadCopyFormat, InvalidEncoding
from proxy.pg.text import decode_utf8

LINE_BYTES_MAX: Final = 64 * 1024 * 1024


class CopyOptions(Protocol):
    """COPY's options; `proxy.sql.utility.CopyOptions` is one."""

    @property
    def format(self) -> str: ...
    @property
    def delimiter(self) -> str: ...
    @property
    def null(self) -> str: ...
    @property
    def header(self) -> bool: ...
    @property
    def quote(self) -> str: ...
    @property
    def escape(self) -> str: ...
    @property
    def force_quote(self) -> tuple[str, ...] | None: ...
    @property
    def force_null(self) -> tuple[str, ...]: ...
    @property
    def force_not_null(self) -> tuple[str, ...]: ...


def at_line(message: str, line: int) -> BadCopyFormat:
    return BadCopyFormat(message, detail=f"The error is in line {line} of the copied data.")


def check_width(row: Sequence[object], columns: Sequence[str], line: int) -> None:
    if len(row) > len(columns):
        raise at_line("extra data after last expected column", line)
    if len(row) < len(columns):
        raise at_line(f'missing data for column "{columns[len(row)]}"', line)


def decode_lines(lines: Sequence[bytes], first: int) -> list[str]:
    """Raises InvalidEncoding naming the line; `first` is the number of the first one."""
    try:
        return [decode_utf8(line) for line in lines]
    except InvalidEncoding:
        for place, line in enumerate(lines):
            try:
                decode_utf8(line)
            except InvalidEncoding as error:
                where = f"The error is in line {first + place} of the copied data."
                raise InvalidEncoding(error.message, detail=where) from None
        raise


class Tail:
    """The bytes after the last line's end, and before them the lines of a record that is not complete.

    However small the pieces are that it comes in, a record is copied a bounded number of times.
    """

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._rest = bytearray()

    def block(self, data: bytes, line: int) -> bytes | None:
        """All up to and without the last line's end; what follows it is kept.  None when no line ended."""
        cut = data.rfind(b"\n")
        if cut < 0:
            self._rest += data
            self._check(line)
            return None
        block = bytes(self._rest) + data[:cut] if self._rest else data[:cut]
        self._rest = bytearray(data[cut + 1 :])
        self._check(line)
        return block

    def continue_record(self, piece: bytes, line: int) -> None:
        """`piece` is a whole line whose end belongs to the record it is part of."""
        self._open.append(piece)
        self._open_bytes += len(piece) + 1
        self._check(line)

    def end_record(self, piece: bytes) -> bytes:
        """The record that `piece`, a whole line, ends."""
        if not self._open:
            return piece
        record = b"\n".join([*self._open, piece])
        self._open = []
        self._open_bytes = 0
        return record

    def take(self) -> bytes:
        """At the stream's end: the last line, when it lacks its end."""
        rest = bytes(self._rest)
        self._rest = bytearray()
        return rest

    @property
    def has_open_record(self) -> bool:
        return bool(self._open)

    def _check(self, line: int) -> None:
        if self._open_bytes + len(self._rest) > self._line_bytes_max:
            raise at_line(f"a line of copied data may have {self._line_bytes_max} bytes", line)
