"""data.db: production's engine on SQLite in memory, opened from an image of the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lfsql.core.entry import Value
from lfsql.core.ids import Index, Position
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.engine import Engine


class SimulatedEngine(Engine):
    """Opens `image`, the bytes of a database file; b"" is a new node's.  `committed` is called after each COMMIT."""

    def __init__(self, image: bytes, committed: Callable[[], None]) -> None:
        super().__init__(":memory:")
        self._committed = committed
        if image:
            self.connection.deserialize("main", image)
            index, term, chain, self._committed_schema, self.clock_us = self._read_state()
            self.position = self._seen = Position(index, term, chain)
            self.schema_index = self._committed_schema
            self._look_at_schema()

    def commit(self, position: Position, indexes: Sequence[Index]) -> None:
        super().commit(position, indexes)
        self._committed()

    def query(self, sql: str, parameters: tuple[Value, ...] = ()) -> list[tuple[Any, ...]]:
        """What the writing connection sees, our own tables too."""
        return self.connection.execute(sql, parameters, prepare_flags=INTERNAL).fetchall()
