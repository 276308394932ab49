"""A primary's engine and a replica's, fed from the primary's records: what one computes the other must too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfsql.core.entry import NOOP, UNIT, Record, Unit, Value, chain_hash, encode_unit
from lfsql.core.ids import Position
from lfsql.core.requests import Operation, Result, Row, Run
from lfsql.storage.engine import Engine

CLOCK_US = 1_700_000_000_123_456


def position(record: Record) -> Position:
    return Position(record.index, record.term, record.hash)


class Pair:
    def __init__(self, directory: Path) -> None:
        self.primary = Engine(directory / "primary.db")
        self.replica = Engine(directory / "replica.db")
        self.records: list[Record] = []
        self.units: list[Unit] = []
        self._sequence = 0

    def close(self) -> None:
        self.primary.close()
        self.replica.close()

    def append(self, kind: int, body: bytes) -> Record:
        previous = self.records[-1] if self.records else Record(0, 0, NOOP, Position().hash, b"")
        index = previous.index + 1
        record = Record(index, 1, kind, chain_hash(previous.hash, index, 1, kind, body), body)
        self.records.append(record)
        return record

    def execute(self, *operations: Operation | str) -> list[Result]:
        """One unit of its own on the primary, committed, then applied on the replica."""
        self.primary.begin()
        results = self.unit(*operations)
        self.commit()
        return results

    def unit(self, *operations: Operation | str) -> list[Result]:
        """One more unit in the open batch."""
        self._sequence += 1
        self.primary.open_unit("client", self._sequence, CLOCK_US + self._sequence * 1_000_000, self._sequence)
        results = [self.primary.run(Run(each) if isinstance(each, str) else each) for each in operations]
        self.units.append(self.primary.close_unit(b"result %d" % self._sequence))
        return results

    def commit(self) -> None:
        new = [self.append(UNIT, encode_unit(unit)) for unit in self.units]
        self.units.clear()
        self.primary.commit(position(new[-1]), [record.index for record in new])
        self.replica.apply(new)
        self.assert_equal()

    def assert_equal(self) -> None:
        assert dump(self.primary) == dump(self.replica)
        assert self.primary.position == self.replica.position
        assert self.primary.schema_index == self.replica.schema_index


def rows(engine: Engine, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
    return engine.connection.execute(sql, tuple(parameters)).fetchall()


def dump(engine: Engine) -> dict[str, list[Row]]:
    """Every row of every table, our own included."""
    tables = [
        str(row[0])
        for row in rows(engine, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table')")
    ]
    return {table: rows(engine, f'SELECT * FROM "{table}" ORDER BY 1') for table in sorted(tables)}
