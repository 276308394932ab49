"""Catalog rows about the server: databases, schemas, roles, settings, sessions, and the lfsql schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.sql.catalog.definitions import LFSQL, PG_CATALOG
from proxy.sql.catalog.facts import Facts, Role, Session
from proxy.sql.catalog.model import OWNER
from proxy.sql.catalog.relations import NAMESPACES
from proxy.sql.catalog.rows import Rows, Value, complete, text_array
from proxy.sql.catalog.types_table import format_type

DATABASE = 16384
UTF8 = 6
_ROLES_FROM = 20000
"""Roles other than the owner have no OID anywhere; they are numbered in their given order."""


def role_oids(facts: Facts) -> dict[int, str]:
    """Names of roles by OID; the owner is 10, PostgreSQL's bootstrap superuser."""
    names = [role.name for role in facts.roles if role.name != facts.owner]
    return {OWNER: facts.owner} | dict(enumerate(names, _ROLES_FROM))


def server_rows(facts: Facts) -> Rows:
    """What only a restart of the proxy changes."""
    roles = {role.name: role for role in facts.roles} | {facts.owner: Role(facts.owner)}
    numbered = [(oid, roles[name]) for oid, name in role_oids(facts).items()]
    tables: dict[str, Iterator[Mapping[str, Value]]] = {
        "pg_namespace": ({"oid": oid, "nspname": name, "nspowner": OWNER} for name, oid in NAMESPACES.items()),
        "pg_database": iter([_database(facts)]),
        "pg_authid": (_role(oid, role) for oid, role in numbered),
        "pg_roles": (_role(oid, role) for oid, role in numbered),
        "pg_user": (_user(oid, role) for oid, role in numbered if role.can_log_in),
        "pg_shadow": (_user(oid, role) for oid, role in numbered if role.can_log_in),
    }
    return {(PG_CATALOG, name): complete(PG_CATALOG, name, rows) for name, rows in tables.items()}


def live_rows(facts: Facts) -> Rows:
    """The rows of every relation in `LIVE_RELATIONS`."""
    catalog: dict[str, Iterator[Mapping[str, Value]]] = {
        "pg_settings": _settings(facts),
        "pg_stat_activity": (_session(each, facts) for each in facts.sessions),
        "pg_stat_replication": _replication(facts),
        "pg_stat_database": iter(
            [{"datid": DATABASE, "datname": facts.database, "numbackends": len(facts.sessions)}]
        ),
        "pg_prepared_statements": (
            {
                "name": each.name,
                "statement": each.text,
                "parameter_types": text_array(format_type(oid) or "" for oid in each.parameter_types),
                "from_sql": int(each.from_sql),
            }
            for each in facts.prepared
        ),
        "pg_cursors": (
            {
                "name": each.name,
                "statement": each.text,
                "is_holdable": int(each.hold),
                "is_binary": int(each.binary),
                "is_scrollable": int(each.scroll),
            }
            for each in facts.cursors
        ),
    }
    console: dict[str, Iterator[Mapping[str, Value]]] = {
        "nodes": _nodes(facts),
        "proxies": ({"pid": each.pid, "address": each.address} for each in facts.proxies),
        "cluster": iter(
            [{"primary_node": facts.primary or None, "term": facts.term, "commit_index": facts.commit_index}]
        ),
        "settings": (
            {"name": each.name, "setting": each.value, "description": each.description}
            for each in facts.settings
            if each.name.startswith("lfsql.")
        ),
        "routes": _routes(facts),
    }
    rows: Rows = {(PG_CATALOG, name): complete(PG_CATALOG, name, each) for name, each in catalog.items()}
    rows.update({(LFSQL, name): complete(LFSQL, name, each) for name, each in console.items()})
    return rows


def _database(facts: Facts) -> Mapping[str, Value]:
    return {
        "oid": DATABASE,
        "datname": facts.database,
        "datdba": OWNER,
        "encoding": UTF8,
        "datlocprovider": "c",
        "datallowconn": 1,
        "datconnlimit": -1,
        "dattablespace": 1663,
        "datcollate": "C",
        "datctype": "C",
    }


