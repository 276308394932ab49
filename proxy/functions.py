"""Functions that only the session can answer: who, where, with which settings.

The planner takes them out of a statement (`proxy.sql.plan.SessionCall`); each execution calls them here and binds the
answers, so a statement means the same on whichever node it runs, and in every replica's log.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Final

from lfsql.core.entry import Value
from lfsql.errors import FeatureNotSupported, InvalidParameterValue, UndefinedObject
from proxy.settings import SERVER_VERSION, canonical
from proxy.sql.plan import SessionCall
from proxy.state import SessionState
from proxy.transaction_modes import MODES, set_mode

VERSION: Final = f"PostgreSQL {SERVER_VERSION} (lfsql, SQLite replicated)"

Arguments = tuple[Value, ...]


def _user(state: SessionState, _arguments: Arguments) -> Value:
    return state.user


def _database(state: SessionState, _arguments: Arguments) -> Value:
    return state.database


def _setting_text(value: Value) -> str:
    if value is None:
        raise InvalidParameterValue("a setting's name and value cannot be null")
    return str(value)


def _current_setting(state: SessionState, arguments: Arguments) -> Value:
    if arguments[0] is None:
        return None
    missing_ok = len(arguments) > 1 and arguments[1] not in (0, None, "f", "false", "off", "")
    try:
        return state.settings.show(_setting_text(arguments[0]))
    except UndefinedObject:
        if missing_ok:
            return None
        raise


def _set_config(state: SessionState, arguments: Arguments) -> Value:
    name, value = _setting_text(arguments[0]), arguments[1]
    local = len(arguments) > 2 and arguments[2] not in (0, None, "f", "false", "off")
    if canonical(name) in MODES:
        set_mode(state, canonical(name), "" if value is None else str(value))
        return state.settings.show(name)
    state.tell(state.settings.set(name, "" if value is None else str(value), local=local))
    return state.settings.show(name)


def _schemas(_state: SessionState, arguments: Arguments) -> Value:
    implicit = bool(arguments) and arguments[0] not in (0, None, "f", "false", "off")
    return json.dumps(["pg_catalog", "public"] if implicit else ["public"])


def _channels(state: SessionState, _arguments: Arguments) -> Value:
    return json.dumps([] if state.listener is None else list(state.listener.channels))


def _queue_usage(state: SessionState, _arguments: Arguments) -> Value:
    return state.worker.notifications.fullness


def _elapsed(state: SessionState, _arguments: Arguments) -> Value:
    """Since the primary read the clock of the unit that the session has there.  It is measured here, from when that
    was heard of, as no clock of one host is compared with another's; whatever comes with the unit's first message
    begins with it."""
    elapsed_s = monotonic() - state.unit.opened_at if state.unit.held else 0.0
    return f"{elapsed_s:.6f} seconds"


def _constant(value: Value) -> Callable[[SessionState, Arguments], Value]:
    return lambda _state, _arguments: value


_CALLS: Final[dict[str, Callable[[SessionState, Arguments], Value]]] = {
    "current_user": _user,
    "session_user": _user,
    "user": _user,
    "current_role": _user,
    "current_database": _database,
    "current_catalog": _database,
    "current_schema": _constant("public"),
    "current_schemas": _schemas,
    "current_setting": _current_setting,
    "set_config": _set_config,
    "version": _constant(VERSION),
    "pg_backend_pid": lambda state, _arguments: state.process_id,
    "pg_listening_channels": _channels,
    "pg_notification_queue_usage": _queue_usage,
    "pg_is_in_recovery": lambda state, _arguments: int(state.settings.values["in_hot_standby"] == "on"),
    "pg_postmaster_start_time": lambda state, _arguments: state.worker.started_at,
    "pg_conf_load_time": lambda state, _arguments: state.worker.started_at,
    "statement_elapsed": _elapsed,
    "inet_client_addr": _constant(None),
    "inet_client_port": _constant(None),
    "inet_server_addr": _constant(None),
    "inet_server_port": _constant(None),
    "txid_current": lambda state, _arguments: state.seen,
    "pg_advisory_unlock_all": _constant(""),
    "pg_my_temp_schema": _constant(0),
    "pg_is_other_temp_schema": _constant(0),
    "time_zone": lambda state, _arguments: state.settings.values["TimeZone"],
}


CHANGES_SESSION: Final = frozenset({"set_config"})
"""The calls that must not be made twice for one execution."""


def call(state: SessionState, session_call: SessionCall, parameters: Arguments) -> Value:
    """One answer.  An int argument is the number of a client's parameter."""
    answer = _CALLS.get(session_call.name)
    if answer is None:
        raise FeatureNotSupported(f"function {session_call.name}() is not supported")
    return answer(
        state,
        tuple(
            parameters[argument - 1] if isinstance(argument, int) else argument for argument in session_call.arguments
        ),
    )
