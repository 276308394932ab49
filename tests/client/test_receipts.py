"""What a session is told of where its statements ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest

from lfsql.config import load_proxy
from lfsql.testing.cluster import Tier, free_port, wait_until
from tests.client.conftest import Server, route_of
from tests.client.second_proxy import answers, elsewhere, serving

pytestmark = pytest.mark.client


@pytest.fixture
def filled(lfsql_server: Server, autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.execute(f"INSERT INTO {table} VALUES (1)")
    return autocommit


def last_index(connection: psycopg.Connection) -> int:
    shown = connection.execute("SHOW lfsql.last_index").fetchone()
    assert shown is not None
    return int(shown[0])


@pytest.mark.parametrize("prepare", [False, True])
def test_a_write_tells_the_primary_and_its_place(filled: psycopg.Connection, table: str, prepare: bool) -> None:
    filled.execute(f"UPDATE {table} SET id = id + %s", (1,), prepare=prepare)
    told = route_of(filled)
    assert (told["role"], told["staleness_ms"], told["lag_entries"]) == ("primary", 0.0, 0)
    assert (told["level"], told["reason"], told["wait_ms"]) == (None, "update", 0.0)
    assert told["applied_index"] == last_index(filled)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("level", ["any", "bounded", "session", "strong"])
def test_a_read_tells_how_stale_it_can_be(filled: psycopg.Connection, table: str, prepare: bool, level: str) -> None:
    filled.execute(f"SET lfsql.read_consistency = '{level}'")
    filled.execute(f"SELECT id FROM {table}", prepare=prepare)
    told = route_of(filled)
    assert told["level"] == level
    assert told["role"] in ("primary", "replica")
    assert isinstance(told["applied_index"], int)
    assert told["applied_index"] <= last_index(filled)
    stale, behind = told["staleness_ms"], told["lag_entries"]
    assert isinstance(stale, float)
    assert isinstance(behind, int)
    assert level == "any" or 0 <= stale <= 1000
    assert behind >= 0


def test_a_snapshot_grows_old(lfsql_server: Server, filled: psycopg.Connection, table: str) -> None:
    filled.execute("BEGIN READ ONLY")
    filled.execute(f"SELECT id FROM {table}")
    first = route_of(filled)
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as other:
        for number in range(2, 5):
            other.execute(f"INSERT INTO {table} VALUES (%s)", (number,))
    assert filled.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    last = route_of(filled)
    assert first["reason"] == last["reason"] == "snapshot"
    assert (first["node"], first["applied_index"]) == (last["node"], last["applied_index"])

    def lag() -> bool:
        filled.execute(f"SELECT id FROM {table}")
        behind = route_of(filled)["lag_entries"]
        return isinstance(behind, int) and behind >= 3

    wait_until(lag, 10, "the proxy to hear of the commits")
    filled.execute("COMMIT")


def test_what_the_proxy_answers_itself_says_so(filled: psycopg.Connection) -> None:
    filled.execute("SELECT count(*) FROM pg_class").fetchone()
    told = route_of(filled)
    assert (told["node"], told["role"], told["reason"]) == (None, "proxy", "system catalogs")


def test_notices_tell_the_same(filled: psycopg.Connection, table: str) -> None:
    heard: list[str] = []
    filled.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    filled.execute("SET lfsql.notice_route = on")
    assert filled.execute(f"SELECT id FROM {table}", prepare=True).fetchall() == [(1,)]
    told = route_of(filled)
    assert heard == [notice for notice in heard if notice.startswith(f"{told['role']} {told['node']}, at index")]
    assert len(heard) == 1
    assert heard[0].endswith(f"level session: {told['reason']}")
    filled.execute(f"UPDATE {table} SET id = 2", prepare=True)
    assert len(heard) == 2
    assert heard[1].startswith("primary ")
    filled.execute("SET lfsql.notice_route = off")
    filled.execute(f"SELECT id FROM {table}", prepare=True)
    assert len(heard) == 2


def counted(connection: psycopg.Connection, reason: str) -> int:
    sql = f"SELECT coalesce(sum(statements), 0)::int FROM lfsql.routes WHERE reason = '{reason}'"
    found = connection.execute(sql).fetchone()
    assert found is not None
    return int(found[0])


def test_the_sums_are_a_relation(filled: psycopg.Connection, table: str) -> None:
    deletes = counted(filled, "delete")
    for number in range(3):
        filled.execute(f"DELETE FROM {table} WHERE id = %s", (number,), prepare=number > 0)
    assert counted(filled, "delete") == deletes + 3


@contextmanager
def at_hand(tier: Tier, directory: Path) -> Iterator[str]:
    """The connection string of another proxy on the nodes' host."""
    port = free_port()
    listed = load_proxy(tier.directory / "proxy.toml")
    with serving(msgspec.structs.replace(listed, listen=f"127.0.0.1:{port}"), directory):
        dsn = f"postgresql://lfsql@127.0.0.1:{port}/lfsql"
        wait_until(lambda: answers(dsn), 20, "the proxy to serve")
        yield dsn


