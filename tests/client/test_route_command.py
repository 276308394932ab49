"""`lfsql route`: a file's statements, and where they would go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import running_tier
from proxy.sql.lexer import Dialect
from proxy.sql.scripts import Script
from tests.client.conftest import DATA, Server

SCRIPT = """
CREATE TABLE t (id serial PRIMARY KEY, name varchar(20));
INSERT INTO t (name) VALUES ('a; not the end');

-- a comment
SELECT * FROM t
  WHERE id = 1;
ALTER TABLE t ADD COLUMN n int;
SELECT n FROM t FOR UPDATE;
SELECT nextval('t_id_seq');
SELECT nothing FROM t;
SELECT relname FROM pg_class;
BEGIN; COMMIT;
"""

LOG = """2026-11-01 10:00:00.123 UTC [17] LOG:  statement: CREATE TABLE t (id int PRIMARY KEY, n int)
2026-11-01 10:00:00.223 UTC [17] LOG:  duration: 0.123 ms  statement: SELECT n
\tFROM t
\tWHERE id = 4
2026-11-01 10:00:00.323 UTC [17] LOG:  execute <unnamed>: UPDATE t SET n = $1 WHERE id = $2
2026-11-01 10:00:00.323 UTC [17] DETAIL:  parameters: $1 = '1', $2 = '2'
2026-11-01 10:00:00.423 UTC [17] LOG:  checkpoint starting: time
"""


def route(*arguments: str | Path, given: str = "") -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "lfsql", "route", *map(str, arguments)]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=60, check=False
    )  # our own program
    return done.returncode, (done.stdout + done.stderr).splitlines()


def routed(*arguments: str | Path, given: str = "") -> tuple[int, list[tuple[int, str, str]]]:
    status, lines = route(*arguments, "--json", given=given)
    rows = [json.loads(line) for line in lines]
    return status, [(row["line"], row["kind"], row["route"]) for row in rows]


def test_a_script_is_followed() -> None:
    status, found = routed("-", given=SCRIPT)
    assert found == [
        (2, "ddl", "primary"),
        (3, "write", "primary"),
        (6, "read", "any copy"),
        (8, "ddl", "primary"),
        (9, "write", "primary"),
        (10, "write", "primary"),
        (11, "42703", "error"),
        (12, "read", "proxy"),
        (13, "utility", "session"),
        (13, "utility", "session"),
    ]
    assert status == 1


def test_people_get_a_table_and_a_sum(tmp_path: Path) -> None:
    file = tmp_path / "some.sql"
    file.write_text("CREATE TABLE t (a int); SELECT a FROM t; SELECT a FROM t;")
    status, lines = route(file)
    assert status == 0
    assert lines[0].split() == ["line", "kind", "route", "why", "statement"]
    assert lines[-1] == "2 to any copy, 1 to primary"


def test_a_servers_log_is_read(tmp_path: Path) -> None:
    file = tmp_path / "postgresql.log"
    file.write_text(LOG)
    assert routed(file, "--log") == (0, [(1, "ddl", "primary"), (2, "read", "any copy"), (5, "write", "primary")])


def test_the_sqlite_dialect() -> None:
    script = "CREATE TABLE t (a); PRAGMA table_info(t); REPLACE INTO t VALUES (1); SELECT [a] FROM t;"
    assert routed("-", "--dialect", "sqlite", given=script) == (
        0,
        [(1, "ddl", "primary"), (1, "read", "any copy"), (1, "write", "primary"), (1, "read", "any copy")],
    )


def test_real_input() -> None:
    status, found = routed(DATA / "chinook.sql")
    assert status == 0
    assert {kind for _, kind, _ in found} == {"ddl", "write"}


@pytest.mark.client
def test_tables_that_are_there_to_begin_with(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", nodes=1) as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE known (id serial PRIMARY KEY, n numeric(9, 2))")
    database = tmp_path / "data" / "n1" / "data.db"
    before = database.read_bytes()
    script = "SELECT n FROM known; ALTER TABLE known ADD COLUMN m int; SELECT m FROM known;"
    found = [(1, "read", "any copy"), (1, "ddl", "primary"), (1, "read", "any copy")]
    assert routed("-", "--database", database, given=script) == (0, found)
    assert database.read_bytes() == before


SESSION = """
CREATE TABLE t (a int, b text);
EXPLAIN ANALYZE DELETE FROM t; EXPLAIN DELETE FROM t; EXPLAIN (ANALYZE) SELECT nextval('s');
PREPARE p (int) AS DELETE FROM t WHERE a = $1; EXECUTE p(1); EXECUTE p; EXECUTE nosuch;
BEGIN; SELECT a FROM t; COMMIT; BEGIN READ ONLY; SELECT a FROM t; UPDATE t SET a = 1; COMMIT;
BEGIN; INSERT INTO t VALUES (1); SELECT a FROM t; SAVEPOINT s; ROLLBACK TO s; COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT a FROM t; ROLLBACK; SELECT a FROM t;
BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH 1 FROM c; LOCK TABLE t; COMMIT; DECLARE c CURSOR FOR SELECT 1;
COPY (DELETE FROM t RETURNING a) TO STDOUT; COPY (SELECT a FROM t) TO STDOUT; NOTIFY x;
SET lfsql.dialect=sqlite; PRAGMA user_version; REPLACE INTO t VALUES (1, [;]); RESET lfsql.dialect; REPLACE INTO t;
SET lfsql.route = 'primary'; SELECT a FROM t; SET lfsql.route = 'replica'; SELECT a FROM t; RESET lfsql.route;
/* lfsql: route=n2 */ SELECT a FROM t; /* lfsql: rout=n2 */ SELECT a FROM t; SET nosuch = 1;
SET default_transaction_read_only = on; DELETE FROM t; CREATE TABLE u (a int);
"""


def test_a_script_is_told_what_its_session_would_do() -> None:
    _, found = routed("-", given=SESSION)
    by_line: dict[int, list[str]] = {}
    for line, kind, where in found:
        by_line.setdefault(line, []).append(kind if where == "error" else where)
    assert by_line == {
        2: ["primary"],
        3: ["primary", "any copy", "primary"],
        4: ["session", "primary", "42601", "26000"],
        5: ["session", "primary", "session", "session", "any copy", "25006", "session"],
        6: ["session", "primary", "primary", "session", "session", "primary"],
        7: ["session", "primary", "session", "any copy"],
        8: ["session", "primary", "session", "primary", "primary", "25P01"],
        9: ["primary", "any copy", "primary"],
        10: ["session", "any copy", "42703", "session", "42601"],
        11: ["session", "primary", "session", "a replica", "session"],
        12: ["node n2", "42704", "42704"],
        13: ["session", "25006", "25006"],
    }


@pytest.mark.client
def test_explain_route_tells_the_same(lfsql_server: Server) -> None:
    """Of each statement of the script, in a session that runs it."""
    _, found = routed("-", given=SESSION)
    script = Script(SESSION)
    dialect: Dialect = "postgresql"
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        for line, kind, where in found:
            piece = script.next(dialect)
            assert piece is not None
            assert piece.line == line
            if where == "error" and kind != "25006":
                continue
            if where != "node n2":  # whatever its role is
                shown = connection.execute(f"EXPLAIN (ROUTE) {piece.text}").fetchone()
                assert shown is not None
                expected = {
                    "any copy": ("replica", "primary"),
                    "a replica": ("replica",),
                    "session": ("this session",),
                    "error": ("nowhere: it would fail",),
                }.get(where, (where,))
                assert str(shown[0]).removeprefix("Route: ").startswith(expected), (piece.text, where, shown)
            if where != "error" and "COPY" not in piece.text and "nextval" not in piece.text:
                connection.execute(piece.text)
            if "dialect" in piece.text:
                dialect = "sqlite" if "sqlite" in piece.text else "postgresql"
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("DROP TABLE t")


def test_data_psqls_commands_and_what_never_ends_are_read_over() -> None:
    script = "CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1;'\n\\.\n\\dt\nSELECT a FROM t;\nSELECT 'x;\nSELECT 2;\n"
    assert routed("-", given=script) == (
        1,
        [
            (1, "ddl", "primary"),
            (2, "utility", "primary"),
            (5, "psql", "psql"),
            (6, "read", "any copy"),
            (7, "42601", "error"),
            (8, "read", "any copy"),
        ],
    )


SESSIONS = """2026-11-01 10:00:00.123 UTC [17] LOG:  statement: CREATE TABLE t (a int)
2026-11-01 10:00:00.123 UTC [17] LOG:  statement: SET lfsql.dialect = 'sqlite'
2026-11-01 10:00:00.123 UTC [18] LOG:  statement: REPLACE INTO t VALUES (1)
2026-11-01 10:00:00.123 UTC [17] LOG:  duration: 0.2 ms  statement: REPLACE INTO t VALUES (1)
2026-11-01 10:00:00.123 UTC [18] LOG:  execute <unnamed>: UPDATE t SET a = $1
2026-11-01 10:00:00.123 UTC [18] DETAIL:  parameters: $1 = '1', $2 = 'LOG:  statement: DROP TABLE t'
2026-11-01 10:00:00.123 UTC [18] LOG:  execute fetch from S_1/C_2: SELECT a FROM t
2026-11-01 10:00:00.123 UTC [18] ERROR:  syntax error at or near "x"
2026-11-01 10:00:00.123 UTC [18] STATEMENT:  LOG:  statement: x
2026-11-01 10:00:00.123 UTC [18] LOG:  statement: DELETE FROM t;
\tSELECT a FROM t
2026-11-01 10:00:00.123 UTC [18] LOG:  statement: SELECT a FROM t; SELECT 1
2026-11-01 10:00:00.123 UTC [17] LOG:  disconnection: session time: 0:00:01.1 user=u database=d host=[local]
2026-11-01 10:00:00.123 UTC [17] LOG:  statement: REPLACE INTO t VALUES (1)
"""


def test_each_session_of_a_log_is_followed_by_itself() -> None:
    assert routed("-", "--log", given=SESSIONS)[1] == [
        (1, "ddl", "primary"),
        (2, "utility", "session"),
        (3, "42601", "error"),
        (4, "write", "primary"),
        (5, "write", "primary"),
        (10, "write", "primary"),
        (11, "read", "primary"),
        (12, "read", "any copy"),
        (12, "read", "any copy"),
        (14, "42601", "error"),
    ]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"\xff\xfe\x00")
    calls: list[tuple[str | Path, ...]] = [(tmp_path / "missing.sql",), (file,), ("-", "--database", file)]
    for arguments in calls:
        status, lines = route(*arguments)
        assert status == 1
        assert len(lines) == 1
        assert lines[0].startswith("lfsql route: ")
