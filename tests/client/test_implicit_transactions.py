"""What stands together outside of a block is done together, or undone together."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus

from tests.client.conftest import Server

pytestmark = pytest.mark.client


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("BEGIN; INSERT INTO {t} VALUES (1); ROLLBACK", []),
        ("INSERT INTO {t} VALUES (1); SELECT 1/0", []),
        ("INSERT INTO {t} VALUES (1); INSERT INTO {t} VALUES (2); SELECT no_such_column", []),
        ("INSERT INTO {t} VALUES (1); ROLLBACK; INSERT INTO {t} VALUES (2)", [2]),
        ("INSERT INTO {t} VALUES (1); BEGIN; INSERT INTO {t} VALUES (2); ROLLBACK", []),
        ("INSERT INTO {t} VALUES (1); COMMIT; INSERT INTO {t} VALUES (2); SELECT 1/0", [1]),
        ("INSERT INTO {t} VALUES (1); INSERT INTO {t} VALUES (1)", []),
        ("INSERT INTO {t} VALUES (1); SELECT count(*) FROM {t}; SELECT 1/0", []),
        ("INSERT INTO {t} VALUES (1); INSERT INTO {t} VALUES (2)", [1, 2]),
    ],
)
def test_a_text_of_several_statements(autocommit: psycopg.Connection, table: str, text: str, left: list[int]) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.pgconn.exec_(text.format(t=table).encode())
    rows = autocommit.execute(f"SELECT id FROM {table} ORDER BY id").fetchall()
    assert [row[0] for row in rows] == left


@pytest.mark.parametrize("failing", ["SELECT 1/0", "SELECT no_such_column", "SAVEPOINT s", "SELECT 'x'::int"])
def test_a_pipeline_that_fails(server: Server, table: str, failing: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        with pytest.raises(psycopg.Error), connection.pipeline():
            connection.execute(f"INSERT INTO {table} VALUES (1)")
            connection.execute(failing)
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize(
    ("text", "told", "after"),
    [
        ("SET work_mem = '5MB'; SELECT 1", ["SET", "1"], "5MB"),
        ("SET work_mem = '5MB'; SELECT 1/0", ["SET", "22012"], "4MB"),
        ("RESET ALL; SET work_mem = '5MB'; SELECT no_such_column", ["RESET", "SET", "42703"], "4MB"),
        ("SELECT set_config('work_mem', '5MB', false), 1/0", ["22012"], "4MB"),
        ("SELECT set_config('work_mem', '5MB', false); SELECT 1/0", ["5MB", "22012"], "4MB"),
        ("SELECT set_config('work_mem', '5MB', true); SHOW work_mem", ["5MB", "5MB"], "4MB"),
        ("SET LOCAL work_mem = '5MB'; SHOW work_mem", ["SET", "5MB"], "4MB"),
        ("SET LOCAL work_mem = '5MB'; COMMIT; SHOW work_mem", ["SET", "COMMIT", "4MB", "warned: 25P01"], "4MB"),
        ("SET LOCAL work_mem = '5MB'", ["SET", "warned: 25P01"], "4MB"),
        ("SET work_mem = '5MB'; SET LOCAL work_mem = '6MB'; SELECT 1", ["SET", "SET", "1"], "5MB"),
        ("SET work_mem = '5MB'; ROLLBACK", ["SET", "ROLLBACK", "warned: 25P01"], "4MB"),
        ("SET work_mem = '5MB'; COMMIT; SELECT 1/0", ["SET", "COMMIT", "22012", "warned: 25P01"], "5MB"),
        ("SET work_mem = '5MB'; BEGIN; SET work_mem = '6MB'; ROLLBACK", ["SET", "BEGIN", "SET", "ROLLBACK"], "4MB"),
        ("SET work_mem = '5MB'; BEGIN; SELECT 1/0", ["SET", "BEGIN", "22012"], "4MB"),
        ("BEGIN; SET work_mem = '5MB'; COMMIT; SELECT 1/0", ["BEGIN", "SET", "COMMIT", "22012"], "5MB"),
        (
            "BEGIN; SET work_mem = '5MB'; SAVEPOINT a; SET work_mem = '6MB'; ROLLBACK TO a; COMMIT",
            ["BEGIN", "SET", "SAVEPOINT", "SET", "ROLLBACK", "COMMIT"],
            "5MB",
        ),
        (
            "BEGIN; SAVEPOINT a; SET LOCAL work_mem = '6MB'; RELEASE a; SHOW work_mem; COMMIT",
            ["BEGIN", "SAVEPOINT", "SET", "RELEASE", "6MB", "COMMIT"],
            "4MB",
        ),
        ("COMMIT AND CHAIN", ["25P01"], "4MB"),
        ("ROLLBACK AND CHAIN; SELECT 1", ["25P01"], "4MB"),
        ("SELECT 1; ROLLBACK AND CHAIN; SELECT 2", ["1", "25P01"], "4MB"),
        ("SELECT 1; COMMIT AND CHAIN; SELECT 2", ["1", "25P01"], "4MB"),
        ("SELECT 1; COMMIT AND NO CHAIN; SELECT 2", ["1", "COMMIT", "2", "warned: 25P01"], "4MB"),
        ("BEGIN; ROLLBACK AND CHAIN; COMMIT", ["BEGIN", "ROLLBACK", "COMMIT"], "4MB"),
        ("SELECT 1; DISCARD ALL", ["1", "25001"], "4MB"),
        (
            "SET TRANSACTION READ ONLY; SHOW transaction_read_only; COMMIT; SHOW transaction_read_only",
            ["SET", "on", "COMMIT", "off", "warned: 25P01"],
            "4MB",
        ),
        ("SET TRANSACTION READ ONLY; CREATE TABLE never_made (a int)", ["SET", "25006"], "4MB"),
        ("SET TRANSACTION READ ONLY; BEGIN; CREATE TABLE never_made (a int)", ["SET", "BEGIN", "25006"], "4MB"),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN; SHOW transaction_isolation; ROLLBACK",
            ["SET", "BEGIN", "serializable", "ROLLBACK"],
            "4MB",
        ),
        ("SET TRANSACTION READ ONLY", ["SET", "warned: 25P01"], "4MB"),
        (
            "SET default_transaction_read_only = on; SHOW transaction_read_only; COMMIT; SHOW transaction_read_only",
            ["SET", "off", "COMMIT", "on", "warned: 25P01"],
            "4MB",
        ),
    ],
)
def test_settings_follow_the_transaction_of_their_text(
    server: Server, text: str, told: list[str], after: str
) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        assert _told(connection, text) == told
        connection.rollback()
        assert connection.execute("SHOW work_mem").fetchone() == (after,)
        _told(connection, "SELECT 1; SELECT 1/0")  # a later failure undoes nothing of what is over
        assert connection.execute("SHOW work_mem").fetchone() == (after,)


def _told(connection: psycopg.Connection, text: str) -> list[str]:
    """What a text's statements are answered with, in order: a row's first value, a tag, or a SQLSTATE; then what
    it was warned of, as libpq gives notices ahead of the results they came between."""
    told: list[str] = []
    warned: list[str] = []
    connection.add_notice_handler(lambda notice: warned.append(f"warned: {notice.sqlstate}"))
    raw = connection.pgconn
    raw.send_query(text.encode())
    while (result := raw.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            told.append((result.error_field(DiagnosticField.SQLSTATE) or b"").decode())
        else:
            told.append(
                (result.get_value(0, 0) or b"").decode()
                if result.ntuples
                else (result.command_status or b"").decode()
            )
    return told + warned


@pytest.mark.parametrize(
    ("statements", "after"),
    [
        (["SET work_mem = '5MB'", "SELECT 1/0"], "4MB"),
        (["SELECT set_config('work_mem', '5MB', false)", "SELECT no_such_column"], "4MB"),
        (["SET LOCAL work_mem = '5MB'", "SELECT 1"], "4MB"),
        (["SET work_mem = '5MB'", "SELECT 1"], "5MB"),
        (["BEGIN", "SET work_mem = '5MB'", "ROLLBACK", "SELECT 1"], "4MB"),
        (["BEGIN", "SET work_mem = '5MB'", "COMMIT", "SELECT 1/0"], "5MB"),
    ],
)
def test_settings_follow_the_transaction_of_their_pipeline(server: Server, statements: list[str], after: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        failed = False
        try:
            with connection.pipeline():
                for statement in statements:
                    connection.execute(statement)
        except (psycopg.errors.DivisionByZero, psycopg.errors.UndefinedColumn):
            failed = True
        assert failed == any("1/0" in statement or "no_such" in statement for statement in statements)
        assert connection.execute("SHOW work_mem").fetchone() == (after,)


def test_set_local_holds_until_the_pipelines_end(autocommit: psycopg.Connection) -> None:
    with autocommit.pipeline():
        autocommit.execute("SET LOCAL work_mem = '5MB'")
        shown = autocommit.execute("SHOW work_mem")
    assert shown.fetchone() == ("5MB",)
    assert autocommit.execute("SHOW work_mem").fetchone() == ("4MB",)


def test_a_deferred_constraint_that_fails_at_the_end_takes_the_settings_along(
    autocommit: psycopg.Connection, table: str
) -> None:
    autocommit.execute(
        f"CREATE TABLE {table} (id int PRIMARY KEY, up int REFERENCES {table} DEFERRABLE INITIALLY DEFERRED)"
    )
    assert _told(autocommit, f"SET work_mem = '5MB'; INSERT INTO {table} VALUES (1, 2)")[-1] == "23503"
    assert autocommit.execute("SHOW work_mem").fetchone() == ("4MB",)


def test_a_savepoint_brings_back_the_schema(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int)")
    for statement in ("BEGIN", "SAVEPOINT s", f"DROP TABLE {table}", "ROLLBACK TO s"):
        autocommit.execute(statement)
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    for statement in ("SAVEPOINT s", f"CREATE TABLE {table}_2 (id int)", "ROLLBACK TO s"):
        autocommit.execute(statement)
    autocommit.execute(f"CREATE TABLE {table}_2 (id int, name text)")
    autocommit.execute("ROLLBACK")


def test_a_transaction_is_read_only_by_default(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute("SET default_transaction_read_only = on")
    assert autocommit.execute("SHOW transaction_read_only").fetchone() == ("on",)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        autocommit.execute(f"CREATE TABLE {table} (id int)")
    autocommit.execute(f"SET TRANSACTION READ WRITE; CREATE TABLE {table} (id int)")
    autocommit.execute(f"BEGIN READ WRITE; INSERT INTO {table} VALUES (1); COMMIT AND CHAIN")
    autocommit.execute(f"INSERT INTO {table} VALUES (2)")
    autocommit.execute("COMMIT")
    assert autocommit.execute("SHOW transaction_read_only").fetchone() == ("on",)
    autocommit.execute("SET default_transaction_read_only = off")
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)


@pytest.mark.parametrize(
    "begun",
    [
        "ALTER TABLE {t} ADD COLUMN c int; INSERT INTO {t} (id) VALUES (1)",  # sent to learn the schema
        "; ".join(["INSERT INTO {t} VALUES (1)", *["UPDATE {t} SET id = 1"] * 1200]),  # sent as they are many
    ],
)
@pytest.mark.parametrize("block", [False, True])
def test_what_failed_in_the_last_part_of_a_text_is_undone_with_the_parts_before_it(
    autocommit: psycopg.Connection, server: Server, table: str, begun: str, block: bool
) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    text = f"{begun}; INSERT INTO {{t}} (id) VALUES (1)".format(t=table)
    failed = autocommit.pgconn.exec_((f"BEGIN; {text}; COMMIT" if block else text).encode())
    assert failed.error_field(DiagnosticField.SQLSTATE) == b"23505"
    if block:
        assert autocommit.info.transaction_status == TransactionStatus.INERROR
        autocommit.execute("ROLLBACK")
    with psycopg.connect(server.dsn, autocommit=True) as other:
        other.execute("SET lock_timeout = '2s'")
        other.execute(f"INSERT INTO {table} VALUES (3)")  # nobody has the writer
    autocommit.execute(f"INSERT INTO {table} VALUES (2)")
    assert autocommit.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() == [(2,), (3,)]


def test_a_text_that_changes_its_dialect_is_read_as_it_goes(lfsql_server: Server, table: str) -> None:
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as connection:
        text = f"CREATE TABLE {table} (id int); SET lfsql.dialect = sqlite; SELECT 1 IS NOT 2; REINDEX {table}"
        assert _told(connection, text) == ["CREATE TABLE", "SET", "1", "REINDEX"]


def test_long_statements_of_a_text(lfsql_server: Server, table: str) -> None:
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (note text)")
        long = "x" * 20_000
        told = _told(
            connection,
            f"INSERT INTO {table} VALUES ('{long}'); ALTER TABLE {table} ADD n int; "
            f"INSERT INTO {table} VALUES ('{long}', 1); SELECT length(note) FROM {table} WHERE note <> '{long}y'",
        )
        assert told == ["INSERT 0 1", "ALTER TABLE", "INSERT 0 1", "20000"]
        assert _told(connection, f"DELETE FROM {table} WHERE note = '{long}'; SELECT '{long}' WHERE") == ["42601"]
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)