@pytest.fixture(params=["files", "links"])
def alone(request: pytest.FixtureRequest, lfsql_server: Server, tmp_path: Path) -> Iterator[psycopg.Connection]:
    """The only session of a proxy's only worker, which reads the nodes' files or asks over its links."""
    assert lfsql_server.tier is not None
    beside = elsewhere if request.param == "links" else at_hand
    with beside(lfsql_server.tier, tmp_path) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def tally(connection: psycopg.Connection) -> Counter[str]:
    """How many statements of each reason were counted, without the questions of this kind."""
    rows = connection.execute("SELECT reason, sum(statements) FROM lfsql.routes GROUP BY reason").fetchall()
    return Counter({str(reason): int(str(count)) for reason, count in rows if reason != "system catalogs"})


READS = ("inline", "thread", "link", "snapshot")


def test_each_statement_is_counted_once(alone: psycopg.Connection, table: str) -> None:
    """`wanted` are the reasons in order; of a read it is how it was made, which is the proxy's to choose."""
    alone.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, n int); CREATE SEQUENCE {table}_s")
    told: list[str] = []
    alone.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))

    def run(sql: str, *, prepare: bool | None = None) -> None:
        alone.execute(sql.format(t=table), prepare=prepare)

    def piped() -> None:
        with alone.pipeline():
            for number in (20, 21):
                run(f"INSERT INTO {{t}} VALUES ({number})")
            run("SELECT n FROM {t}")

    def copied() -> None:
        with alone.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            copy.write("30\t1\n31\t1\n")
        with alone.cursor().copy(f"COPY (SELECT n FROM {table}) TO STDOUT") as rows:
            list(rows)
        with alone.cursor().copy(f"COPY (DELETE FROM {table} WHERE id = 30 RETURNING n) TO STDOUT") as rows:
            list(rows)

    def cursors() -> None:
        run("BEGIN READ ONLY")
        run("DECLARE c CURSOR FOR SELECT n FROM {t}")
        run("FETCH 1 FROM c")
        run("FETCH ALL FROM c")
        run("COMMIT")

    def failing() -> None:
        for sql in ("INSERT INTO {t} VALUES (1)", "SELECT 1 / (n - n) FROM {t} WHERE id = 2", "SELEC"):
            with pytest.raises(psycopg.Error):
                run(sql)

    def block(end: str) -> None:
        for sql in (
            "BEGIN",
            "INSERT INTO {t} VALUES (40)",
            "SELECT n FROM {t}",
            "LOCK TABLE {t}",
            "SAVEPOINT s",
            end,
        ):
            run(sql)

    def executed() -> None:
        run("PREPARE p (int, int) AS UPDATE {t} SET n = $1 WHERE id = $2")
        run("EXECUTE p (2 + 3, 1)")
        run("EXECUTE p (4, 2)")
        run("DEALLOCATE p")

    def dialect() -> None:
        run("SET lfsql.dialect = 'sqlite'")
        run("REPLACE INTO {t} VALUES (50, 1)")
        run("SELECT [n] FROM {t}")
        run("EXPLAIN (ANALYZE) DELETE FROM {t} WHERE id = 50")
        run("RESET lfsql.dialect")

    steps: list[tuple[Callable[[], None], list[str]]] = [
        (lambda: run("INSERT INTO {t} VALUES (1, 1); INSERT INTO {t} VALUES (2, 2)"), ["insert", "insert"]),
        (lambda: run("INSERT INTO {t} VALUES (3, 3)", prepare=True), ["insert"]),
        (lambda: run("SELECT n FROM {t}"), ["read"]),
        (lambda: run("SELECT n FROM {t}", prepare=True), ["read"]),
        (lambda: run("SELECT nextval('{t}_s')"), ["calls nextval"]),
        (piped, ["insert", "insert", "select"]),
        (copied, ["copy", "read", "delete"]),
        (cursors, ["read"]),
        (failing, ["insert, failed with 23505", "read, failed with 22012"]),
        (lambda: block("COMMIT"), ["insert", "select", "lock table", "commit"]),
        (lambda: block("ROLLBACK"), ["insert, failed with 23505"]),
        (executed, ["update", "update"]),
        (lambda: run("NOTIFY x"), ["notify"]),
        (lambda: run("EXPLAIN DELETE FROM {t}"), ["read"]),
        (lambda: run("EXPLAIN ANALYZE DELETE FROM {t} WHERE id = 3"), ["delete"]),
        (lambda: run("EXPLAIN ANALYZE SELECT n FROM {t}"), ["read"]),
        (dialect, ["replace", "read", "delete"]),
    ]
    for notices in ("off", "on"):
        run(f"SET lfsql.notice_route = {notices}")
        run("DELETE FROM {t}")
        for step, wanted in steps:
            before = tally(alone)
            told.clear()
            try:
                step()
            except psycopg.errors.UniqueViolation:
                run("ROLLBACK")
            heard = list(told)
            counted_once = tally(alone) - before
            found = Counter[str]()
            for reason, count in counted_once.items():
                way, comma, rest = reason.partition(",")
                found["read" + comma + rest if way in READS else reason] += count
            assert found == Counter(wanted), (notices, wanted, found)
            if notices == "on":
                assert len(heard) == len(wanted), heard
        alone.execute(f"DROP SEQUENCE {table}_s; CREATE SEQUENCE {table}_s")


