"""EXPLAIN: what SQLite makes of a statement, or with (ROUTE) where it would go, neither of which runs it.

EXPLAIN ANALYZE runs it, as in PostgreSQL.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING

from lfsql.errors import FeatureNotSupported, ReadOnlyTransaction, StatementSyntax
from proxy.deciding import decided, deciding_plan
from proxy.execution import is_read, rows_now
from proxy.hints import policy_of
from proxy.pg.oids import JSON, TEXT
from proxy.planning import arguments, prepare
from proxy.receipt import aside, last_route
from proxy.routing import Prospect, prospects
from proxy.sql.destination import Destination
from proxy.sql.plan import Kind, Plan, ResultColumn
from proxy.sql.utility import Explain
from proxy.state import ReadPolicy, SessionState
from proxy.statements import Prepared

if TYPE_CHECKING:
    from lfsql.core.entry import Value
    from lfsql.core.requests import Row


def explain_columns(utility: Explain) -> tuple[ResultColumn, ...]:
    return (ResultColumn("QUERY PLAN", JSON if utility.format == "json" else TEXT),)


async def explain(state: SessionState, utility: Explain, parameters: tuple[Value, ...]) -> list[Row]:
    """The rows that EXPLAIN returns."""
    if utility.format not in ("text", "json"):
        raise FeatureNotSupported(f"EXPLAIN (FORMAT {utility.format.upper()}) is not supported")
    if utility.route:
        return await _explain_route(state, utility)
    return await _explain_plan(state, utility, parameters)


async def _explain_plan(state: SessionState, utility: Explain, parameters: tuple[Value, ...]) -> list[Row]:
    """Where the statement would go, SQLite's text of it, and SQLite's plan for that text."""
    prepared = await prepare(state, utility.text, lift=False)
    plan = prepared.plan
    if plan.utility is not None or plan.kind is Kind.EMPTY:
        raise StatementSyntax("EXPLAIN takes SELECT, INSERT, UPDATE, DELETE or VALUES")
    elapsed_ms = None
    rows_told = 0
    where = "this proxy" if plan.catalog else "the primary"
    if utility.analyze:
        started = perf_counter()
        rows, _ = await rows_now(state, prepared, parameters)
        elapsed_ms = (perf_counter() - started) * 1000
        rows_told = len(rows)
        where = last_route(state).place
    steps: list[tuple[int, int, str]] = []
    if plan.kind in (Kind.READ, Kind.WRITE) and not (plan.catalog or plan.mixed):
        question = Plan(Kind.READ, "EXPLAIN", ("EXPLAIN QUERY PLAN " + plan.statements[-1],), reason="explain")
        values = arguments(state, prepared, parameters or (None,) * len(plan.parameters))
        with aside(state) if utility.analyze else nullcontext():
            found, _ = await rows_now(state, Prepared("", (), question), values)
        steps = [(row[0], row[1], row[3]) for row in found]  # type: ignore[misc]  # EXPLAIN QUERY PLAN's columns
        if not utility.analyze:
            where = last_route(state).place
    target = "primary" if not is_read(prepared.plan) else "replica"
    why = plan.reason
    if not utility.analyze and target == "primary":
        why += ", which would run on the primary"
    if utility.format == "json":
        document: dict[str, object] = {
            "Node Type": "SQLite",
            "Route": target if not utility.analyze else last_route(state).role,
            "Planned on": where,
            "Reason": plan.reason,
            "SQL": list(plan.statements),
            "Plans": [{"Node Type": text, "Id": number, "Parent": parent} for number, parent, text in steps],
        }
        if elapsed_ms is not None:
            document |= {"Actual Total Time": round(elapsed_ms, 3), "Actual Rows": rows_told}
        return [(json.dumps([{"Plan": document}], indent=2),)]
    lines = [f"SQLite on {where}" + (f" ({why})" if why else "")]
    depth = {0: 0}
    for number, parent, text in steps:
        depth[number] = depth.get(parent, 0) + 1
        lines.append("  " * depth[number] + "->  " + text)
    lines += [f"  SQL: {sql}" for sql in plan.statements]
    if elapsed_ms is not None:
        lines.append(f"Execution Time: {elapsed_ms:.3f} ms (actual rows={rows_told})")
    return [(line,) for line in lines]


# -- (ROUTE) -----------------------------------------------------------------------------------------------


async def _explain_route(state: SessionState, utility: Explain) -> list[Row]:
    if utility.analyze:
        raise StatementSyntax("EXPLAIN option ROUTE does not run the statement, so it cannot be used with ANALYZE")
    prepared = await prepare(state, utility.text, lift=False)
    plan = await deciding_plan(state, prepared.plan)
    policy = policy_of(state, plan)
    tried: list[Prospect] = []
    try:
        where, why = decided(state, plan)
    except ReadOnlyTransaction as error:
        route, why = "nowhere: it would fail", error.message
    else:
        route = f"this {where.value}"
        if where is Destination.PRIMARY:
            route = _primary(state)
        elif where is Destination.COPY and state.read_transaction is not None:
            node, role, _ = state.snapshot_route
            route = f"{role} {node}"
        elif where is Destination.COPY:
            tried = prospects(state, plan)
            route, why = _choice(state, policy, tried)
            if plan.reads_nothing:
                why += "; it reads no relation, so a copy of any age will do"
    if utility.format == "json":
        document = {
            "Route": route,
            "Kind": plan.kind.value,
            "Reason": plan.reason or plan.kind.value,
            "Decision": why,
            "Level": policy.level if tried else None,
            "Nodes": [one._asdict() for one in tried],
            "SQL": list(plan.statements),
        }
        return [(json.dumps([document], indent=2),)]
    lines = [f"Route: {route} ({why})", f"Kind: {plan.kind.value} ({plan.reason or plan.kind.value})"]
    if tried:
        lines.append(
            f"Level: {policy.level}, max_lag_ms={policy.lag_ms_max or 0}, "
            f"max_lag_entries={policy.lag_entries_max or 0}, when_lagging={policy.when_lagging}"
        )
    for one in tried:
        stale = "of unknown age" if one.staleness_ms is None else f"at most {one.staleness_ms:.0f} ms stale"
        lines.append(
            f"  {one.role} {one.node}: {one.objection or 'may serve'} "
            f"(index {one.at}, {stale}, {one.lag_entries} entries behind; {one.state}, "
            f"its share {one.share_percent:g} %, {one.outstanding} outstanding)"
        )
    lines += [f"SQL: {sql}" for sql in plan.statements]
    return [(line,) for line in lines]


def _choice(state: SessionState, policy: ReadPolicy, tried: list[Prospect]) -> tuple[str, str]:
    """Where a read goes that may go to any copy, and why."""
    for one in tried:
        if not one.objection:
            waits = "the first that may serve, once a quorum has confirmed how far it must be"
            return f"{one.role} {one.node}", waits if policy.level == "strong" else _turn(one, tried)
    choice = policy.when_lagging
    if choice == "primary" and policy.route not in ("auto", "primary"):
        choice = "wait"
    if choice == "primary":
        return _primary(state), "no copy may serve, and when_lagging is primary"
    if choice == "error":
        return "nowhere: it would fail", "no copy may serve, and when_lagging is error"
    freshest = max(tried, key=lambda one: one.at, default=None)
    if freshest is None:
        return "nowhere: it would wait", "no node is known"
    return f"{freshest.role} {freshest.node}", f"no copy may serve, and when_lagging is {choice}"


def _turn(one: Prospect, tried: list[Prospect]) -> str:
    """Why this one is read."""
    if one is tried[0]:
        return "it has the turn" if len(tried) > 1 else "it is the one there is"
    return "the first that may serve"


def _primary(state: SessionState) -> str:
    primary = state.worker.topology.primary
    return f"primary {primary.name}" if primary is not None else "primary, once there is one"