def _role(oid: int, role: Role) -> Mapping[str, Value]:
    return {
        "oid": oid,
        "rolname": role.name,
        "rolsuper": int(role.superuser),
        "rolinherit": 1,
        "rolcreaterole": int(role.superuser),
        "rolcreatedb": int(role.superuser),
        "rolcanlogin": int(role.can_log_in),
        "rolreplication": int(role.superuser),
        "rolbypassrls": int(role.superuser),
        "rolconnlimit": -1,
    }


def _user(oid: int, role: Role) -> Mapping[str, Value]:
    return {
        "usename": role.name,
        "usesysid": oid,
        "usecreatedb": int(role.superuser),
        "usesuper": int(role.superuser),
        "userepl": int(role.superuser),
        "usebypassrls": int(role.superuser),
        "passwd": "********",
    }


def _settings(facts: Facts) -> Iterator[Mapping[str, Value]]:
    for each in facts.settings:
        default = each.value if each.default is None else each.default
        yield {
            "name": each.name,
            "setting": each.value,
            "unit": each.unit,
            "category": each.category,
            "short_desc": each.description,
            "context": each.context,
            "vartype": each.kind,
            "source": "default" if each.value == default else "session",
            "enumvals": text_array(each.choices) if each.choices else None,
            "boot_val": default,
            "reset_val": default,
            "pending_restart": 0,
        }


def _session(session: Session, facts: Facts) -> Mapping[str, Value]:
    oids = {name: oid for oid, name in role_oids(facts).items()}
    return {
        "datid": DATABASE,
        "datname": session.database,
        "pid": session.pid,
        "usesysid": oids.get(session.user),
        "usename": session.user,
        "application_name": session.application,
        "client_addr": session.client_address,
        "client_port": session.client_port,
        "backend_start": session.started,
        "xact_start": session.transaction_started,
        "query_start": session.query_started,
        "state_change": session.state_changed,
        "state": session.state,
        "query": session.query,
        "backend_type": "client backend",
    }


def _replication(facts: Facts) -> Iterator[Mapping[str, Value]]:
    for node in facts.nodes:
        if node.role != "primary":
            yield {
                "pid": 0,
                "application_name": node.name,
                "client_addr": (node.address or "").rpartition(":")[0] or None,
                "state": "streaming" if node.healthy else "catchup",
                "replay_lag": None if node.lag_ms is None else _interval(node.lag_ms),
                "sync_state": "quorum",
            }


def _interval(milliseconds: float) -> str:
    minutes, rest = divmod(milliseconds / 1000, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02}:{minutes:02}:{rest:09.6f}"


def _routes(facts: Facts) -> Iterator[Mapping[str, Value]]:
    for each in facts.routes:
        yield {
            "node": each.node or None,
            "role": each.role or None,
            "level": each.level or None,
            "reason": each.reason or None,
            "statements": each.statements,
            "staleness_ms_max": each.staleness_ms_max,
            "lag_entries_max": each.lag_entries_max,
            "wait_ms_total": each.wait_ms_total,
            "wait_ms_max": each.wait_ms_max,
        }


def _nodes(facts: Facts) -> Iterator[Mapping[str, Value]]:
    for node in facts.nodes:
        yield {
            "name": node.name,
            "address": node.address,
            "role": node.role,
            "healthy": int(node.healthy),
            "term": node.term,
            "applied_index": node.applied_index,
            "lag_entries": node.lag_entries,
            "lag_ms": node.lag_ms,
            "zone": node.zone,
            "weight": node.weight,
            "state": node.state,
            "share_percent": node.share_percent,
            "reads": node.reads,
            "priority": node.priority,
            "outstanding": node.outstanding,
            "latency_ms": node.latency_ms,
            "fault": node.fault,
            "throttle": node.throttle,
        }
