"""A replica applies the log: the same effect or divergence, runs of `more` records as one or not at all."""

from __future__ import annotations

import pytest

from lfsql.core.entry import NOOP, UNIT, Unit, encode_unit
from lfsql.errors import DataCorrupted, Diverged, InvariantBroken
from tests.storage.pair import Pair, dump, position, rows


def make_table(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b text NOT NULL, c, d DEFAULT (random()))")


def test_a_different_effect_is_divergence_and_nothing_is_applied(pair: Pair) -> None:
    make_table(pair)
    pair.replica.connection.execute("INSERT INTO t (a, b, d) VALUES (1, 'smuggled in', 0)")
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('x')")
    record = pair.append(UNIT, encode_unit(pair.units[0]))
    before = dump(pair.replica)
    with pytest.raises(Diverged, match="entry 2 had another effect"):
        pair.replica.apply([record])
    assert dump(pair.replica) == before
    assert pair.replica.next_index == 2


def test_the_same_rows_with_another_value_are_divergence(pair: Pair) -> None:
    make_table(pair)
    pair.execute("INSERT INTO t (b) VALUES ('x')")
    pair.replica.connection.execute("UPDATE t SET b = 'y'")
    pair.primary.begin()
    pair.unit("UPDATE t SET c = b")
    with pytest.raises(Diverged):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])


def test_a_statement_that_fails_on_the_replica_is_divergence(pair: Pair) -> None:
    make_table(pair)
    pair.replica.connection.execute("DROP TABLE t")
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('x')")
    with pytest.raises(Diverged, match="entry 2 failed here"):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])


def test_another_schema_is_divergence(pair: Pair) -> None:
    make_table(pair)
    pair.replica.connection.execute("CREATE INDEX i ON t (b)")
    pair.primary.begin()
    pair.unit("CREATE TABLE u (a)")
    with pytest.raises(Diverged):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])


def test_a_damaged_body_and_a_gap_are_refused(pair: Pair) -> None:
    with pytest.raises(DataCorrupted):
        pair.replica.apply([pair.append(UNIT, b"\xc1")])
    with pytest.raises(InvariantBroken):
        pair.replica.apply([pair.append(NOOP, b"")])


def pieces(pair: Pair) -> list[Unit]:
    """A unit of three inserts, cut into three."""
    pair.primary.begin()
    pair.unit(*(f"INSERT INTO t (b) VALUES ('{name}')" for name in "xyz"))
    whole = pair.units.pop()
    cut = [
        Unit(whole.clock_us, whole.seed, whole.client, whole.sequence, (statement,), more=True)
        for statement in whole.statements[:-1]
    ]
    last = Unit(
        whole.clock_us, whole.seed, whole.client, whole.sequence, whole.statements[-1:], whole.effect, whole.result
    )
    return [*cut, last]


@pytest.mark.parametrize("calls", [(3,), (1, 1, 1), (2, 1)])
def test_a_unit_cut_into_several_records_applies_as_one(pair: Pair, calls: tuple[int, ...]) -> None:
    make_table(pair)
    records = [pair.append(UNIT, encode_unit(piece)) for piece in pieces(pair)]
    pair.primary.commit(position(records[-1]), [records[-1].index])
    start = 0
    for count in calls:
        assert pair.replica.position.index == 1, "nothing of an unfinished run may be visible"
        assert pair.replica.next_index == 2 + start
        pair.replica.apply(records[start : start + count])
        start += count
    pair.assert_equal()


@pytest.mark.parametrize("calls", [(4,), (1, 1, 1, 1), (2, 2), (3, 1)])
def test_an_unfinished_run_is_skipped(pair: Pair, calls: tuple[int, ...]) -> None:
    make_table(pair)
    cut = pieces(pair)
    pair.primary.rollback()
    records = [pair.append(UNIT, encode_unit(cut[0])), pair.append(UNIT, encode_unit(cut[1])), pair.append(NOOP, b"")]
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('after')")
    records.append(pair.append(UNIT, encode_unit(pair.units.pop())))
    pair.primary.commit(position(records[-1]), [records[-1].index])
    start = 0
    for count in calls:
        pair.replica.apply(records[start : start + count])
        start += count
    pair.assert_equal()
    assert rows(pair.replica, "SELECT b FROM t") == [("after",)]


@pytest.mark.parametrize("calls", [(5,), (1, 1, 1, 1, 1), (3, 2)])
def test_a_run_may_interrupt_a_run(pair: Pair, calls: tuple[int, ...]) -> None:
    make_table(pair)
    dead = pieces(pair)[:2]
    pair.primary.rollback()
    records = [pair.append(UNIT, encode_unit(piece)) for piece in dead]
    records += [pair.append(UNIT, encode_unit(piece)) for piece in pieces(pair)]
    pair.primary.commit(position(records[-1]), [records[-1].index])
    start = 0
    for count in calls:
        pair.replica.apply(records[start : start + count])
        start += count
        assert pair.replica.next_index == records[start - 1].index + 1
    pair.assert_equal()


def test_noops_only_move_the_position(pair: Pair) -> None:
    pair.replica.apply([pair.append(NOOP, b""), pair.append(NOOP, b"")])
    assert pair.replica.position == position(pair.records[-1])
    pair.replica.apply([])
    assert pair.replica.next_index == 3