def lines(connection: psycopg.Connection, sql: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(sql)]


def test_a_statement_that_commits_by_itself_tells_its_commit(filled: psycopg.Connection, table: str) -> None:
    heard: list[str] = []
    filled.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    filled.execute("SET lfsql.notice_route = on")

    def copied() -> None:
        with filled.cursor().copy(f"COPY (DELETE FROM {table} RETURNING id) TO STDOUT") as copy:
            list(copy)

    for work, reason in (
        (lambda: lines(filled, f"EXPLAIN ANALYZE INSERT INTO {table} VALUES (2)"), "insert"),
        (copied, "delete"),
        (lambda: filled.execute("NOTIFY x"), "notify"),
    ):
        heard.clear()
        work()
        told = route_of(filled)
        index = last_index(filled)
        assert (told["role"], told["reason"], told["applied_index"]) == ("primary", reason, index)
        assert heard == [f"primary {told['node']}, at index {index}: {reason}"]


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("notices", ["off", "on"])
def test_a_transactions_commit_has_a_receipt(
    filled: psycopg.Connection, table: str, prepare: bool, notices: str
) -> None:
    filled.execute(f"SET lfsql.notice_route = {notices}")
    filled.execute("BEGIN")
    filled.execute(f"INSERT INTO {table} VALUES (2)", prepare=prepare)
    assert (route_of(filled)["reason"], route_of(filled)["applied_index"]) == ("insert", None)
    filled.execute("COMMIT", prepare=prepare)
    told = route_of(filled)
    assert (told["role"], told["reason"], told["applied_index"]) == ("primary", "commit", last_index(filled))
    filled.execute("BEGIN")
    filled.execute(f"INSERT INTO {table} VALUES (3)", prepare=prepare)
    filled.execute("ROLLBACK", prepare=prepare)
    told = route_of(filled)
    assert (told["role"], told["reason"], told["applied_index"]) == ("primary", "rollback", None)


