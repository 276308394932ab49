"""COPY's CSV format: quoted fields, newlines inside them, NULL as an unquoted marker.

As in the text format, a block without a single quote character needs only `split`.  Otherwise lines are joined
until their quotes balance, then each record is read field by field.  Quotes may open and close in the middle of a
field, as PostgreSQL allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxy.pg.copy_format import LINE_BYTES_MAX, CopyOptions, Tail, at_line, check_width, decode_lines

END_OF_DATA: Final = "\\."


class CsvReader:
    """See `proxy.pg.copy.copy_reader`."""

    def __init__(self, options: CopyOptions, columns: Sequence[str], line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._columns = columns
        self._delimiter = options.delimiter
        self._null = options.null
        self._header = options.header
        self._quote = options.quote
        self._force_null = frozenset(options.force_null)
        self._force_not_null = frozenset(options.force_not_null)
        self._plain_nulls = not self._force_not_null
        self._tail = Tail(line_bytes_max)
        self._carriage_returns: bool | None = None
        self._ended = False
        quote, escape, delimiter = re.escape(options.quote), re.escape(options.escape), re.escape(options.delimiter)
        # An escape that escapes nothing stands for itself; the look-ahead keeps the alternatives apart.
        inside = f"[^{quote}{escape}]|{escape}[{quote}{escape}]"
        if options.escape != options.quote:
            inside += f"|{escape}(?![{quote}{escape}])"
        self._quoted = re.compile(f"{quote}((?:{inside})*){quote}", re.DOTALL)
        self._unquoted = re.compile(f"[^{quote}{delimiter}]*", re.DOTALL)
        self._escaped = re.compile(f"{escape}([{quote}{escape}])")
        self._to_quote = (
            re.compile(f"[^{quote}]*{quote}".encode(), re.DOTALL),
            re.compile(f"(?:{inside})*{quote}".encode(), re.DOTALL),
        )
        self._same_escape = options.escape == options.quote
        self._in_quotes = False
        self.line = 0
        """Lines read so far, counting those inside quotes."""

    def feed(self, data: bytes) -> list[list[str | None]]:
        if self._ended:
            return []
        block = self._tail.block(data, self.line + 1)
        if block is None:
            return []
        lines = block.split(b"\n")
        if self._quote.encode() not in block and not self._in_quotes:
            return self._rows(lines, plain=True)
        return self._rows(self._records(lines), plain=False)

    def finish(self) -> list[list[str | None]]:
        if self._ended:
            return []
        rest = self._tail.take()
        records = self._records([rest]) if rest else []
        rows = self._rows(records, plain=False)
        if self._in_quotes:
            raise at_line("unterminated CSV quoted field", self.line + 1)
        return rows

    def _records(self, lines: list[bytes]) -> list[bytes]:
        """Lines joined until their quotes balance."""
        records: list[bytes] = []
        for line in lines:
            self._in_quotes = self._after(line)
            if self._in_quotes:
                self._tail.continue_record(line, self.line + len(records) + 1)
            else:
                records.append(self._tail.end_record(line))
        return records

    def _after(self, line: bytes) -> bool:
        """Whether the end of `line` is inside quotes."""
        if self._same_escape:
            return self._in_quotes ^ (line.count(self._quote.encode()) % 2 == 1)
        inside = self._in_quotes
        position = 0
        while match := self._to_quote[inside].match(line, position):
            inside = not inside
            position = match.end()
        return inside

    def _without_carriage_return(self, record: str) -> str:
        if self._carriage_returns is None:
            self._carriage_returns = record.endswith("\r")
        if self._carriage_returns:
            if not record.endswith("\r"):
                raise at_line("unquoted newline found in data", self.line + 1)
            record = record[:-1]
        if "\r" in record and "\r" in self._quoted.sub("", record):
            raise at_line("unquoted carriage return found in data", self.line + 1)
        return record

    def _rows(self, raw: list[bytes], *, plain: bool) -> list[list[str | None]]:
        rows: list[list[str | None]] = []
        null, delimiter, width = self._null, self._delimiter, len(self._columns)
        for record in decode_lines(raw, self.line + 1):
            if self._carriage_returns is not False or "\r" in record:
                record = self._without_carriage_return(record)
            if record == END_OF_DATA:
                self._ended = True
                break
            if self._header and self.line == 0:
                self.line = 1 + record.count("\n")
                continue
            if plain and self._plain_nulls:
                row: list[str | None] = [None if field == null else field for field in record.split(delimiter)]
            else:
                row = self._fields(record)
            if len(row) != width:
                check_width(row, self._columns, self.line + 1)
            rows.append(row)
            self.line += 1 if plain else 1 + record.count("\n")
        return rows

    def _fields(self, record: str) -> list[str | None]:
        fields: list[str | None] = []
        position = 0
        end = len(record)
        while True:
            pieces: list[str] = []
            was_quoted = False
            while position < end and record[position] != self._delimiter:
                if record[position] == self._quote:
                    match = self._quoted.match(record, position)
                    if match is None:
                        raise at_line("unterminated CSV quoted field", self.line + 1)
                    pieces.append(self._escaped.sub(r"\1", match[1]))
                    was_quoted = True
                else:
                    match = self._unquoted.match(record, position)
                    if match is None:
                        raise at_line("malformed CSV record", self.line + 1)
                    pieces.append(match[0])
                position = match.end()
            fields.append(self._field("".join(pieces), was_quoted, len(fields)))
            if position >= end:
                return fields
            position += 1

    def _field(self, text: str, was_quoted: bool, place: int) -> str | None:
        if text != self._null:
            return text
        name = self._columns[place] if place < len(self._columns) else ""
        if was_quoted:
            return None if name in self._force_null else text
        return text if name in self._force_not_null else None


def csv_line(fields: Sequence[str | None], quoted: Sequence[bool], options: CopyOptions) -> str:
    """A row's line, with its end.  `quoted`: FORCE_QUOTE, a column each."""
    delimiter, quote, escape = options.delimiter, options.quote, options.escape
    written: list[str] = []
    for field, forced in zip(fields, quoted, strict=True):
        if field is None:
            written.append(options.null)
        elif (
            forced
            or field == options.null
            or delimiter in field
            or quote in field
            or "\n" in field
            or "\r" in field
            or (field == END_OF_DATA and len(fields) == 1)
        ):
            if escape != quote:
                field = field.replace(escape, escape + escape)
            written.append(quote + field.replace(quote, escape + quote) + quote)
        else:
            written.append(field)
    return delimiter.join(written) + "\n"
