"""Settings for one statement, in a comment before it."""

from __future__ import annotations

import psycopg
import pytest

from tests.client.conftest import Server, route_of

pytestmark = pytest.mark.client


@pytest.fixture
def filled(lfsql_server: Server, autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.execute(f"INSERT INTO {table} VALUES (1)")
    return autocommit


@pytest.mark.parametrize("prepare", [False, True])
def test_a_route_holds_for_its_statement_alone(filled: psycopg.Connection, table: str, prepare: bool) -> None:
    for role in ("primary", "replica", "primary"):
        filled.execute(f"/* lfsql: route={role}, max_lag_ms=0 */ SELECT id FROM {table}", prepare=prepare)
        assert route_of(filled)["role"] == role
    assert filled.execute("SHOW lfsql.route").fetchone() == ("auto",)
    filled.execute("SET lfsql.route = 'primary'")
    filled.execute(f"/* lfsql: route=replica */ SELECT id FROM {table}", prepare=prepare)
    assert route_of(filled)["role"] == "replica"
    filled.execute(f"SELECT id FROM {table}", prepare=prepare)
    assert route_of(filled)["role"] == "primary"


def test_each_statement_of_a_text_has_its_own(filled: psycopg.Connection, table: str) -> None:
    read = f"SELECT id FROM {table}"
    for first, second in (("primary", "replica"), ("replica", "primary")):
        filled.execute(f"/* lfsql: route={first} */ {read};\n -- then\n /* lfsql: route={second} */ {read}")
        assert route_of(filled)["role"] == second
    with pytest.raises(psycopg.errors.UndefinedObject, match="rout"):
        filled.execute(f"{read}; /* lfsql: rout=primary */ {read}")
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        filled.execute("SELECT 1; /* a note */ SELECT nothing")
    assert caught.value.diag.statement_position == "31"


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize(
    "text", ["SELECT count(*) FROM {t}", "SELECT count(*) FROM {t}, pg_namespace WHERE nspname='public'"]
)
def test_one_strong_read_among_others(
    lfsql_server: Server, filled: psycopg.Connection, table: str, prepare: bool, text: str
) -> None:
    query = f"/* lfsql: read_consistency=strong */ {text.format(t=table)}"
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as reader:
        reader.execute("SET lfsql.read_consistency = 'any'")
        for count in range(2, 42):
            filled.execute(f"INSERT INTO {table} VALUES (%s)", (count,))
            assert reader.execute(query, prepare=prepare).fetchone() == (count,)


def test_an_index_nobody_has_yet_is_waited_for_or_refused(filled: psycopg.Connection, table: str) -> None:
    ahead = "min_index=1000000000"
    with pytest.raises(psycopg.Error, match="further behind than this read allows"):
        filled.execute(f"/* lfsql: {ahead}, when_lagging=error */ SELECT id FROM {table}")
    assert filled.execute(f"SELECT id FROM {table}").fetchone() == (1,)


@pytest.mark.parametrize(
    ("hint", "error"),
    [
        ("read_consistency=stronk", psycopg.errors.InvalidParameterValue),
        ("max_lag_ms=soon", psycopg.errors.InvalidParameterValue),
        ("when_lagging=never", psycopg.errors.InvalidParameterValue),
        ("consistency=strong", psycopg.errors.UndefinedObject),
        ("durability=local", psycopg.errors.FeatureNotSupported),
        ("dialect=sqlite", psycopg.errors.FeatureNotSupported),
        ("last_index=1", psycopg.errors.FeatureNotSupported),
        ("route=nowhere", psycopg.errors.UndefinedObject),
        ("strong", psycopg.errors.SyntaxError),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    filled: psycopg.Connection, table: str, hint: str, error: type[psycopg.Error]
) -> None:
    with pytest.raises(error):
        filled.execute(f"/* lfsql: {hint} */ SELECT id FROM {table}")
    assert filled.execute(f"/* lfsql: Read_Consistency='session' */ SELECT id FROM {table}").fetchone() == (1,)
    assert filled.execute(f"/* about lfsql */ SELECT id FROM {table}").fetchone() == (1,)
