"""docs/unsupported.md: what it says is refused is refused, and as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.client.conftest import Server

pytestmark = pytest.mark.client

PAGE = (Path(__file__).parents[2] / "docs" / "unsupported.md").read_text()
REFUSED = re.findall(r"^\| [^|]+ \| `([^|]+)` \| (\w{5}) \|$", PAGE, re.MULTILINE)


def test_the_page_is_read_as_it_is_written() -> None:
    assert len(REFUSED) == PAGE.count("\n| ") - 2 > 30


@pytest.fixture(scope="module")
def example(server: Server) -> Iterator[psycopg.Connection]:
    if server.tier is None:
        pytest.skip("LFSQL_TEST_DSN: PostgreSQL takes them all")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int PRIMARY KEY, b text, c jsonb)")
        connection.execute("CREATE VIEW v AS SELECT a FROM t")
        yield connection
        connection.execute("DROP VIEW v")
        connection.execute("DROP TABLE t")


@pytest.mark.parametrize(("sql", "sqlstate"), REFUSED, ids=[sql for sql, _ in REFUSED])
def test_it_is_refused(example: psycopg.Connection, sql: str, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        example.execute(sql)
    assert caught.value.sqlstate == sqlstate
