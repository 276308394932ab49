"""EXPLAIN (ROUTE): where a statement would go, told without running it."""

from __future__ import annotations

import psycopg
import pytest

from tests.client.conftest import Server, route_of

pytestmark = pytest.mark.client


@pytest.fixture
def filled(lfsql_server: Server, autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, n int)")
    autocommit.execute(f"INSERT INTO {table} (n) VALUES (1), (2)")
    return autocommit


def told(connection: psycopg.Connection, sql: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(f"EXPLAIN (ROUTE) {sql}")]


@pytest.mark.parametrize(
    ("sql", "route", "kind"),
    [
        ("SELECT * FROM {t}", ("replica ", "primary "), "read (select)"),
        ("/* lfsql: route=n2 */ SELECT * FROM {t}", ("replica n2", "primary n2"), "read (select)"),
        ("TABLE {t}", ("replica ", "primary "), "read"),
        ("SELECT * FROM {t} FOR UPDATE", ("primary ",), "write (locks rows)"),
        ("SELECT nextval('{t}_id_seq')", ("primary ",), "write (calls nextval"),
        ("INSERT INTO {t} (n) VALUES (7)", ("primary ",), "write (insert)"),
        ("CREATE TABLE {t}_other (a int)", ("primary ",), "ddl"),
        ("COPY {t} FROM STDIN", ("primary ",), "utility"),
        ("COPY (SELECT * FROM {t}) TO STDOUT", ("replica ", "primary "), "read"),
        ("DECLARE c CURSOR FOR SELECT 1", ("replica ", "primary "), "read"),
        ("EXPLAIN ANALYZE DELETE FROM {t}", ("primary ",), "write (delete)"),
        ("EXPLAIN DELETE FROM {t}", ("replica ", "primary "), "read (explain)"),
        ("EXECUTE known(1)", ("primary ",), "write (update)"),
        ("SELECT relname FROM pg_class", ("this proxy",), "read"),
        ("BEGIN", ("this session",), "utility"),
        ("SET work_mem = '1MB'", ("this session",), "utility"),
    ],
)
def test_it_tells_where_and_why(
    filled: psycopg.Connection, table: str, sql: str, route: tuple[str, ...], kind: str
) -> None:
    filled.execute(f"PREPARE known (int) AS UPDATE {table} SET n = $1")
    lines = told(filled, sql.format(t=table))
    assert lines[0].startswith(tuple(f"Route: {one}" for one in route)), lines
    assert lines[1].startswith(f"Kind: {kind}"), lines
    found = filled.execute(f"SELECT array_agg(n ORDER BY n) FROM {table}").fetchone()
    assert found == ([1, 2],), "it was run"


@pytest.mark.parametrize(
    ("sql", "route", "kind"),
    [
        ("SELECT [n], `id` FROM {t} /* ) */", ("replica ", "primary "), "read (select)"),
        ("/* lfsql: route=n2 */ SELECT [n] FROM {t}", ("replica n2", "primary n2"), "read (select)"),
        ("PRAGMA user_version", ("replica ", "primary "), "read (pragma)"),
        ("PRAGMA journal_mode", ("primary ",), "write (pragma journal_mode)"),
        ("REPLACE INTO {t} VALUES (1, 2)", ("primary ",), "write (replace)"),
        ("DELETE FROM {t} WHERE n = ?", ("primary ",), "write (delete)"),
        ("CREATE TABLE {t}_other ([a])", ("primary ",), "ddl"),
        ("EXPLAIN QUERY PLAN SELECT [n] FROM {t}", ("replica ", "primary "), "read (explain)"),
        ("EXECUTE known(1)", ("primary ",), "write (replace)"),
        ("BEGIN IMMEDIATE", ("this session",), "utility"),
        ("VACUUM", ("this session",), "utility"),
    ],
)
def test_it_tells_the_same_of_the_sqlite_dialect(
    filled: psycopg.Connection, table: str, sql: str, route: tuple[str, ...], kind: str
) -> None:
    filled.execute("SET lfsql.dialect = 'sqlite'")
    filled.execute(f"PREPARE known AS REPLACE INTO {table} VALUES (?1, 7)")
    lines = told(filled, sql.format(t=table))
    assert lines[0].startswith(tuple(f"Route: {one}" for one in route)), lines
    assert lines[1].startswith(f"Kind: {kind}"), lines
    with pytest.raises(psycopg.errors.SyntaxError, match="at end of input"):
        told(filled, "")
    found = filled.execute(f"SELECT group_concat(n ORDER BY n) FROM {table}").fetchone()
    assert found == ("1,2",), "it was run"


def test_a_read_goes_where_it_says(filled: psycopg.Connection, table: str) -> None:
    for choice in ("primary", "replica"):
        filled.execute(f"SET lfsql.route = '{choice}'")
        for _ in range(3):
            line = told(filled, f"SELECT n FROM {table}")[0]
            filled.execute(f"SELECT n FROM {table}")
            receipt = route_of(filled)
            assert line.startswith(f"Route: {choice} "), line
            assert receipt["role"] == choice


def test_every_copy_is_told_with_what_speaks_against_it(
    lfsql_server: Server, filled: psycopg.Connection, table: str
) -> None:
    assert lfsql_server.tier is not None
    lfsql_server.tier.wait_level()  # of one that does not know the table that would be told
    filled.execute("SET lfsql.min_index = 1000000000")
    filled.execute("SET lfsql.when_lagging = 'error'")
    lines = told(filled, f"SELECT n FROM {table}")
    assert lines[0] == "Route: nowhere: it would fail (no copy may serve, and when_lagging is error)"
    nodes = [line for line in lines if line.startswith("  ")]
    assert len(nodes) == 3
    assert all("behind what the session has seen" in line or "the session needs 1000000000" in line for line in nodes)
    with pytest.raises(psycopg.Error) as caught:
        filled.execute(f"SELECT n FROM {table}")
    assert caught.value.sqlstate == "55000"


def test_a_transaction_that_has_written_reads_at_the_primary(filled: psycopg.Connection, table: str) -> None:
    filled.execute("BEGIN")
    assert "any" not in told(filled, f"SELECT n FROM {table}")[0]
    filled.execute(f"UPDATE {table} SET n = 5")
    assert told(filled, f"SELECT n FROM {table}")[0].endswith("(it must see what its transaction has done)")
    assert told(filled, "COMMIT")[0].endswith("(it needs the writer)")
    filled.execute("ROLLBACK")
    filled.execute("BEGIN READ ONLY")
    filled.execute(f"SELECT n FROM {table}")
    assert told(filled, f"SELECT n FROM {table}")[0].endswith("(the transaction's snapshot is there)")
    filled.execute("ROLLBACK")


def test_as_a_document(filled: psycopg.Connection, table: str) -> None:
    found = filled.execute(f"EXPLAIN (ROUTE, FORMAT JSON) SELECT n FROM {table}").fetchone()
    assert found is not None
    document = found[0][0]
    assert document["Kind"] == "read"
    assert document["Level"] == "session"
    assert {node["node"] for node in document["Nodes"]} == {"n1", "n2", "n3"}
    assert document["SQL"]


def test_it_does_not_run_so_it_cannot_be_analyzed(filled: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.SyntaxError, match="ROUTE does not run the statement"):
        filled.execute("EXPLAIN (ROUTE, ANALYZE) SELECT 1")
    with pytest.raises(psycopg.errors.UndefinedTable):
        filled.execute("EXPLAIN (ROUTE) SELECT * FROM there_is_no_such_table")
