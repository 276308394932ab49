"""What catalog relations tell beyond the user's schema: a value the proxy fills in, never a look at the world.

Two kinds, because they change at different times: the schema's rows are made once per schema change, the *live*
rows (`live_rows`) as often as a statement names one of `LIVE_RELATIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    superuser: bool = True
    can_log_in: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of pg_settings."""

    name: str
    value: str
    category: str = "Preset Options"
    description: str = ""
    unit: str | None = None
    context: str = "user"
    kind: str = "string"
    """bool, integer, real, string or enum."""
    default: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A row of pg_stat_activity.  Timestamps are UTC text without offset, as timestamptz is stored."""

    pid: int
    user: str
    database: str
    application: str = ""
    client_address: str | None = None
    client_port: int | None = None
    started: str | None = None
    transaction_started: str | None = None
    query_started: str | None = None
    state_changed: str | None = None
    state: str = "active"
    query: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A row of lfsql.nodes.  None: not known."""

    name: str
    role: str
    address: str | None = None
    healthy: bool = True
    term: int | None = None
    applied_index: int | None = None
    lag_entries: int | None = None
    lag_ms: float | None = None
    zone: str | None = None
    weight: int | None = None
    state: str | None = None
    """In the choice among copies."""
    share_percent: float | None = None
    reads: int | None = None
    """Statements that it served as a copy, to this worker's sessions."""
    priority: int | None = None
    outstanding: int | None = None
    latency_ms: float | None = None
    fault: str | None = None
    throttle: str | None = None
    """Of a primary: how much it slows writes, and for whom."""


@dataclass(frozen=True, slots=True)
class Route:
    """A row of lfsql.routes.  '' where nothing is to be named."""

    node: str
    role: str
    level: str
    reason: str
    statements: int
    staleness_ms_max: float = 0.0
    lag_entries_max: int = 0
    wait_ms_total: float = 0.0
    wait_ms_max: float = 0.0


@dataclass(frozen=True, slots=True)
class Proxy:
    pid: int
    address: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row of pg_prepared_statements."""

    name: str
    text: str
    parameter_types: tuple[int, ...] = ()
    from_sql: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row of pg_cursors."""

    name: str
    text: str
    hold: bool = False
    binary: bool = False
    scroll: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    database: str = "lfsql"
    owner: str = "lfsql"
    """Owner of everything there is: OID 10, as PostgreSQL's bootstrap superuser."""
    roles: tuple[Role, ...] = ()
    """Beside the owner."""
    settings: tuple[Setting, ...] = ()
    sessions: tuple[Session, ...] = ()
    nodes: tuple[Node, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    primary: str = ""
    term: int = 0
    commit_index: int = 0
    prepared: tuple[Prepared, ...] = ()
    cursors: tuple[Cursor, ...] = ()
    routes: tuple[Route, ...] = ()


LIVE_RELATIONS: Final = frozenset(
    {
        ("pg_catalog", "pg_settings"),
        ("pg_catalog", "pg_stat_activity"),
        ("pg_catalog", "pg_stat_replication"),
        ("pg_catalog", "pg_stat_database"),
        ("pg_catalog", "pg_prepared_statements"),
        ("pg_catalog", "pg_cursors"),
        ("lfsql", "nodes"),
        ("lfsql", "proxies"),
        ("lfsql", "cluster"),
        ("lfsql", "settings"),
        ("lfsql", "routes"),
    }
)
"""Relations whose rows come from facts that change while the schema does not."""
