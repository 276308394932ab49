"""Time and chance come from the unit; the digest sees what was done and not in which order."""

from __future__ import annotations

import time
import zoneinfo
from importlib.resources import files
from pathlib import Path

import apsw
import pytest

from lfsql.core.requests import Run
from lfsql.errors import LimitExceeded
from lfsql.storage.changeset import EffectDigest
from lfsql.storage.determinism import RANDOMBLOB_BYTES_MAX, StatementRandom, fingerprint
from lfsql.storage.engine import Engine
from lfsql.storage.functions import moments, register, zones
from tests.storage.pair import Pair, rows


def test_the_generator_gives_these_numbers_on_every_machine() -> None:
    random = StatementRandom()
    random.restart(42, 0)
    first = [random.integer() for _ in range(2)]
    assert first == [-7108620063390100493, 8303042382312347024]
    assert random.blob(4).hex() == "2fef8004"


def test_statements_reads_and_seeds_draw_differently_and_repeatably() -> None:
    random = StatementRandom()
    drawn = set()
    for place in [(1, 0, 0), (1, 1, 0), (1, 0, 1), (2, 0, 0), (2**64 - 1, 0, 0)]:
        random.restart(*place)
        assert not random.drawn
        drawn.add(random.integer())
        random.restart(*place)
        assert random.integer() in drawn
    assert len(drawn) == 5


@pytest.mark.parametrize(("size", "length"), [(0, 1), (-5, 1), (None, 1), ("x", 1), (3, 3), (2.9, 2)])
def test_randomblob_takes_what_sqlites_takes(size: int | float | str | None, length: int) -> None:
    assert len(StatementRandom().blob(size)) == length


def test_randomblob_is_bounded() -> None:
    with pytest.raises(LimitExceeded):
        StatementRandom().blob(RANDOMBLOB_BYTES_MAX + 1)


def test_the_clock_reaches_whatever_sqlite_computes_from_it(pair: Pair) -> None:
    pair.execute(
        "CREATE TABLE t (a, at DEFAULT CURRENT_TIMESTAMP, day AS (date(a)), made)",
        "CREATE INDEX by_day ON t (day)",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET made = strftime('%s') WHERE rowid = new.rowid; END",
        "CREATE VIEW v AS SELECT datetime('now') AS n",
    )
    pair.execute(
        "INSERT INTO t (a) VALUES (julianday())",
        "INSERT INTO t (a) SELECT n FROM v",
        "INSERT INTO t (a) VALUES (CURRENT_TIME)",
    )
    expected = ("2023-11-14 22:13:22", "1700000002")
    assert {row[1:] for row in rows(pair.replica, "SELECT a, at, made FROM t")} == {expected}
    assert rows(pair.replica, "SELECT a FROM t")[1] == ("2023-11-14 22:13:22",)


def test_engines_have_clocks_of_their_own(tmp_path: Path) -> None:
    one, other = Engine(tmp_path / "1.db"), Engine(tmp_path / "2.db")
    for engine, clock in ((one, 1_000_000), (other, 2_000_000)):
        engine.begin()
        engine.open_unit("c", 1, clock, 1)
    assert one.run(Run("SELECT unixepoch()")).rows == ((1,),)
    assert other.run(Run("SELECT unixepoch()")).rows == ((2,),)
    one.close()
    assert other.run(Run("SELECT strftime('%s', 'now')")).rows == (("2",),)
    other.close()


def test_the_fingerprint_is_stable_and_sees_the_functions() -> None:
    assert fingerprint(register) == fingerprint(register)
    assert fingerprint(register).startswith(f"sqlite-{apsw.sqlite_lib_version()}/tzdata-20")

    def more(connection: apsw.Connection, clock: object) -> None:
        connection.create_scalar_function("one_more", lambda *_: None, 0)

    assert fingerprint(more) != fingerprint(lambda connection, clock: None)


def test_the_fingerprint_sees_time_zones_and_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = fingerprint(register)
    with monkeypatch.context() as older:
        older.setattr(zones, "VERSION", "2019c")
        assert fingerprint(register) != ours
    try:
        monkeypatch.setenv("TZ", "XYZ-5")
        time.tzset()
        assert fingerprint(register) != ours
    finally:
        monkeypatch.undo()
        time.tzset()
    assert fingerprint(register) == ours


def test_zones_are_those_of_the_package_whatever_the_machine_has(tmp_path: Path) -> None:
    """A machine whose Europe/Paris is in truth Tokyo."""
    (tmp_path / "Europe").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe" / "Paris").write_bytes(tokyo)
    connection = apsw.Connection(":memory:")
    register(connection, int)
    moments.zone.cache_clear()
    zoneinfo.reset_tzpath([tmp_path])
    try:
        found = connection.execute("SELECT lfsql_to_local('2024-07-01 12:00:00', 'Europe/Paris')").get
    finally:
        zoneinfo.reset_tzpath()
        connection.close()
    assert found == "2024-07-01 14:00:00"


@pytest.mark.parametrize(
    ("name", "key"),
    [("europe/PARIS", "Europe/Paris"), ("EST5EDT", "EST5EDT"), ("Nowhere", None), ("../zones", None), ("", None)],
)
def test_zones_by_name(name: str, key: str | None) -> None:
    found = zones.named(name)
    assert (found.key if found else None) == key


# -- The effect's digest -----------------------------------------------------------------------------------


@pytest.fixture
def connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b); CREATE TABLE n (x, y)")
    return connection


def digest_of(connection: apsw.Connection, sql: str) -> bytes:
    digest = EffectDigest(connection)
    digest.restart()
    connection.execute(f"SAVEPOINT s; {sql}")
    digest.stop()
    connection.execute("ROLLBACK TO s; RELEASE s")
    return digest.digest()


def test_the_order_of_changes_does_not_count(connection: apsw.Connection) -> None:
    one = digest_of(connection, "INSERT INTO t VALUES (1, 'x'), (2, 'y'); INSERT INTO n VALUES (1, 1)")
    other = digest_of(connection, "INSERT INTO n VALUES (1, 1); INSERT INTO t VALUES (2, 'y'), (1, 'x')")
    assert one == other
    assert len(one) == 16


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1, 'x')", "INSERT INTO t VALUES (1, 'X')", "INSERT INTO t VALUES (1, x'78')",
        "INSERT INTO t VALUES (2, 'x')", "INSERT INTO t VALUES (1, NULL)", "INSERT INTO t VALUES (1, 1)",
        "INSERT INTO t VALUES (1, 1.5)", "INSERT INTO n VALUES (1, 'x')", "INSERT INTO n VALUES ('x', 1)",
        "INSERT INTO n VALUES (1, 'x'), (1, 'x')", "INSERT INTO n VALUES (1, 'x'), (1, 'x'), (1, 'x')",
        "INSERT INTO t VALUES (1, 'x'); DELETE FROM t", "INSERT INTO t VALUES (1, 'y'); UPDATE t SET b = 'x'",
    ],
)  # fmt: skip
def test_different_changes_have_different_digests(connection: apsw.Connection, sql: str) -> None:
    base = digest_of(connection, "INSERT INTO t VALUES (1, 'base')")
    assert digest_of(connection, sql) != base
    assert digest_of(connection, sql) == digest_of(connection, sql)


def test_nothing_changed_is_no_digest(connection: apsw.Connection) -> None:
    assert digest_of(connection, "DELETE FROM t WHERE a = 7") == b""
