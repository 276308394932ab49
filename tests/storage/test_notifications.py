"""What a unit's record says of its notifications: once each, in order, only what was not undone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lfsql.core.entry import Notification, Statement, Unit, decode_unit, encode_unit, notifications_of
from lfsql.core.requests import ReleaseSavepoint, RollbackToSavepoint, Run, SetSavepoint
from lfsql.errors import InvalidParameterValue, LfsqlError, LimitExceeded, ReadOnlyTransaction
from lfsql.node.cutting import cut
from lfsql.storage.engine import Engine
from lfsql.storage.reader import Reader
from tests.storage.pair import Pair, rows

PID = 7


def notify(channel: str | None, payload: str | None = "") -> Run:
    return Run("SELECT lfsql_notify(?1, ?2, ?3)", (channel, payload, PID))


def told(pair: Pair) -> list[tuple[str, str]]:
    """By the newest record."""
    return [(each.channel, each.payload) for each in notifications_of(pair.records[-1].body)]


def test_a_unit_with_nothing_but_notifications_is_a_record_of_them(pair: Pair) -> None:
    (result,) = pair.execute(notify("news", "one"))
    assert result.rows == (("",),)
    unit = decode_unit(pair.records[-1].body)
    assert unit.notifications == (Notification("news", "one", PID),)
    assert unit.statements == ()


def test_they_keep_their_order_and_are_told_once(pair: Pair) -> None:
    pair.execute(notify("b"), notify("a", "x"), notify("b"), notify("a", "y"), notify("a", "x"))
    assert told(pair) == [("b", ""), ("a", "x"), ("a", "y")]


def test_what_a_savepoint_takes_back_was_never_notified(pair: Pair) -> None:
    pair.execute(
        notify("a"),
        SetSavepoint("s"),
        notify("a"),
        notify("b"),
        RollbackToSavepoint("s"),
        notify("c"),
        notify("b"),
        SetSavepoint("t"),
        notify("d"),
        ReleaseSavepoint("t"),
    )
    assert told(pair) == [("a", ""), ("c", ""), ("b", ""), ("d", "")]


def test_what_a_failed_statement_told_is_taken_back_and_no_more(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    engine = pair.primary
    engine.begin()
    engine.open_unit("client", 10, 10**15, 1)
    engine.run(notify("before"))
    with pytest.raises(LfsqlError):
        engine.run(Run("INSERT INTO t VALUES (3), (1) RETURNING lfsql_notify('x', a, 1)"))
    with pytest.raises(InvalidParameterValue):
        engine.run(Run("SELECT lfsql_notify(iif(a = 1, 'y', ''), '', 1) FROM t ORDER BY a"))
    assert [each.channel for each in engine.close_unit().notifications] == ["before"]
    engine.rollback()


def test_a_statement_that_writes_too_is_applied_and_collects_nothing_there(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    pair.execute("INSERT INTO t VALUES (1), (2) RETURNING lfsql_notify('rows', a, 5)")
    assert told(pair) == [("rows", "1"), ("rows", "2")]
    assert rows(pair.replica, "SELECT a FROM t") == [(1,), (2,)]
    assert len(pair.replica.notifications) == 0
    pair.execute("INSERT INTO t VALUES (3)")
    assert told(pair) == []


def test_each_row_of_a_query_notifies(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    pair.execute(Run("SELECT lfsql_notify('rows', a, 5) FROM t ORDER BY a DESC"))
    assert told(pair) == [("rows", "3"), ("rows", "2"), ("rows", "1")]


@pytest.mark.parametrize(
    ("channel", "payload", "message"),
    [
        ("", "", "channel name cannot be empty"),
        (None, "", "channel name cannot be empty"),
        ("c" * 64, "", "channel name too long"),
        ("é" * 32, "", "channel name too long"),
        ("c", "p" * 8000, "payload string too long"),
    ],
)
def test_names_and_payloads_are_bounded(engine: Engine, channel: str | None, payload: str, message: str) -> None:
    engine.begin()
    engine.open_unit("client", 1, 10**15, 1)
    with pytest.raises(InvalidParameterValue, match=message):
        engine.run(notify(channel, payload))
    engine.run(notify("c" * 63, "p" * 7999))
    engine.run(notify("null", None))
    assert [len(each.payload) for each in engine.close_unit().notifications] == [7999, 0]


def test_a_unit_notifies_of_no_more_than_fits_a_record(engine: Engine) -> None:
    engine.notifications.bytes_max = 100
    engine.begin()
    engine.open_unit("client", 1, 10**15, 1)
    engine.run(notify("a", "x" * 60))
    with pytest.raises(LimitExceeded):
        engine.run(notify("b", "x" * 60))
    engine.run(notify("c"))
    assert [each.channel for each in engine.close_unit().notifications] == ["a", "c"]


def test_a_reader_tells_nobody(tmp_path: Path) -> None:
    Engine(tmp_path / "data.db").close()
    reader = Reader(tmp_path / "data.db")
    try:
        reader.begin()
        assert not reader.describe("SELECT lfsql_notify('a', '', 1)").readonly
        with pytest.raises(ReadOnlyTransaction):
            list(reader.connection.execute("SELECT lfsql_notify('a', '', 1)"))
    finally:
        reader.close()


def test_records_of_older_versions_notify_of_nothing() -> None:
    unit = Unit(1, 2, "client", 3, (Statement("SELECT 1"),))
    fields = msgspec.to_builtins(unit, builtin_types=(bytes,))
    older = msgspec.msgpack.encode(fields[:-1])
    assert len(older) < len(encode_unit(unit))
    assert decode_unit(older) == unit
    assert notifications_of(older) == ()


def test_of_a_unit_that_is_cut_the_last_piece_notifies() -> None:
    statements = tuple(Statement("INSERT INTO t VALUES (?1)", (("x" * 600,),)) for _ in range(5))
    notifications = (Notification("a", "y" * 900, 1),)
    pieces = [
        decode_unit(body) for body in cut(Unit(1, 2, "client", 3, statements, notifications=notifications), 1_000)
    ]
    assert [piece.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert [piece.notifications for piece in pieces] == [()] * (len(pieces) - 1) + [notifications]
    assert tuple(statement for piece in pieces for statement in piece.statements) == statements
    assert len(encode_unit(pieces[-1])) < 1_100
