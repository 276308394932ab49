"""How long a statement is planned again while the schema keeps changing."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import cast

import pytest

from lfsql.errors import QueryCanceled, SerializationFailure
from proxy.state import SessionState
from proxy.writing import check_patience


@dataclass
class Limits:
    """What of a session bounds it."""

    statement_ms_max: int
    failover_s: float


def check(statement_ms_max: int, failover_s: float, passed_s: float) -> None:
    check_patience(cast(SessionState, Limits(statement_ms_max, failover_s)), monotonic() - passed_s)


def test_it_goes_on_within_the_sessions_limits() -> None:
    check(0, 10, 9)
    check(5_000, 10, 4)


def test_the_statements_own_limit_comes_first() -> None:
    with pytest.raises(QueryCanceled):
        check(5_000, 10, 5)


def test_after_that_the_statement_may_be_run_again() -> None:
    with pytest.raises(SerializationFailure):
        check(0, 10, 10)
