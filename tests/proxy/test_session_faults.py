"""A fault of the server's own costs one client its session, and nobody else anything."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from proxy.leaving import leave
from proxy.reactor import Reactor
from proxy.session import Session
from proxy.settings import SessionSettings
from proxy.sql.plan import Kind, Plan
from proxy.state import SessionState
from proxy.statements import ListRows, Portal, Prepared
from proxy.worker import Worker

STARTUP = struct.pack("!ii", 18, 196608) + b"user\0one\0\0"


class FaultyWorker:
    """Whatever a session asks of it beyond what it needs to begin, it fails."""

    limits = SimpleNamespace(startup_ms_max=5_000, message_bytes_max=1_000_000)
    defaults: dict[str, str] = {}  # noqa: RUF012  # nothing changes it

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.forgotten: list[int] = []

    def admit(self) -> None:
        raise ZeroDivisionError("a fault of ours")

    def encoding_key(self, _encoding: object) -> int:
        return 0

    def forget(self, process_id: int, _state: SessionState | None) -> None:
        self.forgotten.append(process_id)
        raise ZeroDivisionError("another")


async def test_an_unexpected_error_ends_the_session_alone(caplog: pytest.LogCaptureFixture) -> None:
    worker = FaultyWorker()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(STARTUP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.reactor.run)
            with trio.fail_after(5):
                await Session(cast(Worker, worker), ours).run()
            nursery.cancel_scope.cancel()
        told = theirs.recv(1000)
    assert told[:1] == b"E"
    assert b"CXX000\0" in told
    assert worker.forgotten == [0]
    assert "a session failed unexpectedly" in caplog.text
    assert "could not give up" in caplog.text


class FaultyRows(ListRows):
    closed = 0

    async def aclose(self) -> None:
        FaultyRows.closed += 1
        raise ZeroDivisionError("a fault of ours")


class FakeSnapshot:
    closed = False

    async def aclose(self) -> None:
        self.closed = True


class FakeListener:
    left = False

    def leave(self) -> None:
        self.left = True


async def test_a_step_of_leaving_that_fails_does_not_keep_the_others_from_being_taken() -> None:
    worker = cast(Worker, FaultyWorker())
    state = SessionState(worker, "client", SessionSettings({}), 7)
    prepared = Prepared("", (), Plan(Kind.READ, "SELECT"))
    for name in ("one", "two"):
        state.add_portal(Portal(name, prepared, (), (), source=FaultyRows([])))
    snapshot = FakeSnapshot()
    state.read_transaction = snapshot  # type: ignore[assignment]  # only its closing matters here
    listener = FakeListener()
    state.listen(listener)  # type: ignore[arg-type]  # only its leaving matters here
    assert not state.plain
    await leave(worker, 7, state, None)
    assert listener.left
    assert FaultyRows.closed == 2
    assert snapshot.closed
    assert not state.portals


async def test_a_fault_while_bytes_are_taken_ends_the_session_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = FaultyWorker()
    ours, theirs = socket.socketpair()

    def fail(_session: Session) -> bool:
        raise ZeroDivisionError("a fault of ours")

    with theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.reactor.run)
            session = Session(cast(Worker, worker), ours)
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            monkeypatch.setattr(Session, "_take", fail)
            theirs.sendall(STARTUP)
            with trio.fail_after(5):
                while not worker.forgotten:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert b"CXX000\0" in theirs.recv(1000)
