"""Where a statement must go, as far as its plan alone tells: whatever the copies are like, and the transaction."""

from __future__ import annotations

from enum import Enum

from proxy.sql.plan import Kind, Plan
from proxy.sql.utility import CopyIn, Maintenance, Notify


class Destination(Enum):
    COPY = "any copy"
    """Every node that is fresh enough may serve it."""
    PRIMARY = "primary"
    PROXY = "proxy"
    """Answered from what the proxy knows: the system catalogs."""
    SESSION = "session"
    """Answered by the session itself."""


def destination(plan: Plan) -> Destination:
    """Of a statement that wraps another (EXPLAIN, DECLARE, COPY TO, EXECUTE) this says nothing of the other."""
    if plan.kind in (Kind.WRITE, Kind.DDL):
        return Destination.PRIMARY
    if plan.kind is Kind.READ:
        if plan.catalog:
            return Destination.PROXY
        return Destination.PRIMARY if plan.memo.writes else Destination.COPY
    utility = plan.utility
    if isinstance(utility, CopyIn | Notify) or (isinstance(utility, Maintenance) and utility.takes_writer):
        return Destination.PRIMARY
    return Destination.SESSION
