"""COPY's binary format: a signature, rows of counted fields, a trailer.  asyncpg's copy_records_to_table sends it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from struct import Struct
from typing import Final

from lfsql.errors import BadCopyFormat
from proxy.pg.copy_format import LINE_BYTES_MAX, at_line

_MAGIC: Final = b"PGCOPY\n\xff\r\n\x00"
SIGNATURE: Final = _MAGIC + b"\x00" * 8
"""With no flags and no header extension."""
TRAILER: Final = b"\xff\xff"

_HEADER: Final = Struct(">II")
_count: Final = Struct(">h").unpack_from
_length: Final = Struct(">i").unpack_from
_OIDS_FLAG: Final = 1 << 16
_CRITICAL_FLAGS: Final = 0xFFFF0000


class BinaryReader:
    """See `proxy.pg.copy.copy_reader`.  `line` counts rows."""

    def __init__(self, columns: Sequence[str], row_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._width = len(columns)
        self._row_bytes_max = row_bytes_max
        self._rest = bytearray()
        self._needed = 0
        self._begun = False
        self._ended = False
        self.line = 0

    def feed(self, data: bytes) -> list[list[bytes | None]]:
        if self._ended:
            if data:
                raise at_line("received copy data after EOF marker", self.line)
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest = bytearray()
        position = 0
        if not self._begun:
            position = self._header(data)
            if not self._begun:
                return []
        return self._rows(data, position)

    def finish(self) -> list[list[bytes | None]]:
        """PostgreSQL takes a stream without a trailer when it ends between rows."""
        if self._rest or not self._begun:
            if not self._begun:
                raise BadCopyFormat("COPY file signature not recognized")
            raise at_line("unexpected EOF in COPY data", self.line + 1)
        return []

    def _keep(self, data: bytes, needed: int) -> None:
        if needed > self._row_bytes_max:
            raise at_line(f"a row of copied data may have {self._row_bytes_max} bytes", self.line + 1)
        self._rest = bytearray(data)
        self._needed = needed

    def _header(self, data: bytes) -> int:
        """The place after it; `_begun` stays False until it is whole."""
        if data[: len(_MAGIC)] != _MAGIC[: len(data)]:
            raise BadCopyFormat("COPY file signature not recognized")
        if len(data) < len(SIGNATURE):
            self._keep(data, len(SIGNATURE))
            return 0
        flags, extension = _HEADER.unpack_from(data, len(_MAGIC))
        if flags & _OIDS_FLAG:
            raise BadCopyFormat("invalid COPY file header (WITH OIDS)")
        if flags & _CRITICAL_FLAGS:
            raise BadCopyFormat("unrecognized critical flags in COPY file header")
        end = len(SIGNATURE) + int(extension)
        if len(data) < end:
            self._keep(data, end)
            return 0
        self._begun = True
        return end

    def _rows(self, data: bytes, position: int) -> list[list[bytes | None]]:
        rows: list[list[bytes | None]] = []
        size = len(data)
        width = self._width
        while position < size:
            start = position
            needed = position + 2
            row: list[bytes | None] = []
            try:
                (count,) = _count(data, position)
                if count == -1:
                    if position + 2 < size:
                        raise at_line("received copy data after EOF marker", self.line)
                    self._ended = True
                    return rows
                if count != width:
                    raise at_line(f"row field count is {count}, expected {width}", self.line + 1)
                position += 2
                for _ in range(count):
                    needed = position + 4
                    (length,) = _length(data, position)
                    position += 4
                    if length == -1:
                        row.append(None)
                        continue
                    if length < 0:
                        raise at_line("invalid field size", self.line + 1)
                    needed = position + length
                    if needed > size:
                        self._keep(data[start:], needed - start)
                        return rows
                    row.append(data[position:needed])
                    position = needed
            except struct.error:
                self._keep(data[start:], needed - start)
                return rows
            rows.append(row)
            self.line += 1
        return rows
