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
    """The bytes after the last line's end, kept in pieces so that a long line costs no repeated copying."""

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._pieces: list[bytes] = []
        self._size = 0

    def block(self, data: bytes, line: int) -> bytes | None:
        """All up to and without the last line's end; what follows it is kept.  None when no line ended."""
        cut = data.rfind(b"\n")
        if cut < 0:
            self.keep(data, line)
            return None
        if not self._size:
            block = data[:cut]
        else:
            self._pieces.append(data[:cut])
            block = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        self.keep(data[cut + 1 :], line)
        return block

    def keep(self, data: bytes, line: int) -> None:
        if data:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > self._line_bytes_max:
                raise at_line(f"a line of copied data may have {self._line_bytes_max} bytes", line)
            if len(self._pieces) > 1024:
                self._pieces = [b"".join(self._pieces)]

    def put_back(self, data: bytes, line: int) -> None:
        """`data` turned out to belong to the line that is still incomplete."""
        pieces = self._pieces
        self._pieces = []
        self._size = 0
        self.keep(data, line)
        for piece in pieces:
            self.keep(piece, line)

    def take(self) -> bytes:
        whole = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        return whole
