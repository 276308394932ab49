"""How long a client may be silent, by what its session is in the midst of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from proxy.settings import SessionSettings
from proxy.state import FAILED, IDLE, IN_TRANSACTION, SessionState
from proxy.worker import Worker

WORKER = cast(Worker, SimpleNamespace(encoding_key=lambda _encoding: 0))


@pytest.mark.parametrize(
    ("timeout", "status", "held", "ready", "limit_ms"),
    [
        ("10s", IDLE, False, True, 7),
        ("10s", IDLE, False, False, 0),
        ("10s", IN_TRANSACTION, False, True, 0),
        ("10s", FAILED, False, True, 0),
        ("10s", IN_TRANSACTION, True, True, 10_000),
        ("10s", IDLE, True, False, 10_000),
        ("11s", IN_TRANSACTION, False, True, 11_000),
        ("11s", FAILED, False, True, 11_000),
        ("11s", IN_TRANSACTION, False, False, 0),
        ("0", IN_TRANSACTION, True, True, 0),
    ],
)
def test_the_limit(timeout: str, status: str, held: bool, ready: bool, limit_ms: int) -> None:
    settings = SessionSettings({"idle_in_transaction_session_timeout": timeout, "idle_session_timeout": "7ms"})
    state = SessionState(WORKER, "client", settings, 1)
    state.status = status
    state.unit.held = held
    state.settled = ready
    assert state.idle_limit_ms == limit_ms
