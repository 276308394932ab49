"""Searches in texts give what SQLite's own give, and take no longer than the texts are long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import LimitExceeded
from tests.storage.functions_fixture import open_functions

TEXTS = st.text(alphabet="aäb \0🙂1.", max_size=6)
VALUES = st.one_of(
    TEXTS, TEXTS.map(str.encode), st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False), st.none()
)
CALLS = ["replace(?1, ?2, ?3)", "instr(?1, ?2)", "trim(?1, ?2)", "ltrim(?1, ?2)", "rtrim(?1, ?2)", "trim(?1)"]


@pytest.fixture(scope="module")
def ours() -> Iterator[apsw.Connection]:
    connection = open_functions()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def theirs() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


@pytest.mark.parametrize("call", CALLS)
@given(values=st.tuples(VALUES, VALUES, VALUES))
def test_they_give_what_sqlite_gives(
    ours: apsw.Connection, theirs: apsw.Connection, call: str, values: tuple[Any, ...]
) -> None:
    sql = f"SELECT {call}, typeof({call})"
    bound = values[: 3 if "?3" in call else 2 if "?2" in call else 1]
    assert ours.execute(sql, bound).fetchall() == theirs.execute(sql, bound).fetchall()


@pytest.mark.parametrize(
    "call",
    [
        "replace(?1, ?2 || 'b', 'x')",
        "instr(?1, ?2 || 'b')",
        "instr(CAST(?1 AS BLOB), CAST(?2 || 'b' AS BLOB))",
        "trim(?1, replace(?2, 'a', 'cde') || 'a')",
    ],
)
def test_time_is_a_sum(ours: apsw.Connection, call: str) -> None:
    began = time.process_time()
    ours.execute(f"SELECT length({call})", ("a" * 4_000_000, "a" * 2_000_000)).fetchall()
    assert time.process_time() - began < 3


def test_what_replace_makes_is_bounded(ours: apsw.Connection) -> None:
    with pytest.raises(LimitExceeded):
        ours.execute("SELECT replace(?1, 'a', ?1)", ("a" * 100_000,)).fetchall()
