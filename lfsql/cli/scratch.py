"""A database in a temporary directory that follows the statements that change a schema: what a dry run plans by."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lfsql.core.ids import Index, Position
from lfsql.core.requests import Row, Run
from lfsql.errors import LfsqlError
from lfsql.storage.engine import Engine
from lfsql.storage.opening import copy_database


class Scratch:
    """Use as a context manager.  `database`: a data.db to begin with, which is copied.

    Raises ConfigError, DataCorrupted.
    """

    def __init__(self, database: Path | None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="lfsql-route-")
        self.path = Path(self._directory.name) / "data.db"
        try:
            if database is not None:
                copy_database(database, self.path)
            self._engine = Engine(self.path)
        except BaseException:
            self._directory.cleanup()
            raise
        self._sequence = 0

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._directory.cleanup()

    @property
    def schema_index(self) -> Index:
        return self._engine.schema_index

    def rows(self, sql: str) -> list[Row]:
        """Of a query without parameters."""
        return self._engine.connection.execute(sql).fetchall()

    def change(self, statements: tuple[str, ...]) -> None:
        """Run and commit them.  Raises StatementError and its kin; nothing is changed then."""
        engine = self._engine
        self._sequence += 1
        engine.begin()
        try:
            engine.open_unit("route", self._sequence, engine.clock_us, 1)
            for sql in statements:
                engine.run(Run(sql))
            engine.close_unit()
        except LfsqlError:
            engine.rollback()
            raise
        at = engine.position
        engine.commit(Position(at.index + 1, max(at.term, 1), at.hash), [at.index + 1])
