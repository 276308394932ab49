"""Whole DataRow messages: every way of writing them gives what the columns' encoders give one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import DatatypeMismatch
from proxy.pg import oids
from proxy.pg.client import BackendDecoder
from proxy.pg.messages import DataRow
from proxy.pg.settings import EncodeSettings, Value
from proxy.pg.types import encoder, row_encoder

VALUES: dict[int, st.SearchStrategy[Value]] = {
    oids.BOOL: st.integers(0, 1),
    oids.INT2: st.integers(-(1 << 15), (1 << 15) - 1),
    oids.INT4: st.integers(-(1 << 31), (1 << 31) - 1),
    oids.INT8: st.integers(-(1 << 63), (1 << 63) - 1) | st.just(5.0),
    oids.FLOAT4: st.floats(width=32),
    oids.FLOAT8: st.floats() | st.integers(-9, 9),
    oids.TEXT: st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["x" * 300, 7, 1.5]),
    oids.NUMERIC: st.sampled_from(["1.50", "-0.001", "NaN", 7]),
    oids.BYTEA: st.binary(),
    oids.TIMESTAMP: st.just("2024-01-05 12:34:56.5"),
    oids.TIMESTAMPTZ: st.just("2024-01-05 12:34:56.5"),
    oids.BPCHAR: st.just("ab"),
    oids.JSONB: st.just('{"a": 1}'),
    oids.ARRAYS[oids.INT4]: st.just("[1,null]"),
    oids.OIDVECTOR: st.just("[1,2]"),
}


def decoded(message: bytes) -> tuple[bytes | None, ...]:
    decoder = BackendDecoder()
    decoder.feed(message)
    (row,) = decoder.messages()
    assert isinstance(row, DataRow)
    return row.values


@given(st.data())
def test_a_row_is_its_values(data: st.DataObject) -> None:
    columns = data.draw(st.lists(st.sampled_from(list(VALUES)), max_size=6))
    formats = data.draw(st.lists(st.integers(0, 1), min_size=len(columns), max_size=len(columns)) | st.just([]))
    encode = row_encoder([(oid, -1) for oid in columns], formats)
    codes = formats or [0] * len(columns)
    for _ in range(3):
        row = tuple(data.draw(st.none() | VALUES[oid]) for oid in columns)
        expected = tuple(
            None if value is None else encoder(oid, -1, code)(value)
            for oid, code, value in zip(columns, codes, row, strict=True)
        )
        assert decoded(encode(row)) == expected


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("oid", [oids.BOOL, oids.INT4, oids.FLOAT8, oids.TEXT])
def test_uniform_rows_with_and_without_nulls(oid: int, width: int, code: int) -> None:
    encode = row_encoder([(oid, -1)] * width, (code,))
    value: Value = "a" if oid == oids.TEXT else 1
    wire = encoder(oid, -1, code)(value)
    assert decoded(encode((value,) * width)) == (wire,) * width
    assert decoded(encode((None,) * width)) == (None,) * width
    assert decoded(encode((value,) * (width - 1) + (None,))) == (wire,) * (width - 1) + (None,)


def test_settings_and_typmods_reach_the_columns() -> None:
    encode = row_encoder([(oids.BYTEA, -1), (oids.BPCHAR, 9)], (), EncodeSettings(bytea_output="escape"))
    assert decoded(encode((b"\x00a", "ab"))) == (b"\\000a", b"ab   ")


def test_padding_is_sent_in_both_formats() -> None:
    assert decoded(row_encoder([(oids.BPCHAR, 9)], (1,))(("ab",))) == (b"ab   ",)
    assert decoded(row_encoder([(oids.BPCHAR, -1)], (1,))(("ab",))) == (b"ab",)


@pytest.mark.parametrize("code", [0, 1])
def test_a_row_of_no_columns(code: int) -> None:
    assert decoded(row_encoder([], (code,))((None,))) == ()


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("columns", [1, 2])
def test_a_value_its_column_cannot_hold(columns: int, code: int) -> None:
    encode = row_encoder([(oids.INT4, -1)] * columns, (code,))
    with pytest.raises(DatatypeMismatch, match="stored value b'x' is not of type integer"):
        encode((b"x",) * columns)
