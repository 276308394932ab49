"""Transactions as PostgreSQL has them: the same scripts, statement by statement, here and there."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.client.conftest import Server

pytestmark = pytest.mark.client

SCRIPTS = Path(__file__).with_name("transaction_scripts.txt")
WAITS_S = 0.5
"""What has not answered for so long waits for another session."""
STEP = re.compile(r"([A-Z])([:~&?])\s*(.*)\Z")


@dataclass(frozen=True)
class Script:
    name: str
    steps: tuple[tuple[str, str, str], ...]
    """(session, mark, statement)"""


def scripts() -> Iterator[Script]:
    for part in re.split(r"^== ", SCRIPTS.read_text(), flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        steps = []
        for line in lines:
            if line and not line.startswith("#"):
                found = STEP.match(line)
                assert found is not None, line
                steps.append((found[1], found[2], found[3]))
        yield Script(name, tuple(steps))


class Player:
    """One session, which may be made to wait by another."""

    def __init__(self, dsn: str) -> None:
        # PostgreSQL is one server: what one session was told is done, the other sees.
        self.connection = psycopg.connect(dsn, autocommit=True, options="-c lfsql.read_consistency=strong")
        self.notices: list[str | None] = []
        self.connection.add_notice_handler(lambda notice: self.notices.append(notice.message_primary))
        self.outcome: object = None
        self.thread = threading.Thread()

    def execute(self, statement: str, *, only_state: bool) -> object:
        prepare = statement.startswith("!")
        self.notices = []
        told: object
        try:
            cursor = self.connection.execute(statement.removeprefix("!"), prepare=prepare or None)
            results = []
            while True:
                results.append((cursor.statusmessage, cursor.fetchall() if cursor.description else None))
                if not cursor.nextset():
                    break
            told = results
        except psycopg.Error as error:
            told = (error.sqlstate, "" if only_state else error.diag.message_primary or type(error).__name__)
        return told, self.connection.info.transaction_status.name, self.notices

    def start(self, statement: str, *, only_state: bool = False) -> None:
        def run() -> None:
            self.outcome = self.execute(statement, only_state=only_state)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def wait(self, most_s: float) -> object:
        self.thread.join(most_s)
        return "waits" if self.thread.is_alive() else self.outcome


def play(dsn: str, script: Script, table: str) -> list[object]:
    """What each step gave."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, n int)")
        connection.execute(f"INSERT INTO {table} VALUES (1, 10), (2, 20)")
    players: dict[str, Player] = {}
    told: list[object] = []
    try:
        for name, mark, statement in script.steps:
            player = players.get(name) or players.setdefault(name, Player(dsn))
            if mark != "?":
                player.start(statement.replace("{t}", table), only_state=mark == "~")
            outcome = player.wait(WAITS_S if mark == "&" else 20)
            told.append(None if mark == "&" else outcome)
    finally:
        for player in players.values():
            player.connection.close()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
    return told


@pytest.mark.parametrize("script", list(scripts()), ids=lambda script: script.name)
def test_transactions_are_postgres(lfsql_server: Server, postgres_dsn: str, script: Script) -> None:
    wanted = play(postgres_dsn, script, "script")
    found = play(lfsql_server.dsn, script, "script")
    differ = [
        f"{name}: {statement}\n    PostgreSQL {there}\n    lfsql      {here}"
        for (name, _, statement), there, here in zip(script.steps, wanted, found, strict=True)
        if there != here
    ]
    assert not differ, "\n".join(differ)


def in_a_pipeline(dsn: str, statements: tuple[str, ...]) -> object:
    """What the pipeline of these statements fails with, if anything, and what state it leaves."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS piped")
        connection.execute("CREATE TABLE piped (id int)")
        told: object = None
        try:
            with connection.pipeline():
                for statement in statements:
                    connection.execute(statement)
        except psycopg.Error as error:
            told = error.sqlstate, error.diag.message_primary
        state = connection.info.transaction_status.name
        connection.rollback()
        left = connection.execute("SELECT count(*) FROM piped").fetchone()
        connection.execute("DROP TABLE piped")
        return told, state, left


@pytest.mark.parametrize(
    "statements",
    [
        ("DISCARD ALL",),
        ("SELECT 1", "DISCARD ALL"),
        ("SET work_mem = '5MB'", "DISCARD ALL"),
        ("INSERT INTO piped VALUES (1)", "DISCARD ALL"),
        ("INSERT INTO piped VALUES (1)", "COMMIT", "DISCARD ALL"),
        ("BEGIN", "DISCARD ALL"),
        ("CREATE INDEX CONCURRENTLY piped_i ON piped (id)",),
        ("SELECT 1", "CREATE INDEX CONCURRENTLY piped_i ON piped (id)"),
        ("SELECT 1", "VACUUM piped"),
        ("LOCK TABLE piped",),
        ("INSERT INTO piped VALUES (1)", "LOCK TABLE piped"),
        ("INSERT INTO piped VALUES (1)", "DECLARE c CURSOR FOR SELECT id FROM piped"),
        ("BEGIN", "BEGIN READ ONLY", "INSERT INTO piped VALUES (1)"),
        ("BEGIN", "SELECT 1/0", "DROP TABLE nope"),
    ],
)
def test_pipelines_are_postgres(lfsql_server: Server, postgres_dsn: str, statements: tuple[str, ...]) -> None:
    assert in_a_pipeline(lfsql_server.dsn, statements) == in_a_pipeline(postgres_dsn, statements)
