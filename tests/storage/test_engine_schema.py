"""A schema change is noticed however often its text has run before."""

from __future__ import annotations

from pathlib import Path

from lfsql.core.ids import Position
from lfsql.core.requests import Run
from lfsql.storage.engine import Engine


def test_the_same_create_table_changes_the_schema_each_time(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data.db")
    try:
        seen = [engine.schema_index]
        for index, sql in enumerate(["CREATE TABLE t (a)", "DROP TABLE t"] * 3, 1):
            engine.begin()
            engine.open_unit("client", index, index, index)
            engine.run(Run(sql))
            engine.close_unit()
            engine.commit(Position(index, 1, bytes(16)), [index])
            seen.append(engine.schema_index)
        assert seen == [0, 1, 2, 3, 4, 5, 6]
    finally:
        engine.close()
