"""asyncpg with its default settings: prepared statements and binary values throughout."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from tests.client.conftest import Server

pytestmark = pytest.mark.client

Result = TypeVar("Result")
Connection = Any  # asyncpg has no types


def run(server: Server, body: Callable[[Connection], Awaitable[Result]]) -> Result:
    async def connected() -> Result:
        connection = await asyncpg.connect(server.dsn)
        try:
            return await body(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def test_create_insert_returning_and_fetch(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        tag = await connection.execute(
            f"CREATE TABLE {table} (id serial PRIMARY KEY, name text NOT NULL, made timestamptz DEFAULT now())"
        )
        assert tag == "CREATE TABLE"
        row = await connection.fetchrow(f"INSERT INTO {table} (name) VALUES ($1) RETURNING id, name, made", "one")
        assert (row["id"], row["name"]) == (1, "one")
        assert row["made"].utcoffset().total_seconds() == 0
        assert (
            await connection.execute(f"INSERT INTO {table} (name) VALUES ($1), ($2)", "two", "three") == "INSERT 0 2"
        )
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 3
        found = await connection.fetch(f"SELECT id, name FROM {table} WHERE id > $1 ORDER BY id", 1)
        assert [tuple(row) for row in found] == [(2, "two"), (3, "three")]
        assert await connection.execute(f"UPDATE {table} SET name = upper(name) WHERE id < $1", 3) == "UPDATE 2"
        assert await connection.execute(f"DELETE FROM {table} WHERE name = $1", "ONE") == "DELETE 1"
        assert await connection.fetchrow(f"SELECT * FROM {table} WHERE id = 1") is None

    run(server, body)


def test_executemany_is_all_or_nothing(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
        await connection.executemany(f"INSERT INTO {table} VALUES ($1, $2)", [(n, f"name {n}") for n in range(500)])
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 500
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.executemany(f"INSERT INTO {table} VALUES ($1, $2)", [(1000, "new"), (1, "taken")])
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 500

    run(server, body)


def test_fetchmany_and_long_results(server: Server) -> None:
    async def body(connection: Connection) -> None:
        found = await connection.fetch("SELECT n, n * 2 AS twice FROM generate_series(1, $1) AS g(n)", 20_000)
        assert len(found) == 20_000
        assert found[-1]["twice"] == 40_000

    run(server, body)


def test_a_cursor_reads_in_parts(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        await connection.executemany(f"INSERT INTO {table} VALUES ($1)", [(n,) for n in range(250)])
        async with connection.transaction():
            seen = [row["id"] async for row in connection.cursor(f"SELECT id FROM {table} ORDER BY id", prefetch=50)]
            assert seen == list(range(250))
            cursor = await connection.cursor(f"SELECT id FROM {table} WHERE id >= $1 ORDER BY id", 100)
            assert [row["id"] for row in await cursor.fetch(3)] == [100, 101, 102]
            assert await cursor.forward(10) == 10
            assert (await cursor.fetchrow())["id"] == 113
            assert len(await cursor.fetch(1000)) == 136
            assert await cursor.fetchrow() is None

    run(server, body)


def test_a_transaction_rolls_back_and_savepoints_nest(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        with pytest.raises(RuntimeError):
            async with connection.transaction():
                await connection.execute(f"INSERT INTO {table} VALUES (1)")
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1
                raise RuntimeError
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        async with connection.transaction():
            await connection.execute(f"INSERT INTO {table} VALUES (1)")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute(f"INSERT INTO {table} VALUES (2)")
                    await connection.execute(f"INSERT INTO {table} VALUES (1)")
            await connection.execute(f"INSERT INTO {table} VALUES (3)")
        assert [row["id"] for row in await connection.fetch(f"SELECT id FROM {table} ORDER BY id")] == [1, 3]

    run(server, body)


@pytest.mark.parametrize("isolation", ["serializable", "repeatable_read", "read_committed"])
def test_isolation_levels_and_read_only(server: Server, table: str, isolation: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int)")
        async with connection.transaction(isolation=isolation):
            await connection.execute(f"INSERT INTO {table} VALUES (1)")
            shown = await connection.fetchval("SHOW transaction_isolation")
            assert shown == isolation.replace("_", " ")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with connection.transaction(isolation=isolation, readonly=True):
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1
                await connection.execute(f"INSERT INTO {table} VALUES (2)")

    run(server, body)


def test_an_error_names_its_place_and_the_session_goes_on(server: Server) -> None:
    async def body(connection: Connection) -> None:
        with pytest.raises(asyncpg.UndefinedTableError) as caught:
            await connection.fetch("SELECT * FROM nowhere_at_all")
        assert caught.value.sqlstate == "42P01"
        assert caught.value.position == "15"
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.fetch("SELEC 1")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1 / $1::int", 0)
        with pytest.raises(asyncpg.DataError):
            await connection.fetchval("SELECT $1::int", "text for a number")
        assert await connection.fetchval("SELECT 41 + $1", 1) == 42

    run(server, body)


def test_a_prepared_statement_knows_its_types(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int8 PRIMARY KEY, name varchar(20), price numeric(8,2))")
        insert = await connection.prepare(f"INSERT INTO {table} VALUES ($1, $2, $3) RETURNING price")
        assert [parameter.name for parameter in insert.get_parameters()] == ["int8", "varchar", "numeric"]
        assert [(column.name, column.type.name) for column in insert.get_attributes()] == [("price", "numeric")]
        select = await connection.prepare(f"SELECT id, name, price * 2 AS twice FROM {table} WHERE name = $1")
        assert [(column.name, column.type.name) for column in select.get_attributes()] == [
            ("id", "int8"),
            ("name", "varchar"),
            ("twice", "numeric"),
        ]
        await insert.fetchval(1, "a", 1)
        assert [tuple(row) for row in await select.fetch("a")] == [(1, "a", 2)]
        assert select.get_statusmsg() == "SELECT 1"

    run(server, body)


def test_a_plan_follows_the_schema(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int)")
        await connection.execute(f"INSERT INTO {table} VALUES (1)")
        assert len(await connection.fetchrow(f"SELECT * FROM {table}")) == 1
        other = await asyncpg.connect(server.dsn)
        await other.execute(f"ALTER TABLE {table} ADD COLUMN name text DEFAULT 'new'")
        await other.close()
        # asyncpg prepares again by itself when the server says that the cached plan changed its result.
        assert tuple(await connection.fetchrow(f"SELECT * FROM {table}")) == (1, "new")

    run(server, body)


def test_a_timeout_cancels(server: Server) -> None:
    async def body(connection: Connection) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetchval(
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000) "
                "SELECT count(*) FROM c",
                timeout=0.3,
            )
        assert await connection.fetchval("SELECT 1") == 1

    run(server, body)


def test_copy_of_records_queries_and_files(server: Server, table: str, tmp_path: Path) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
        source = io.BytesIO(b'1,"a, b"\n2,\n3,""\n')
        tag = await connection.copy_to_table(table, source=source, format="csv")
        assert tag == "COPY 3"
        target = io.BytesIO()
        tag = await connection.copy_from_query(f"SELECT * FROM {table} WHERE id >= $1 ORDER BY id", 2, output=target)
        assert tag == "COPY 2"
        assert target.getvalue() == b"2\t\\N\n3\t\n"
        path = tmp_path / "out.csv"
        await connection.copy_from_table(table, columns=["name", "id"], output=path, format="csv", header=True)
        assert path.read_text() == 'name,id\n"a, b",1\n,2\n"",3\n'

    run(server, body)


def test_copy_records_to_table(server: Server, table: str) -> None:
    """asyncpg sends records in PostgreSQL's binary COPY format."""

    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text, price numeric)")
        records = [(n, f"name {n}" if n % 3 else None, n) for n in range(5_000)]
        assert await connection.copy_records_to_table(table, records=records) == "COPY 5000"
        found = await connection.fetchrow(f"SELECT count(*), count(name), sum(price) FROM {table}")
        assert tuple(found) == (5000, 3333, 12497500)

    run(server, body)


def test_a_pool_resets_its_connections(server: Server, table: str) -> None:
    async def connected() -> None:
        async with asyncpg.create_pool(
            server.dsn, min_size=2, max_size=4, server_settings={"lfsql.causality": "proxy"}
        ) as pool:
            await pool.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
            await asyncio.gather(*(pool.execute(f"INSERT INTO {table} VALUES ($1)", n) for n in range(50)))
            async with pool.acquire() as connection:
                await connection.execute("SET timezone = 'Asia/Tokyo'")
            assert await pool.fetchval("SHOW timezone") != "Asia/Tokyo"
            assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 50

    asyncio.run(connected())


def test_arrays_as_parameters(server: Server, table: str) -> None:
    async def body(connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        await connection.executemany(f"INSERT INTO {table} VALUES ($1)", [(n,) for n in range(10)])
        found = await connection.fetch(f"SELECT id FROM {table} WHERE id = ANY($1::int[]) ORDER BY id", [3, 5, 99])
        assert [row["id"] for row in found] == [3, 5]

    run(server, body)
