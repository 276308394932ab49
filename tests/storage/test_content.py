"""The content hash: equal where the contents are, whatever the pages look like; different for any difference."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import apsw
import pytest

from lfsql.errors import DataCorrupted, LfsqlError, LimitExceeded
from lfsql.storage import content_snapshot
from lfsql.storage.content import content_hash, find_damage, read_position
from lfsql.storage.engine import Engine
from tests.storage.pair import Pair
from tests.storage.test_row_changes import reverse


def content(engine: Engine) -> bytes:
    return content_hash(engine.connection, lambda: None)


def test_nodes_that_applied_the_same_have_the_same_content_whatever_their_files_look_like(tmp_path: Path) -> None:
    pair = reverse(Pair(tmp_path))
    pair.execute("CREATE VIRTUAL TABLE found USING fts5(body)", "CREATE TABLE u (rowid, _rowid_, oid)")
    pair.execute("INSERT INTO found VALUES ('a b'), ('b c')", "INSERT INTO u VALUES (3, 2, 1), (1, 2, 3)")
    pair.execute("INSERT INTO child (n) SELECT n FROM parent", "DELETE FROM loose WHERE a = 1")
    pair.replica.connection.execute("ANALYZE")
    assert content(pair.primary) == content(pair.replica)
    assert find_damage(pair.replica.connection) == ""
    assert read_position(pair.replica.connection) == pair.replica.position
    pair.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE loose SET a = 1.0 WHERE a = 1",
        "UPDATE loose SET a = '2' WHERE a = 2",
        "DELETE FROM audit WHERE rowid = 1",
        "UPDATE keyed SET b = 7 WHERE a = 'y'",
        "UPDATE computed SET b = 9 WHERE a = 1",
        "UPDATE sqlite_sequence SET seq = seq + 1",
        "UPDATE loose SET rowid = 99 WHERE rowid = 1",
        "CREATE INDEX i ON loose (b)",
        "DROP TABLE late",
        "INSERT INTO _lfsql_clients VALUES ('other', 1, 1, x'')",
        "UPDATE _lfsql_state SET clock_us = clock_us + 1",
    ],
)
def test_any_difference_is_a_different_content(tmp_path: Path, change: str) -> None:
    pair = reverse(Pair(tmp_path))
    before = content(pair.replica)
    assert before == content(pair.primary)
    pair.replica.connection.execute(change)
    assert content(pair.replica) != before
    pair.close()


def test_a_page_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data.db")
    engine.connection.execute("CREATE TABLE t (a); CREATE INDEX i ON t (a)")
    engine.connection.execute(
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000)"
        " INSERT INTO t SELECT hex(randomblob(50)) FROM n"
    )
    engine.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    roots = dict(engine.connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE tbl_name = 't'"))
    engine.close()
    whole = (tmp_path / "data.db").read_bytes()

    def opened_with_a_damaged_page(number: int) -> apsw.Connection:
        at = (number - 1) * 4096
        (tmp_path / "data.db").write_bytes(whole[:at] + b"\xff" * 64 + whole[at + 64 :])
        return apsw.Connection(str(tmp_path / "data.db"), flags=apsw.SQLITE_OPEN_READONLY)

    with contextlib.closing(opened_with_a_damaged_page(roots["t"])) as connection:
        with pytest.raises(DataCorrupted, match="to its end"):
            content_hash(connection, lambda: None)
        assert find_damage(connection) != ""
    with contextlib.closing(opened_with_a_damaged_page(roots["i"])) as connection:
        content_hash(connection, lambda: None)
        assert find_damage(connection) != "", "an index is looked at too"


def test_the_pace_is_asked_for_and_may_stop_it(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    pair = reverse(Pair(tmp_path))
    with pytest.raises(Stopped):
        content_hash(pair.primary.connection, stop)
    pair.close()


def test_a_check_rests_longer_than_it_works_unless_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    worked = iter((0.0, 0.001, 0.004, 0.010, 0.010, 0.020, 0.020))
    monkeypatch.setattr(time, "monotonic", lambda: next(worked))
    rests: list[float] = []
    pace = content_snapshot.Pace(lambda: False)
    pace.begin()

    def wait(seconds: float) -> bool:
        rests.append(seconds)
        return False

    monkeypatch.setattr(pace._stopped, "wait", wait)
    pace()
    pace()
    assert rests == [], "not worth a rest yet"
    pace()
    assert rests == [pytest.approx(0.030)]
    pace.hurry = True
    pace()
    assert rests[1:] == [0]
    pace.stop()
    monkeypatch.undo()
    pace._since = -1.0
    with pytest.raises(content_snapshot.CheckStopped):
        pace()


def test_what_cannot_be_read_for_now_says_nothing_of_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tmp_path / "data.db")
    engine.connection.execute("CREATE TABLE t (a)")
    snapshot = content_snapshot.ContentSnapshot(tmp_path / "data.db")
    snapshot.begin()
    snapshot._connection.limit(apsw.SQLITE_LIMIT_LENGTH, 100)
    engine.begin()
    with monkeypatch.context() as stopping:
        stopping.setattr(content_snapshot, "_STEPS_A_LOOK", 1)
        stopping.setattr(snapshot, "_look", lambda: True)  # as a stop does, at any step
        with pytest.raises(content_snapshot.CheckStopped):
            snapshot.check()
    with pytest.raises(LimitExceeded):
        snapshot.check()
    snapshot.close()
    engine.close()
    with pytest.raises(LfsqlError) as raised:
        content_snapshot.ContentSnapshot(tmp_path / "absent" / "data.db")
    assert not isinstance(raised.value, DataCorrupted)


class Rests:
    """In place of the event that a check rests on: how long it would have rested; stopped after so many rests."""

    def __init__(self, stopped_after: int = 1_000_000) -> None:
        self.rests: list[float] = []
        self.stopped_after = stopped_after

    def wait(self, timeout_s: float) -> bool:
        self.rests.append(timeout_s)
        return len(self.rests) > self.stopped_after


def checked(path: Path, monkeypatch: pytest.MonkeyPatch, rests: Rests) -> content_snapshot.Checked:
    """By SQLite's own check alone."""
    monkeypatch.setattr(content_snapshot, "WORK_S", 0.0)
    monkeypatch.setattr(content_snapshot, "content_hash", lambda *_: b"")
    snapshot = content_snapshot.ContentSnapshot(path)
    monkeypatch.setattr(snapshot.pace, "_stopped", rests)
    try:
        snapshot.begin()
        assert rests.rests == [], "this is done in the event loop"
        return snapshot.check()
    finally:
        snapshot.close()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    engine = Engine(tmp_path / "data.db")
    engine.connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE)")
    rows = [(number, f"{number * 7919 % 3001:0100}") for number in range(3000)]
    engine.connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    engine.close()
    return tmp_path / "data.db"


def test_sqlites_own_check_rests_too(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests = Rests()
    assert checked(large, monkeypatch, rests) == (b"", "")
    assert len(rests.rests) > 10
    assert all(rest > 0 for rest in rests.rests)


def test_sqlites_own_check_can_be_stopped_while_it_rests(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(content_snapshot.CheckStopped):
        checked(large, monkeypatch, Rests(3))


def test_a_check_hurries_when_the_write_ahead_log_grows(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_snapshot, "WAL_BYTES_MAX", 10_000)
    engine = Engine(large)
    rests = Rests()
    try:
        engine.connection.execute("UPDATE t SET b = b || 'x'")
        checked(large, monkeypatch, rests)
    finally:
        engine.close()
    assert set(rests.rests) == {0}
