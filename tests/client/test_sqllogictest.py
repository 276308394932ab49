"""SQLite's own tests, through the wire: every record of the sample gives what SQLite's runner expects.

In the `sqlite` dialect SQL passes through as it is.  libpq's simple protocol is used, without a driver's types, and
results are judged as text, as SQLite's runner judges them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus

from lfsql.testing.sqllogictest import Query, Record, Statement, judge, judge_failure, parse
from tests.client.conftest import DATA, Server

pytestmark = pytest.mark.client

SAMPLE = DATA / "sqllogictest"
SCRIPTS = sorted(SAMPLE.rglob("*.test"))
FAULTS_MAX = 20

_PORTABLE = """
    random_expr_0 random_groupby_0 select1 select2 slt_lang_aggfunc slt_lang_dropindex slt_lang_droptable
    slt_lang_dropview
"""
PORTABLE = [path for path in SCRIPTS if path.stem in _PORTABLE.split()]
"""The scripts that PostgreSQL 15 itself passes, but for `POSTGRESQL_DIFFERS`; the others use SQLite's own syntax."""

POSTGRESQL_DIFFERS: dict[str, tuple[int, ...]] = {"random_expr_0": (46601, 77844, 80573)}
"""Records that PostgreSQL 15 does not give what SQLite gives: a numeric for an integer, two errors (22012, 22003)."""

TEMPORARY: dict[str, tuple[int, ...]] = {"slt_lang_createview": (48, 52, 115, 119)}
"""Records about temporary views, which lfsql refuses: they belong to a connection, and there is one that writes."""


def faults(connection: psycopg.Connection, records: Iterator[Record]) -> Iterator[str]:
    """What each record that is not right gave instead."""
    for record in records:
        result = connection.pgconn.exec_(record.sql.encode())
        failed = result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY)
        error = result.error_message.decode(errors="replace") if failed else ""
        if isinstance(record, Statement):
            if failed == record.succeeds:
                yield f"line {record.line}: {record.sql[:200]}: {error or 'did not fail'}"
        elif failed:
            if judge_failure(record, error) is not None:
                yield f"line {record.line}: {record.sql[:200]}: {error}"
        else:
            columns = range(result.nfields)
            rows = [
                [None if (cell := result.get_value(row, column)) is None else cell.decode() for column in columns]
                for row in range(result.ntuples)
            ]
            if (fault := judge(record, rows)) is not None:
                yield f"line {record.line}: {record.sql[:200]}: {fault}"


def first_faults(connection: psycopg.Connection, records: Iterator[Record]) -> list[str]:
    found: list[str] = []
    for fault in faults(connection, records):
        found.append(fault)
        if len(found) == FAULTS_MAX:
            break
    return found


@dataclass(frozen=True)
class Script:
    path: Path
    text: str


@pytest.fixture
def cleaned(autocommit: psycopg.Connection, request: pytest.FixtureRequest) -> Iterator[Script]:
    """A script; what it creates is dropped before and after."""
    path = Path(request.param)
    text = path.read_text()
    created = re.findall(r"^CREATE\s+(TABLE|VIEW)\s+(\w+)", text, re.MULTILINE | re.IGNORECASE)
    drops = [f"DROP {kind} IF EXISTS {name}" for kind, name in reversed(dict.fromkeys(created))]
    for drop in drops:
        autocommit.pgconn.exec_(drop.encode())
    yield Script(path, text)
    for drop in drops:
        autocommit.pgconn.exec_(drop.encode())


def names(path: Path) -> str:
    return path.relative_to(SAMPLE).with_suffix("").as_posix()


@pytest.mark.skipif(not SCRIPTS, reason=f"{SAMPLE} is not here")
@pytest.mark.parametrize("cleaned", SCRIPTS, indirect=True, ids=names)
def test_every_record_in_the_sqlite_dialect(
    lfsql_server: Server, autocommit: psycopg.Connection, cleaned: Script
) -> None:
    autocommit.execute("SET lfsql.dialect = 'sqlite'")
    refused = TEMPORARY.get(cleaned.path.stem, ())
    records = (record for record in parse(cleaned.text, "sqlite") if record.line not in refused)
    assert first_faults(autocommit, records) == []


