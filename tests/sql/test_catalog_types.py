"""Type names as SQL spells them, to OIDs and back."""

from __future__ import annotations

import pytest

from proxy.sql.catalog.procedures import arguments_text, result_text
from proxy.sql.catalog.types_table import builtin_types, format_type, type_named


@pytest.mark.parametrize(
    ("text", "oid"),
    [
        ("int", 23),
        ("INTEGER", 23),
        ("pg_catalog.int4", 23),
        ("character varying(20)", 1043),
        ("varchar ( 20 ) [ ]", 1015),
        ("varchar(20)[]", 1015),
        ("int4[][3]", 1007),
        ("timestamp(3) with time zone", 1184),
        ("timestamp", 1114),
        ("double  precision", 701),
        ('"char"', 18),
        ("char", 1042),
        ("_text", 1009),
        ("nothing", None),
        ("nothing[]", None),
        ("record[]", 2287),
        ("void[]", None),
        ('"Text"', None),
    ],
)
def test_types_are_found_by_name(text: str, oid: int | None) -> None:
    assert type_named(text) == oid


@pytest.mark.parametrize(
    ("oid", "typmod", "text"),
    [
        (1043, 24, "character varying(20)"),
        (1231, 655366, "numeric(10,2)[]"),
        (1700, 655362 + 4, "numeric(10,2)"),
        (1700, ((5 << 16) | (-2 & 0x7FF)) + 4, "numeric(5,-2)"),
        (1042, -1, "bpchar"),
        (1042, None, "character"),
        (1042, 7, "character(3)"),
        (1184, 3, "timestamp(3) with time zone"),
        (1083, 0, "time(0) without time zone"),
        (1007, -1, "integer[]"),
        (22, -1, "int2vector"),
        (18, -1, '"char"'),
        (2950, 5, "uuid"),
        (99999, -1, "???"),
        (0, -1, "-"),
        (None, -1, None),
    ],
)
def test_types_are_printed_as_format_type_does(oid: int | None, typmod: int | None, text: str | None) -> None:
    assert format_type(oid, typmod) == text


def test_every_array_knows_its_element() -> None:
    for each in builtin_types().values():
        if each.array:
            assert builtin_types()[each.array].element == each.oid


def test_a_printed_type_is_read_back() -> None:
    for oid, each in builtin_types().items():
        if each.kind == "b" and each.name != "bpchar" and each.element != 1042:
            assert type_named(format_type(oid) or "") == oid


def test_signatures_are_printed() -> None:
    assert arguments_text(870) == "text"
    assert result_text(870) == "text"
    assert (result_text(1067) or "").startswith("SETOF")
    assert arguments_text(1) is None
    assert result_text(1) is None
