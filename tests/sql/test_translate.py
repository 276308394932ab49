"""Every statement of `against_postgres/` gives what PostgreSQL 15 gave: names, types, values, or the SQLSTATE."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from lfsql.errors import LfsqlError
from tests.sql.recording import STATES, as_answer, recorded
from tests.sql.sqlite_side import Answer, lines, open_tables, planned, run


@pytest.fixture(scope="module")
def sqlite() -> Iterator[apsw.Connection]:
    connection = open_tables()
    yield connection
    connection.close()


def assert_same(ours: Answer, theirs: Answer) -> None:
    assert ours.sqlstate == theirs.sqlstate, f"PostgreSQL: {theirs}, here: {ours}"
    assert (ours.names, ours.types, ours.rows) == (theirs.names, theirs.types, theirs.rows)


@pytest.mark.parametrize("text", recorded()["answers"])
def test_answer(text: str, sqlite: apsw.Connection) -> None:
    assert_same(run(sqlite, text), as_answer(recorded()["answers"][text]))


@pytest.mark.parametrize("change", recorded()["changes"])
def test_change(change: str, sqlite: apsw.Connection) -> None:
    """The answer is the same, and so are the tables afterwards."""
    expected = recorded()["changes"][change]
    sqlite.execute("SAVEPOINT change")
    try:
        assert_same(run(sqlite, change), as_answer(expected))
        for state, rows in zip(STATES, expected["states"], strict=False):
            assert [list(row) for row in run(sqlite, state).rows] == rows
    finally:
        sqlite.execute("ROLLBACK TO change; RELEASE change")


@pytest.mark.parametrize("statement", recorded()["parameters"])
def test_describe(statement: str) -> None:
    """Describe gives the same types of parameters and columns, or Parse the same SQLSTATE."""
    expected = recorded()["parameters"][statement]
    if expected["sqlstate"]:
        with pytest.raises(LfsqlError) as raised:
            planned(statement)
        assert raised.value.sqlstate == expected["sqlstate"]
        return
    translation = planned(statement)
    assert list(translation.parameters) == expected["parameters"]
    assert [[column.oid, column.typmod, column.attnum] for column in translation.columns] == expected["columns"]


def test_every_statement_is_recorded() -> None:
    assert set(lines("queries.sql")) <= set(recorded()["answers"])
    assert set(lines("changes.sql")) == set(recorded()["changes"])
    assert set(lines("parameters.sql")) == set(recorded()["parameters"])
