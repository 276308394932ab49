"""Was everything that the clients saw, and everything that the nodes hold in the end, right?"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator

import apsw
import psycopg

from lfsql.testing.checkers import Anomaly, Span
from lfsql.testing.checkers.bank import Balances, check_bank
from lfsql.testing.checkers.list_append import check_list_append, session_events
from lfsql.testing.checkers.registers import RegisterRead, check_registers
from lfsql.testing.checkers.sessions import check_sessions
from lfsql.testing.checkers.sets import check_set
from tests.chaos.nodes import Tier
from tests.chaos.workloads import OPENING, STRONG, History

LEVEL_S_MAX = 30.0
_BAD_LINES = re.compile(
    r"Traceback|InvariantBroken|differs from the primary|Internal error"
    r"|CRITICAL(?!.*(?:records are damaged|data.db ends at index))"
)


def wait_level(tier: Tier) -> list[Anomaly]:
    """Until all nodes have all there is; what is wrong when they do not come to that."""
    end = time.monotonic() + LEVEL_S_MAX
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        while True:
            rows = connection.execute("SELECT name, role, healthy, applied_index FROM lfsql.nodes").fetchall()
            members = sorted(row[0] for row in rows) == sorted(tier.names)
            if members and all(row[2] for row in rows) and len({row[3] for row in rows}) == 1:
                return []
            if time.monotonic() > end:
                return [
                    Anomaly(
                        "not-level", f"after {LEVEL_S_MAX} s without faults or writes: {rows}; members: {tier.names}"
                    )
                ]
            time.sleep(0.1)


def judge(tier: Tier, history: History) -> list[Anomaly]:
    """All that is wrong with the history, given what the database holds now."""
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        rows = connection.execute(f"{STRONG}SELECT value FROM added").fetchall()
        anomalies = [*check_set(history.added, [row[0] for row in rows])]
        rows = connection.execute(f"{STRONG}SELECT key, elements FROM lists WHERE key <> 'recovered'").fetchall()
        final = {key: tuple(map(int, elements.split(","))) for key, elements in rows}
        rows = connection.execute(f"{STRONG}SELECT name, balance FROM accounts").fetchall()
        history.balances.append(Balances("the end", dict(rows)))
        called = time.monotonic()
        rows = connection.execute(f"{STRONG}SELECT key, value FROM registers").fetchall()
        span = Span(called, time.monotonic())
        history.registers += [RegisterRead(key, value, span, "the end") for key, value in rows]
    anomalies += check_list_append(history.transactions, final)
    anomalies += check_sessions(session_events(history.transactions))
    anomalies += check_bank(history.balances, OPENING)
    anomalies += check_registers(history.registers)
    anomalies += [Anomaly("strange-error", told) for told in history.strange]
    return anomalies


def judge_files(tier: Tier) -> list[Anomaly]:
    """Whether the nodes, which were level and have ended, hold the same."""
    contents = {name: dict(_content(tier, name)) for name in tier.names}
    first, *others = tier.names
    anomalies = []
    for name in others:
        tables = contents[first].keys() | contents[name].keys()
        differing = sorted(table for table in tables if contents[first].get(table) != contents[name].get(table))
        if differing:
            anomalies.append(Anomaly("different", f"{first} and {name} differ in {', '.join(differing)}"))
    return anomalies


def judge_logs(tier: Tier) -> list[Anomaly]:
    """What no fault from outside may make a process say."""
    anomalies: list[Anomaly] = []
    for path in sorted(tier.directory.glob("*.log")):
        bad = [line for line in path.read_text(errors="replace").splitlines() if _BAD_LINES.search(line)]
        anomalies += [Anomaly("log", f"{path.name}: {line}") for line in bad[:5]]
    return anomalies


def _content(tier: Tier, name: str) -> Iterator[tuple[str, str]]:
    """Each table's rows, in no order, as a hash, and the schema as one of them."""
    connection = apsw.Connection(str(tier.directory / name / "data.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        schema = sorted(map(repr, connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")))
        yield "the schema", hashlib.sha256("\n".join(schema).encode()).hexdigest()
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            rows = sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"')))
            yield str(table), hashlib.sha256("\n".join(rows).encode()).hexdigest()
    finally:
        connection.close()
