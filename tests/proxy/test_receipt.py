"""Receipts, added up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lfsql.core.freshness import CommitHistory
from proxy.receipt import KINDS_MAX, OTHER, Route, Routes, last_route, read_inline
from proxy.sql.catalog import facts
from proxy.topology import Node, Topology


def test_receipts_of_a_kind_are_added_up() -> None:
    routes = Routes()
    for staleness_ms, lag, wait_ms in ((None, 0, 0.0), (12.0, 3, 5.0), (7.0, 9, 2.5)):
        routes.count(Route("n2", "replica", 5, staleness_ms, lag, "session", "inline", wait_ms))
    routes.count(Route("n1", "primary", 6, 0.0, 0, "", "insert"))
    assert routes.rows() == (
        facts.Route("n2", "replica", "session", "inline", 3, 12.0, 9, 7.5, 5.0),
        facts.Route("n1", "primary", "", "insert", 1),
    )


def test_reasons_without_end_cost_bounded_memory() -> None:
    routes = Routes()
    for number in range(KINDS_MAX + 50):
        routes.count(Route("n1", "primary", reason=f"calls f{number}"))
    rows = routes.rows()
    assert len(rows) == KINDS_MAX + 1
    assert [row.statements for row in rows if row.reason == OTHER] == [50]


def test_a_receipt_reads_well() -> None:
    route = Route("n2", "replica", 17, 12.4, 3, "session", "inline", 250.0)
    assert str(route) == (
        "replica n2, at index 17, at most 12 ms stale, 3 entries behind, level session, waited 250 ms: inline"
    )
    assert str(Route("", "proxy", reason="system catalogs")) == "proxy: system catalogs"
    assert str(Route("n2", "replica", 17, None, 3, "any", "link")) == (
        "replica n2, at index 17, of unknown age, 3 entries behind, level any: link"
    )
    assert str(Route()) == "nowhere"


async def test_a_copy_of_unknown_age_makes_no_sum_infinite() -> None:
    node = Node("n2", "n2:1", "")
    worker = SimpleNamespace(topology=Topology([node], CommitHistory(60.0, 100)), routes=Routes())
    state: Any = SimpleNamespace(worker=worker, receipt=Route())
    read_inline(state, node, 5, 1_000.0, "any")
    assert last_route(state).staleness_ms is None
    (row,) = worker.routes.rows()
    assert (row.statements, row.staleness_ms_max) == (1, 0.0)
