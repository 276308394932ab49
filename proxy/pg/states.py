"""Where a session stands in the protocol, as tables.

Rule 1: every transition is in one of the two tables below; nothing else says what may follow what.
Rule 2: the tables know messages and outcomes, not SQL: transactions, portals and statements are the session's.

`ON_MESSAGE` says which frontend messages a state takes and where they lead; `IGNORED` which it drops without an
answer, as PostgreSQL does; any other is a protocol violation.  `ON_EVENT` says where the server's own doings lead.
A message of the simple protocol is answered whole before the next is looked at, so SIMPLE takes no messages.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from lfsql.errors import InvariantBroken, ProtocolViolation
from proxy.pg.messages import (
    Bind,
    CancelRequest,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    FunctionCall,
    GSSENCRequest,
    GSSResponse,
    Malformed,
    Parse,
    PasswordMessage,
    Query,
    SASLInitialResponse,
    SASLResponse,
    SSLRequest,
    StartupMessage,
    Sync,
    Terminate,
)


class State(Enum):
    STARTUP = "startup"
    AUTHENTICATION = "authentication"
    """From StartupMessage to the first ReadyForQuery."""
    READY = "ready"
    SIMPLE = "simple"
    """A Query or FunctionCall is being answered; ReadyForQuery will end it."""
    EXTENDED = "extended"
    """Between the first extended message and its Sync."""
    EXTENDED_ERROR = "extended error"
    """A message failed: everything but Sync and Terminate is dropped."""
    SYNCING = "syncing"
    """Sync was read: its commit runs, then ReadyForQuery."""
    COPY_IN = "copy in"
    """COPY FROM STDIN of a simple Query."""
    COPY_IN_EXTENDED = "copy in, extended"
    COPY_OUT = "copy out"
    COPY_OUT_EXTENDED = "copy out, extended"
    CLOSED = "closed"


class Event(Enum):
    """What the server did."""

    FAILED = "failed"
    """It sent ErrorResponse."""
    FINISHED = "finished"
    """It sent ReadyForQuery."""
    COPY_IN_STARTED = "copy in started"
    COPY_OUT_STARTED = "copy out started"
    COPY_OUT_ENDED = "copy out ended"
    CLOSED = "closed"
    """It ended the session, or the connection broke."""


Kind = type[FrontendMessage]

_EXTENDED: Final[dict[Kind, State]] = {
    Parse: State.EXTENDED,
    Bind: State.EXTENDED,
    Describe: State.EXTENDED,
    Execute: State.EXTENDED,
    Close: State.EXTENDED,
    Malformed: State.EXTENDED,
    Sync: State.SYNCING,
    Query: State.SIMPLE,
    FunctionCall: State.SIMPLE,
    Terminate: State.CLOSED,
}

ON_MESSAGE: Final[dict[State, dict[Kind, State]]] = {
    State.STARTUP: {
        SSLRequest: State.STARTUP,
        GSSENCRequest: State.STARTUP,
        StartupMessage: State.AUTHENTICATION,
        CancelRequest: State.CLOSED,
    },
    State.AUTHENTICATION: {
        PasswordMessage: State.AUTHENTICATION,
        SASLInitialResponse: State.AUTHENTICATION,
        SASLResponse: State.AUTHENTICATION,
        GSSResponse: State.AUTHENTICATION,
        Terminate: State.CLOSED,
    },
    State.READY: {**_EXTENDED, Flush: State.READY},
    State.EXTENDED: {**_EXTENDED, Flush: State.EXTENDED},
    State.EXTENDED_ERROR: {Sync: State.SYNCING, Terminate: State.CLOSED},
    State.SYNCING: {},
    State.SIMPLE: {},
    State.COPY_IN: {
        CopyData: State.COPY_IN,
        CopyDone: State.SIMPLE,
        CopyFail: State.SIMPLE,
        Terminate: State.CLOSED,
    },
    State.COPY_IN_EXTENDED: {
        CopyData: State.COPY_IN_EXTENDED,
        CopyDone: State.EXTENDED,
        CopyFail: State.EXTENDED,
        Terminate: State.CLOSED,
    },
    State.COPY_OUT: {},
    State.COPY_OUT_EXTENDED: {},
    State.CLOSED: {},
}

_COPY: Final[frozenset[Kind]] = frozenset((CopyData, CopyDone, CopyFail))

IGNORED: Final[dict[State, frozenset[Kind]]] = {
    # What a client still sends of a COPY that failed.
    State.READY: _COPY,
    State.EXTENDED: _COPY,
    State.EXTENDED_ERROR: _COPY | {Parse, Bind, Describe, Execute, Close, Flush, Query, FunctionCall, Malformed},
    # libpq sends Sync behind an Execute without waiting to see that it was a COPY.
    State.COPY_IN: frozenset((Flush, Sync)),
    State.COPY_IN_EXTENDED: frozenset((Flush, Sync)),
}

ON_EVENT: Final[dict[State, dict[Event, State]]] = {
    State.STARTUP: {},
    State.AUTHENTICATION: {Event.FINISHED: State.READY, Event.FAILED: State.CLOSED},
    State.READY: {},
    State.SIMPLE: {
        Event.FAILED: State.SIMPLE,
        Event.FINISHED: State.READY,
        Event.COPY_IN_STARTED: State.COPY_IN,
        Event.COPY_OUT_STARTED: State.COPY_OUT,
    },
    State.EXTENDED: {
        Event.FAILED: State.EXTENDED_ERROR,
        Event.COPY_IN_STARTED: State.COPY_IN_EXTENDED,
        Event.COPY_OUT_STARTED: State.COPY_OUT_EXTENDED,
    },
    State.EXTENDED_ERROR: {},
    State.SYNCING: {Event.FAILED: State.SYNCING, Event.FINISHED: State.READY},
    State.COPY_IN: {Event.FAILED: State.SIMPLE},
    State.COPY_IN_EXTENDED: {Event.FAILED: State.EXTENDED_ERROR},
    State.COPY_OUT: {Event.FAILED: State.SIMPLE, Event.COPY_OUT_ENDED: State.SIMPLE},
    State.COPY_OUT_EXTENDED: {Event.FAILED: State.EXTENDED_ERROR, Event.COPY_OUT_ENDED: State.EXTENDED},
    State.CLOSED: {},
}


_BY_TYPE_BYTE: Final[dict[str, Kind]] = {
    "Q": Query,
    "P": Parse,
    "B": Bind,
    "D": Describe,
    "E": Execute,
    "C": Close,
    "F": FunctionCall,
    "f": CopyFail,
    "c": CopyDone,
    "S": Sync,
    "H": Flush,
    "X": Terminate,
}


def _kind(message: FrontendMessage) -> Kind:
    """A malformed message leads where a sound one of its kind does, and fails there."""
    return _BY_TYPE_BYTE.get(message.kind, Malformed) if isinstance(message, Malformed) else type(message)


def is_ignored(state: State, message: FrontendMessage) -> bool:
    return _kind(message) in IGNORED.get(state, ())


def on_message(state: State, message: FrontendMessage) -> State:
    """Where a message leads.  An ignored one leads nowhere.  Raises ProtocolViolation for one that may not come."""
    kind = _kind(message)
    following = ON_MESSAGE[state].get(kind)
    if following is not None:
        return following
    if kind in IGNORED.get(state, ()):
        return state
    if state in (State.COPY_IN, State.COPY_IN_EXTENDED):
        raise ProtocolViolation(f"unexpected message {kind.__name__} during COPY from stdin")
    raise ProtocolViolation(f"unexpected message {kind.__name__} in state {state.value}")


def on_event(state: State, event: Event) -> State:
    """Where the server's doing leads.  Raises InvariantBroken for one that cannot happen in `state`."""
    if event is Event.CLOSED:
        return State.CLOSED
    following = ON_EVENT[state].get(event)
    if following is None:
        raise InvariantBroken(f"{event.value} cannot happen in protocol state {state.value}")
    return following
