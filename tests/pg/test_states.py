"""The protocol tables: whole sessions through them, and that every pair of state and input is decided."""

from __future__ import annotations

import pytest

from lfsql.errors import InvariantBroken, ProtocolViolation
from proxy.pg import messages as m
from proxy.pg.states import IGNORED, ON_EVENT, ON_MESSAGE, Event, State, is_ignored, on_event, on_message
from tests.pg.test_codec import AUTHENTICATION, SESSION, STARTUP


def walk(*steps: m.FrontendMessage | Event, start: State = State.READY) -> State:
    state = start
    for step in steps:
        state = on_event(state, step) if isinstance(step, Event) else on_message(state, step)
    return state


def test_a_session_from_beginning_to_end() -> None:
    opening = m.StartupMessage(m.PROTOCOL_3_0, {"user": "ann"})
    state = walk(m.SSLRequest(), opening, m.PasswordMessage(b"x"), Event.FINISHED, start=State.STARTUP)
    assert state is State.READY
    assert walk(m.Query(""), Event.FINISHED) is State.READY
    assert walk(m.Terminate()) is State.CLOSED


def test_after_an_error_everything_but_sync_and_terminate_is_dropped() -> None:
    state = walk(m.Parse("", ""), Event.FAILED)
    assert state is State.EXTENDED_ERROR
    for message in SESSION:
        dropped = not isinstance(message, m.Sync | m.Terminate)
        assert is_ignored(state, message) is dropped
        if dropped:
            assert on_message(state, message) is state
    assert walk(m.Sync(), Event.FINISHED, start=state) is State.READY


def test_a_simple_query_that_fails_is_ready_at_once() -> None:
    assert walk(m.Query(""), Event.FAILED, Event.FINISHED) is State.READY


def test_a_malformed_message_leads_where_a_sound_one_would() -> None:
    error = ProtocolViolation("x")
    assert walk(m.Malformed("Q", error)) is State.SIMPLE
    assert walk(m.Malformed("B", error), Event.FAILED) is State.EXTENDED_ERROR
    assert walk(m.Malformed("S", error)) is State.SYNCING
    assert walk(m.Malformed("p", error), Event.FAILED) is State.EXTENDED_ERROR


def test_copy_in_of_both_protocols() -> None:
    simple = walk(m.Query(""), Event.COPY_IN_STARTED, m.CopyData(b""), m.Flush(), m.Sync())
    assert simple is State.COPY_IN
    assert walk(m.CopyDone(), Event.FINISHED, start=simple) is State.READY
    assert walk(m.CopyFail(""), Event.FAILED, Event.FINISHED, start=simple) is State.READY
    extended = walk(m.Execute("", 0), Event.COPY_IN_STARTED)
    assert walk(m.CopyDone(), m.Sync(), start=extended) is State.SYNCING
    failed = walk(Event.FAILED, m.CopyData(b""), m.CopyDone(), start=extended)
    assert failed is State.EXTENDED_ERROR
    with pytest.raises(ProtocolViolation, match="unexpected message Query during COPY from stdin"):
        on_message(simple, m.Query(""))


def test_the_rest_of_a_failed_copy_is_dropped() -> None:
    state = walk(m.Query(""), Event.COPY_IN_STARTED, Event.FAILED, Event.FINISHED)
    assert state is State.READY
    assert walk(m.CopyData(b""), m.CopyDone(), m.CopyFail(""), start=state) is State.READY


def test_copy_out() -> None:
    assert walk(m.Query(""), Event.COPY_OUT_STARTED, Event.COPY_OUT_ENDED, Event.FINISHED) is State.READY
    assert walk(m.Execute("", 0), Event.COPY_OUT_STARTED, Event.FAILED) is State.EXTENDED_ERROR


def test_every_pair_of_state_and_message_is_decided() -> None:
    """Each message leads somewhere, is dropped, or is a violation; nothing falls through."""
    messages: list[m.FrontendMessage] = [*STARTUP, *AUTHENTICATION, *SESSION]
    for state in State:
        for message in messages:
            legal = type(message) in ON_MESSAGE[state]
            ignored = type(message) in IGNORED.get(state, ())
            assert not (legal and ignored)
            if legal or ignored:
                assert isinstance(on_message(state, message), State)
            else:
                with pytest.raises(ProtocolViolation):
                    on_message(state, message)


def test_every_pair_of_state_and_event_is_decided() -> None:
    for state in State:
        assert on_event(state, Event.CLOSED) is State.CLOSED
        for event in Event:
            if event is not Event.CLOSED and event not in ON_EVENT[state]:
                with pytest.raises(InvariantBroken):
                    on_event(state, event)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.STARTUP, State.CLOSED}
    for after_message in ON_MESSAGE.values():
        reached.update(after_message.values())
    for after_event in ON_EVENT.values():
        reached.update(after_event.values())
    assert reached == set(State)
    stuck = [state for state in State if not ON_MESSAGE[state] and not ON_EVENT[state]]
    assert stuck == [State.CLOSED]
