"""`lfsql route`: a file's statements, and where they would go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import running_tier
from tests.client.conftest import DATA

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


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"\xff\xfe\x00")
    calls: list[tuple[str | Path, ...]] = [(tmp_path / "missing.sql",), (file,), ("-", "--database", file)]
    for arguments in calls:
        status, lines = route(*arguments)
        assert status == 1
        assert len(lines) == 1
        assert lines[0].startswith("lfsql route: ")
