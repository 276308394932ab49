"""What may run where it must not block: programs without loops, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfsql.core.requests import Run
from lfsql.storage.engine import Engine
from lfsql.storage.straightness import Straightness


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "data.db")
    engine.begin()
    engine.open_unit("a", 1, 1, 1)
    for sql in (
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, code text UNIQUE, v int CHECK (v < 100))",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE, at text)",
        "CREATE TABLE noisy (id INTEGER PRIMARY KEY, v int)",
        "CREATE TABLE expensive (id INTEGER PRIMARY KEY, v text CHECK (replace(v, 'a', v) <> ''))",
        "CREATE TRIGGER loud AFTER UPDATE ON noisy BEGIN UPDATE child SET at = 1; END",
    ):
        engine.run(Run(sql))
    yield engine
    engine.rollback()
    engine.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT v FROM parent WHERE id = ?1",
        "SELECT v FROM parent WHERE code = ?1",
        "UPDATE parent SET v = v + ?1 WHERE id = ?2",
        "INSERT INTO parent (code, v) VALUES (?1, ?2)",
        "INSERT INTO child (parent_id, at) VALUES (?1, datetime('now'))",
        "INSERT INTO noisy (v) VALUES (1)",
        "INSERT INTO parent (id, code) VALUES (ifnull(?1, lfsql_null_key('parent', 'id')), lfsql_fit(?2, 9))",
        "INSERT INTO child (at) VALUES (lower(?1) || upper(?2))",
        "DELETE FROM child WHERE id = ?1",
    ],
)
def test_by_key_is_straight(engine: Engine, sql: str) -> None:
    straightness = Straightness(engine.connection)
    assert straightness.is_straight(sql)
    assert straightness.is_straight(sql), "the second answer comes from memory"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT v FROM parent",
        "UPDATE parent SET v = v + ?1 WHERE id = ?2 RETURNING v",
        "SELECT count(*) FROM parent",
        "SELECT v FROM parent WHERE id > ?1 LIMIT 1",
        "UPDATE parent SET v = 1",
        "UPDATE parent SET v = 1 WHERE v = 2",
        "UPDATE noisy SET v = 1 WHERE id = 1",
        "DELETE FROM parent",
        "DELETE FROM parent WHERE id = 1",
        "DELETE FROM child",
        "INSERT INTO noisy (v) SELECT v FROM parent",
        "INSERT INTO noisy (v) VALUES (1), (2)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "CREATE TABLE t (x)",
        "DROP TABLE noisy",
        "ANALYZE",
        "EXPLAIN SELECT 1",
        "SELEC",
        "SELECT v FROM parent WHERE id = 1 -- " + "x" * 20_000,
        "SELECT repeat(code, 1000000) FROM parent WHERE id = 1",
        "SELECT zeroblob(10000000)",
        "SELECT printf('%1000000d', 1)",
        "SELECT v FROM parent WHERE id = 1 AND code LIKE '%a%a%a%b'",
        "INSERT INTO expensive (v) VALUES (?1)",
        "SELECT " + ", ".join(["abs(1)"] * 65),
    ],
)
def test_what_may_take_long_is_not(engine: Engine, sql: str) -> None:
    assert not Straightness(engine.connection).is_straight(sql)


def test_the_schema_decides(engine: Engine) -> None:
    straightness = Straightness(engine.connection)
    assert straightness.is_straight("INSERT INTO noisy (v) VALUES (1)")
    engine.run(Run("CREATE TRIGGER louder AFTER INSERT ON noisy BEGIN UPDATE child SET at = 1; END"))
    straightness.forget()
    assert not straightness.is_straight("INSERT INTO noisy (v) VALUES (1)")
