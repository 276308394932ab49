"""Migrations are applied once, in order, all or nothing; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from lfsql.errors import ConfigError
from lfsql.storage import migrations
from lfsql.storage.engine import Engine


def make(root: Path, **files: str) -> tuple[migrations.Migration, ...]:
    area = root / "data"
    area.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (area / f"{name.removeprefix('m')}.sql").write_text(text)
    return migrations.load("data", root)


class Database:
    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.executed: list[str] = []

    def execute(self, sql: str, parameters: Sequence[object]) -> Sequence[Sequence[object]]:
        self.executed.append(sql)
        return self.connection.execute(sql, tuple(parameters)).fetchall()

    def tables(self) -> set[str]:
        found = self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {str(row[0]) for row in found} - {"_lfsql_migrations"}


def test_each_is_applied_once_in_order(tmp_path: Path) -> None:
    database = Database()
    migrations.migrate(database.execute, make(tmp_path, m0001_first="CREATE TABLE a (x);\n"))
    both = make(tmp_path, m0002_second="CREATE TABLE b (x);\nINSERT INTO b VALUES (1);\n")
    migrations.migrate(database.execute, both)
    migrations.migrate(database.execute, both)
    assert database.tables() == {"a", "b"}
    assert database.connection.execute("SELECT * FROM b").fetchall() == [(1,)]


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database()
    wrong = make(tmp_path, m0001_first="CREATE TABLE a (x);\n", m0002_wrong="CREATE TABLE a (x);\n")
    with pytest.raises(apsw.SQLError):
        migrations.migrate(database.execute, wrong)
    assert database.tables() == set()
    assert not database.connection.in_transaction


def test_a_newer_file_and_a_changed_migration_are_refused(tmp_path: Path) -> None:
    database = Database()
    both = make(tmp_path, m0001_first="CREATE TABLE a (x);\n", m0002_second="CREATE TABLE b (x);\n")
    migrations.migrate(database.execute, both)
    with pytest.raises(ConfigError, match="newer version"):
        migrations.migrate(database.execute, both[:1])
    with pytest.raises(ConfigError, match="differs"):
        migrations.migrate(database.execute, make(tmp_path, m0001_first="CREATE TABLE a (y);\n"))
    database.execute("UPDATE _lfsql_migrations SET number = 0 WHERE number = 2", ())
    with pytest.raises(ConfigError, match="which no version has"):
        migrations.migrate(database.execute, both)
    assert not database.connection.in_transaction


def test_a_trigger_is_one_statement() -> None:
    trigger = "CREATE TRIGGER r AFTER INSERT ON a BEGIN\n  SELECT 1;\n  SELECT 2;\nEND;"
    assert migrations.split_statements(f"-- first\nCREATE TABLE a (x);\n{trigger}\n") == (
        "-- first\nCREATE TABLE a (x);",
        trigger,
    )
    with pytest.raises(ConfigError, match="middle"):
        migrations.split_statements("CREATE TABLE a (x")


@pytest.mark.parametrize("files", [{}, {"m0002_second": "SELECT 1;"}, {"m1_short": "SELECT 1;"}])
def test_files_must_be_numbered_from_one(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        make(tmp_path, **files)


def test_the_projects_own_apply_and_are_recorded(tmp_path: Path) -> None:
    for _ in range(2):
        engine = Engine(tmp_path / "data.db")
        known = migrations.load("data")
        found = engine.connection.execute("SELECT number, name FROM _lfsql_migrations").fetchall()
        assert found == [(migration.number, migration.name) for migration in known]
        engine.close()


def test_an_older_program_refuses_the_file(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data.db")
    engine.connection.execute("INSERT INTO _lfsql_migrations VALUES (99, 'later', x'00')")
    engine.close()
    with pytest.raises(ConfigError, match="newer version"):
        Engine(tmp_path / "data.db")
