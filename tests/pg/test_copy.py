"""COPY streams in any pieces, in all three formats; and against PostgreSQL, which writes what we read and back."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import BadCopyFormat, InvalidEncoding, InvalidText, StringTooLong
from proxy.pg import oids
from proxy.pg.client import BackendDecoder
from proxy.pg.copy import (
    copied_row_decoder,
    copied_row_encoder,
    copy_reader,
    copy_start,
    copy_stop,
)
from proxy.pg.messages import CopyData
from proxy.pg.settings import Value
from proxy.sql.utility import CopyOptions

TEXT = CopyOptions()
CSV = CopyOptions(format="csv", delimiter=",", null="")
BINARY = CopyOptions(format="binary")
AB = ("a", "b")

Rows = list[list[str | None]]


def read(data: bytes, options: CopyOptions = TEXT, columns: Sequence[str] = AB) -> list[list[object]]:
    """Whole, byte by byte and in threes; all must agree."""
    results = []
    for size in (len(data) or 1, 1, 3):
        reader = copy_reader(options, columns)
        rows: list[list[object]] = []
        for place in range(0, len(data), size):
            rows.extend([*row] for row in reader.feed(data[place : place + size]))
        rows.extend([*row] for row in reader.finish())
        results.append(rows)
    assert results[0] == results[1] == results[2]
    return results[0]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", []),
        (b"1\tx\n2\ty\n", [["1", "x"], ["2", "y"]]),
        (b"1\tx\n2\ty", [["1", "x"], ["2", "y"]]),
        (b"\\N\t\n", [[None, ""]]),
        (b"\\\\N\tx\n", [["\\N", "x"]]),
        (b"a\\tb\tc\\nd\n", [["a\tb", "c\nd"]]),
        (b"a\\\tb\tc\n", [["a\tb", "c"]]),
        (b"a\\\\\tb\n", [["a\\", "b"]]),
        (b"a\\\nb\tc\n1\t2\n", [["a\nb", "c"], ["1", "2"]]),
        (b"a\\\\\\\nb\tc\n", [["a\\\nb", "c"]]),
        (b"\\101\\x42\\8\tq\\\n\n", [["AB8", "q\n"]]),
        (b"\\303\\251\t\\b\\f\\r\\v\n", [["é", "\b\f\r\v"]]),
        ("é\tü\n".encode(), [["é", "ü"]]),
        (b"1\t2\r\n3\t4\r\n", [["1", "2"], ["3", "4"]]),
        (b"1\t2\n\\.\nignored\n", [["1", "2"]]),
        (b"1\t2\n\\.", [["1", "2"]]),
    ],
)
def test_text(data: bytes, rows: Rows) -> None:
    assert read(data) == rows


def test_text_options() -> None:
    options = CopyOptions(delimiter="|", null="", header=True)
    assert read(b"A|B\n1|\n\\|x|y\n", options) == [["1", None], ["|x", "y"]]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"1,x\n2,\n", [["1", "x"], ["2", None]]),
        (b'"",""\n', [["", ""]]),
        (b'"a,b","c\nd"\n1,2\n', [["a,b", "c\nd"], ["1", "2"]]),
        (b'"a""b",x"y,z"w\n', [['a"b', "xy,zw"]]),
        (b'1,"x"\r\n2,"y\r\nz"\r\n', [["1", "x"], ["2", "y\r\nz"]]),
        (b"\\N,\\t\n", [["\\N", "\\t"]]),
        (b'"\\.",1\n\\.\nignored', [["\\.", "1"]]),
        (b'1,"x"', [["1", "x"]]),
    ],
)
def test_csv(data: bytes, rows: Rows) -> None:
    assert read(data, CSV) == rows


def test_csv_options() -> None:
    options = CopyOptions(format="csv", delimiter=";", null="NULL", quote="'", escape="\\", header=True)
    assert read(b"a;b\n'it\\'s;\\\\';NULL\n'a\nb';''\n'\\a';'NULL'\n", options) == [
        ["it's;\\", None],
        ["a\nb", ""],
        ["\\a", "NULL"],
    ]
    forced = CopyOptions(format="csv", delimiter=",", null="", force_null=("a",), force_not_null=("b",))
    assert read(b'"",\n', forced) == [[None, ""]]


@pytest.mark.parametrize(
    ("data", "options", "message", "line"),
    [
        (b"1\t2\n3\n", TEXT, 'missing data for column "b"', 2),
        (b"1\t2\t3\n", TEXT, "extra data after last expected column", 1),
        (b"1\t2\n\\.x\n", TEXT, "end-of-copy marker corrupt", 2),
        (b"1\t2\na\rb\t2\n", TEXT, "literal carriage return found in data", 2),
        (b"1\t2\r\n1\t2\n", TEXT, "literal newline found in data", 2),
        (b'1,2\n"a,2\n', CSV, "unterminated CSV quoted field", 2),
        (b"1\n", CSV, 'missing data for column "b"', 1),
        (b'"x\ny",2\n1,2,3\n', CSV, "extra data after last expected column", 3),
        (b"1,2\na\rb,2\n", CSV, "unquoted carriage return found in data", 2),
        (b"1,2\r\n1,2\n", CSV, "unquoted newline found in data", 2),
    ],
)
def test_errors_name_the_line(data: bytes, options: CopyOptions, message: str, line: int) -> None:
    for size in (len(data), 1):
        reader = copy_reader(options, AB)
        with pytest.raises(BadCopyFormat) as caught:
            feed_in_pieces(reader, data, size)
        assert caught.value.message == message
        assert re.search(rf"\b{line}\b", caught.value.detail)


def feed_in_pieces(reader: object, data: bytes, size: int) -> None:
    feed, finish = reader.feed, reader.finish  # type: ignore[attr-defined]  # any of the three readers
    for place in range(0, len(data), size):
        feed(data[place : place + size])
    finish()


@pytest.mark.parametrize("options", [TEXT, CSV])
def test_bad_utf8_names_the_line(options: CopyOptions) -> None:
    reader = copy_reader(options, ("a",))
    with pytest.raises(InvalidEncoding) as caught:
        reader.feed(b"ok\nb\xffd\n")
    assert "line 2" in caught.value.detail


@pytest.mark.parametrize("options", [TEXT, CSV])
def test_a_line_is_bounded(options: CopyOptions) -> None:
    reader = copy_reader(options, ("a",), line_bytes_max=100)
    for _ in range(100):
        assert reader.feed(b'"' if options is CSV else b"x") == []
    with pytest.raises(BadCopyFormat, match="may have 100 bytes"):
        reader.feed(b"x")


def test_a_record_over_many_lines_is_bounded_and_read_once() -> None:
    """An open quote, or an escaped end of line, carries over: the lines before are not looked at again."""
    for options, line in ((CSV, b'"x\n'), (TEXT, b"x\\\n")):
        reader = copy_reader(options, ("a",), line_bytes_max=1000)
        assert reader.feed(line) == []
        rest = b"y\n" if options is CSV else line
        with pytest.raises(BadCopyFormat, match="may have 1000 bytes"):
            for _ in range(1000):
                assert reader.feed(rest) == []


def test_escapes_without_a_closing_quote_do_not_explode() -> None:
    options = CopyOptions(format="csv", delimiter=",", null="", escape="\\")
    reader = copy_reader(options, ("a",))
    assert reader.feed(b'"' + b"\\" * 5000 + b"\n") == []
    with pytest.raises(BadCopyFormat, match="unterminated CSV quoted field"):
        reader.finish()
    assert read(b'"a\\"b\\c\nd\\\\",x\n', options) == [['a"b\\c\nd\\', "x"]]


def tuple_bytes(*fields: bytes | None) -> bytes:
    pieces = [b"\xff\xff\xff\xff" if field is None else len(field).to_bytes(4, "big") + field for field in fields]
    return len(fields).to_bytes(2, "big") + b"".join(pieces)


SIGNATURE = b"PGCOPY\n\xff\r\n\x00"


def test_binary() -> None:
    rows = tuple_bytes(b"1", None) + tuple_bytes(b"", b"x" * 300)
    expected: list[list[object]] = [[b"1", None], [b"", b"x" * 300]]
    assert read(SIGNATURE + bytes(8) + rows + b"\xff\xff", BINARY) == expected
    assert read(SIGNATURE + bytes(8) + rows, BINARY) == expected
    assert read(SIGNATURE + b"\x00\x00\x00\x01\x00\x00\x00\x03ext" + rows, BINARY) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "COPY file signature not recognized"),
        (b"PGCOPY\r\n", "COPY file signature not recognized"),
        (SIGNATURE + b"\x00\x01\x00\x00" + bytes(4), "invalid COPY file header"),
        (SIGNATURE + b"\x00\x02\x00\x00" + bytes(4), "unrecognized critical flags"),
        (SIGNATURE + bytes(8) + tuple_bytes(b"1"), "row field count is 1, expected 2"),
        (SIGNATURE + bytes(8) + b"\x00\x02\xff\xff\xff\xfe", "invalid field size"),
        (SIGNATURE + bytes(8) + b"\x00\x02\x7f\xff\xff\xff", "a row of copied data may have"),
        (SIGNATURE + bytes(8) + tuple_bytes(b"1", b"2")[:-1], "unexpected EOF in COPY data"),
        (SIGNATURE + bytes(8) + b"\xff\xffx", "received copy data after EOF marker"),
    ],
)
def test_bad_binary(data: bytes, message: str) -> None:
    for size in (len(data) or 1, 1):
        with pytest.raises(BadCopyFormat, match=message):
            feed_in_pieces(copy_reader(BINARY, AB), data, size)


COLUMNS = [("a", oids.INT4, -1), ("b", oids.TEXT, -1), ("c", oids.BYTEA, -1), ("d", oids.NUMERIC, -1)]
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
        st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
        st.none() | st.binary(max_size=20),
        st.none() | st.sampled_from(["1.50", "NaN"]),
    ),
    max_size=5,
)
OPTIONS = [
    TEXT,
    CSV,
    BINARY,
    CopyOptions(delimiter="|", null="", header=True),
    CopyOptions(format="csv", delimiter=";", null="\\N", quote="'", escape="\\", header=True),
    CopyOptions(format="csv", delimiter=",", null="", force_quote=None),
]


def payload(messages: bytes) -> bytes:
    decoder = BackendDecoder()
    decoder.feed(messages)
    return b"".join(message.data for message in decoder.messages() if isinstance(message, CopyData))


def written(rows: Sequence[tuple[Value, ...]], options: CopyOptions) -> bytes:
    encode = copied_row_encoder(COLUMNS, options)
    names = [name for name, _, _ in COLUMNS]
    return payload(copy_start(options, names) + b"".join(map(encode, rows)) + copy_stop(options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_what_is_written_is_read_again(options: CopyOptions, rows: list[tuple[Value, ...]], cuts: list[int]) -> None:
    if options.null == "":
        # An empty text and NULL look alike in the text format with this marker.
        rows = [row for row in rows if options.format == "csv" or "" not in row]
    data = written(rows, options)
    reader = copy_reader(options, [name for name, _, _ in COLUMNS])
    decode = copied_row_decoder([oid for _, oid, _ in COLUMNS], [-1] * 4, options)
    found: list[tuple[Value, ...]] = []
    bounds = sorted(min(cut, len(data)) for cut in cuts)
    for start, end in zip([0, *bounds], [*bounds, len(data)], strict=True):
        found.extend(decode(row) for row in reader.feed(data[start:end]))
    found.extend(decode(row) for row in reader.finish())
    assert found == rows


def test_typmods_are_applied_to_what_is_copied_in() -> None:
    decode = copied_row_decoder([oids.VARCHAR, oids.INT4], [7, -1], TEXT)
    assert decode(["abc  ", None]) == ("abc", None)
    with pytest.raises(StringTooLong):
        decode(["abcd", "1"])
    with pytest.raises(InvalidText):
        decode(["abc", "x"])


SPELLINGS = {
    TEXT: "",
    CSV: "WITH (FORMAT csv)",
    BINARY: "WITH (FORMAT binary)",
    OPTIONS[3]: "WITH (DELIMITER '|', NULL '', HEADER)",
    OPTIONS[4]: "WITH (FORMAT csv, DELIMITER ';', NULL '\\N', QUOTE '''', ESCAPE '\\', HEADER)",
    OPTIONS[5]: "WITH (FORMAT csv, FORCE_QUOTE *)",
}
SAMPLE: list[tuple[Value, ...]] = [
    (1, "plain", b"\x00\xff", "1.50"),
    (None, None, None, None),
    (-5, "q\"u'o;t,e|d\\", b"", "NaN"),
    (7, "tab\tnewline\nreturn\rback\\slash", b"\\", "0"),
    (8, "\\N", b"'", "12"),
    (9, "é\b\f\v", b"a", "-0.001"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_postgresql_writes_the_same_and_reads_ours(
    postgres: psycopg.Connection[tuple[object, ...]], options: CopyOptions
) -> None:
    postgres.execute("CREATE TEMP TABLE copied (a int4, b text, c bytea, d numeric)")
    with postgres.cursor() as cursor:
        cursor.executemany("INSERT INTO copied VALUES (%s, %s, %s, %s::text::numeric)", SAMPLE)
        with cursor.copy(f"COPY copied TO STDOUT {SPELLINGS[options]}") as out:
            theirs = b"".join(bytes(piece) for piece in out)
        assert written(SAMPLE, options) == theirs
        cursor.execute("TRUNCATE copied")
        with cursor.copy(f"COPY copied FROM STDIN {SPELLINGS[options].replace(', FORCE_QUOTE *', '')}") as into:
            into.write(written(SAMPLE, options))
        cursor.execute("SELECT a, b, c, d::text FROM copied")
        assert cursor.fetchall() == SAMPLE
