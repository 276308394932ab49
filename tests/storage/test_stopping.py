"""An interrupt leaves nothing behind that would hit what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lfsql.core.requests import Run
from lfsql.errors import LimitExceeded
from lfsql.storage import unit_reads
from lfsql.storage.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "data.db")
    engine.connection.create_scalar_function("hurry", lambda *_: engine.interrupt(), 0)
    engine.begin()
    engine.open_unit("c", 1, 1, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    engine.run(Run("INSERT INTO t VALUES (1), (2), (3)"))
    yield engine
    engine.rollback()
    engine.close()


def insert(engine: Engine) -> None:
    assert engine.run(Run("INSERT INTO t VALUES (4)")).rows_changed == 1


def test_beside_an_open_query(engine: Engine) -> None:
    """SQLite would keep the interrupt for as long as that is open."""
    engine.run(Run("SELECT a FROM t", (), portal=1, rows_max=1))
    engine.run(Run("SELECT hurry() FROM t"))
    insert(engine)
    engine.run(Run("SELECT a FROM t", (), portal=2, rows_max=1))
    engine.run(Run("SELECT hurry()", (), portal=3, rows_max=1))
    assert engine.run(Run("SELECT count(*) FROM t")).rows == ((4,),)


def test_between_the_rows_of_a_query_that_fails(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def collect(cursor: Iterator[Any], _take: Callable[[int], None]) -> list[Any]:
        next(cursor)
        engine.interrupt()
        raise LimitExceeded("too much")

    monkeypatch.setattr(unit_reads, "collect", collect)
    for sql in ("SELECT a FROM t", "INSERT INTO t VALUES (5), (6) RETURNING a"):
        with pytest.raises(LimitExceeded):
            engine.run(Run(sql))
    monkeypatch.undo()
    insert(engine)
    assert engine.run(Run("SELECT count(*) FROM t")).rows == ((4,),)


def test_outside_of_a_statement_nothing_is_stopped(engine: Engine) -> None:
    engine.stopping.wanted = lambda: True
    engine.connection.set_progress_handler(engine.stopping.is_due, 1)
    engine.interrupt()
    assert engine.connection.execute("SELECT count(*) FROM t").fetchall() == [(3,)]
