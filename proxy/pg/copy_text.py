"""COPY's text format: one row a line, tabs between, backslash escapes.

Most streams have no backslash at all (pgbench loads its tables so), and then a row is one `split`: the reader decides
block by block.  A block is all whole lines of one feed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxy.pg.copy_format import LINE_BYTES_MAX, CopyOptions, Tail, at_line, check_width, decode_lines
from proxy.pg.text import decode_utf8

END_OF_DATA: Final = "\\."

_ESCAPE: Final = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.)|$)", re.DOTALL)
_NAMED: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _unescaped(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, named = match.groups()
    if octal is not None:
        return bytes((int(octal, 8) & 0xFF,))
    if hexadecimal is not None:
        return bytes((int(hexadecimal, 16),))
    return b"" if named is None else _NAMED.get(named, named)


def _unescape(field: str) -> str:
    return decode_utf8(_ESCAPE.sub(_unescaped, field.encode())) if "\\" in field else field


def _continues(line: bytes) -> bool:
    """Whether the line's end is escaped: an odd number of backslashes before it."""
    return line.endswith(b"\\") and (len(line) - len(line.rstrip(b"\\"))) % 2 == 1


class TextReader:
    """See `proxy.pg.copy.copy_reader`."""

    def __init__(self, options: CopyOptions, columns: Sequence[str], line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._columns = columns
        self._delimiter = options.delimiter
        self._null = options.null
        self._header = options.header
        self._tail = Tail(line_bytes_max)
        self._carriage_returns: bool | None = None
        self._ended = False
        delimiter = re.escape(options.delimiter)
        self._field = re.compile(rf"((?:[^\\{delimiter}]|\\.)*\\?)(?:{delimiter}|$)", re.DOTALL)
        self.line = 0
        """Lines read so far."""

    def feed(self, data: bytes) -> list[list[str | None]]:
        if self._ended:
            return []
        block = self._tail.block(data, self.line + 1)
        if block is None:
            return []
        lines = block.split(b"\n")
        if b"\\" in block or self._tail.has_open_record:
            lines = self._joined(lines)
        return self._rows(lines)

    def finish(self) -> list[list[str | None]]:
        """At CopyDone: a last line may lack its end."""
        rest = b"" if self._ended else self._tail.take()
        if not rest and not self._tail.has_open_record:
            return []
        return self._rows([self._tail.end_record(rest)])

    def _joined(self, lines: list[bytes]) -> list[bytes]:
        """Lines again whole where a backslash made their end part of the data."""
        joined: list[bytes] = []
        for line in lines:
            if _continues(line):
                self._tail.continue_record(line, self.line + len(joined) + 1)
            else:
                joined.append(self._tail.end_record(line))
        return joined

    def _without_carriage_returns(self, lines: list[str]) -> list[str]:
        """The first line decides whether lines end in one; a bare one must be escaped."""
        if self._carriage_returns is None and lines:
            self._carriage_returns = lines[0].endswith("\r")
        if self._carriage_returns:
            for place, line in enumerate(lines, 1):
                if not line.endswith("\r"):
                    raise at_line("literal newline found in data", self.line + place)
            lines = [line[:-1] for line in lines]
        for place, line in enumerate(lines, 1):
            if "\r" in line and not re.search(r"\\\r", line):
                raise at_line("literal carriage return found in data", self.line + place)
        return lines

    def _rows(self, raw: list[bytes]) -> list[list[str | None]]:
        lines = decode_lines(raw, self.line + 1)
        if self._carriage_returns is not False or any("\r" in line for line in lines):
            lines = self._without_carriage_returns(lines)
        if self._header and self.line == 0 and lines:
            self.line = 1
            lines = lines[1:]
        delimiter, null = self._delimiter, self._null
        if "\\" in null and not any("\\" in line for line in lines):
            rows: list[list[str | None]] = [[*line.split(delimiter)] for line in lines]
        else:
            rows = []
            for line in lines:
                if line.startswith(END_OF_DATA):
                    if line != END_OF_DATA:
                        raise at_line("end-of-copy marker corrupt", self.line + len(rows) + 1)
                    self._ended = True
                    break
                rows.append(self._fields(line))
        width = len(self._columns)
        for place, row in enumerate(rows, 1):
            if len(row) != width:
                check_width(row, self._columns, self.line + place)
        self.line += len(rows)
        return rows

    def _fields(self, line: str) -> list[str | None]:
        null = self._null
        if "\\" + self._delimiter not in line:
            fields = line.split(self._delimiter)
        else:
            fields = []
            position = 0
            while True:
                match = self._field.match(line, position)
                if match is None:
                    raise at_line("malformed line of copied data", self.line + 1)
                fields.append(match[1])
                if match.end(1) == len(line):
                    break
                position = match.end()
        return [None if field == null else _unescape(field) for field in fields]


_SPECIAL: Final = re.compile(r"[\\\b\f\n\r\t\v]")
_ESCAPES: Final = {
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def text_line(fields: Sequence[str | None], options: CopyOptions) -> str:
    """A row's line, with its end."""
    delimiter = options.delimiter
    written: list[str] = []
    for field in fields:
        if field is None:
            written.append(options.null)
            continue
        if _SPECIAL.search(field):
            field = _SPECIAL.sub(lambda match: _ESCAPES[match[0]], field)
        if delimiter != "\t" and delimiter in field:
            field = field.replace(delimiter, "\\" + delimiter)
        written.append(field)
    return delimiter.join(written) + "\n"