@pytest.mark.parametrize("notices", ["off", "on"])
def test_a_statement_that_fails_has_a_receipt_of_its_own(
    filled: psycopg.Connection, table: str, notices: str
) -> None:
    filled.execute(f"SET lfsql.notice_route = {notices}")

    def failing(sql: str) -> dict[str, object]:
        with pytest.raises(psycopg.Error):
            filled.execute(sql)
        return route_of(filled)

    told = failing(f"INSERT INTO {table} VALUES (1)")
    assert (told["role"], told["reason"], told["applied_index"]) == ("primary", "insert, failed with 23505", None)
    told = failing(f"SELECT 1 / (id - id) FROM {table}")
    assert told["role"] in ("primary", "replica")
    assert str(told["reason"]).endswith(", failed with 22012")
    assert (told["level"], told["lag_entries"]) == ("session", 0)
    told = failing("SELECT * FROM there_is_no_such_table")
    assert (told["node"], told["role"], told["reason"]) == (None, None, "failed with 42P01")


def test_explain_tells_where_its_plan_is_from(filled: psycopg.Connection, table: str) -> None:
    first, *_ = lines(filled, f"EXPLAIN DELETE FROM {table}")
    told = route_of(filled)
    assert first == f"SQLite on {told['role']} {told['node']} (delete, which would run on the primary)"
    first, *_ = lines(filled, f"EXPLAIN ANALYZE DELETE FROM {table}")
    assert first == f"SQLite on primary {route_of(filled)['node']} (delete)"
    filled.execute("SET lfsql.dialect = 'sqlite'")
    filled.execute(f"CREATE VIEW {table}_v AS SELECT nextval('{table}_s') AS n")
    filled.execute("RESET lfsql.dialect")
    filled.execute(f"CREATE SEQUENCE {table}_s")
    first, *_ = lines(filled, f"EXPLAIN ANALYZE SELECT n FROM {table}_v")
    told = route_of(filled)
    assert first == f"SQLite on primary {told['node']} (select)"
    assert told["applied_index"] == last_index(filled)
    filled.execute(f"DROP VIEW {table}_v; DROP SEQUENCE {table}_s")


def test_the_index_shown_in_a_pipeline_is_that_of_its_commit(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    for number in range(3):
        with autocommit.pipeline():
            autocommit.execute(f"INSERT INTO {table} VALUES ({number})")
            shown = autocommit.execute("SHOW lfsql.last_index")
            after = autocommit.execute("SELECT 1")
        told, one = shown.fetchone(), after.fetchone()
        assert one == (1,)
        assert told == autocommit.execute("SHOW lfsql.last_index").fetchone()
        assert told is not None
        assert str(told[0]) == str(route_of(autocommit)["applied_index"]), "nothing else writes"


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO {t} VALUES (1); SHOW lfsql.last_index",
        "BEGIN; INSERT INTO {t} VALUES (1); COMMIT; SHOW lfsql.last_index",
    ],
)
def test_the_index_shown_in_a_text_is_that_of_its_commit(
    autocommit: psycopg.Connection, table: str, text: str
) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    before = autocommit.execute("SHOW lfsql.last_index").fetchone()
    cursor = autocommit.execute(text.format(t=table).encode())
    while cursor.nextset():
        pass
    told = cursor.fetchone()
    assert told == autocommit.execute("SHOW lfsql.last_index").fetchone()
    assert told != before


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO {t} VALUES (1); SHOW lfsql.last_index; BEGIN; SELECT 1",
        "INSERT INTO {t} VALUES (1); SHOW lfsql.last_index; SHOW lfsql.last_route",
    ],
)
def test_an_index_that_cannot_be_known_yet_is_not_made_up(
    autocommit: psycopg.Connection, table: str, text: str
) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction, match="not known before"):
        autocommit.execute(text.format(t=table).encode())
    autocommit.execute("ROLLBACK")
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_the_receipt_shown_in_a_pipeline_is_of_the_statement_before(
    autocommit: psycopg.Connection, table: str
) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.execute(f"SELECT count(*) FROM {table}")
    with autocommit.pipeline():
        autocommit.execute(f"DELETE FROM {table}")
        shown = autocommit.execute("SHOW lfsql.last_route").fetchone()
    assert shown is not None
    assert (shown[1], shown[6]) == ("primary", "delete")