@pytest.mark.skipif(not SCRIPTS, reason=f"{SAMPLE} is not here")
@pytest.mark.parametrize("cleaned", PORTABLE, indirect=True, ids=names)
def test_every_record_in_the_postgresql_dialect(autocommit: psycopg.Connection, cleaned: Script) -> None:
    different = POSTGRESQL_DIFFERS.get(cleaned.path.stem, ())
    records = (record for record in parse(cleaned.text, "postgresql") if record.line not in different)
    assert first_faults(autocommit, records) == []


SCRIPT = """
# a comment
statement ok
CREATE TABLE t(a INTEGER, b TEXT)

statement error
CREATE TABLE t(a)

skipif postgresql
query IT rowsort label-1
SELECT a,
  b FROM t
----
1
(empty)
2
NULL

onlyif postgresql # why
query I
SELECT 1
----
1

hash-threshold 8

query R valuesort
SELECT 1.5
----
1 values hashing to 9e4bcf4d5d4f3d3a5b8ea4d2a1c1e4f0

onlyif mysql
halt

query T nosort
SELECT 'x'
"""


def test_a_script_is_parsed_for_an_engine() -> None:
    assert list(parse(SCRIPT, "sqlite")) == [
        Statement(3, "CREATE TABLE t(a INTEGER, b TEXT)", True),
        Statement(6, "CREATE TABLE t(a)", False),
        Query(10, "SELECT a,\n  b FROM t", "IT", "rowsort", ("1", "(empty)", "2", "NULL")),
        Query(27, "SELECT 1.5", "R", "valuesort", ("1 values hashing to 9e4bcf4d5d4f3d3a5b8ea4d2a1c1e4f0",)),
        Query(35, "SELECT 'x'", "T", "nosort", ()),
    ]
    assert [record.line for record in parse(SCRIPT, "postgresql")] == [3, 6, 20, 27, 35]
    assert [record.line for record in parse(SCRIPT, "mysql")] == [3, 6, 10, 27]


@pytest.mark.parametrize(
    ("types", "order", "rows", "expected", "right"),
    [
        ("I", "nosort", [("12",), (None,)], ("12", "NULL"), True),
        ("I", "nosort", [("1.9",), ("x",)], ("1", "0"), True),
        (
            "R",
            "nosort",
            [("1",), (1.0005,), (-9223372036854775808.0,)],
            ("1.000", "1.000", "-9223372036854776000.000"),
            True,
        ),
        ("T", "nosort", [("",), ("a\tb",), ("é",)], ("(empty)", "a@b", "@"), True),
        ("IT", "rowsort", [(2, "b"), (1, "z")], ("1", "z", "2", "b"), True),
        ("II", "valuesort", [(3, 1), (2, 0)], ("0", "1", "2", "3"), True),
        ("I", "nosort", [(1,), (2,)], ("2 values hashing to 6ddb4095eb719e2a9f0a3f95677d24e0",), True),
        ("I", "nosort", [(1,)], ("2",), False),
        ("I", "nosort", [(1,), (2,)], ("1",), False),
        ("I", "nosort", [(1, 2)], ("1",), False),
        ("I", "nosort", [(1,), (3,)], ("2 values hashing to 6ddb4095eb719e2a9f0a3f95677d24e0",), False),
    ],
)
def test_results_are_judged_as_sqlites_runner_does(
    types: str,
    order: str,
    rows: list[tuple[str | int | float | None, ...]],
    expected: tuple[str, ...],
    *,
    right: bool,
) -> None:
    assert (judge(Query(1, "", types, order, expected), rows) is None) is right


def test_only_an_overflow_may_stand_for_no_rows() -> None:
    without = Query(1, "", "I", "nosort", ())
    assert judge_failure(without, "integer overflow") is None
    assert judge_failure(without, "no such table") is not None
    assert judge_failure(Query(1, "", "I", "nosort", ("1",)), "integer overflow") is not None
