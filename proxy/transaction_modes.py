"""What a transaction is said to be: its isolation level, whether it may write, whether it is deferrable.

The modes are settings (`transaction_isolation` and kin), so that SHOW tells them and savepoints take them back; what
is different about them is when they may change.  PostgreSQL's rules, whichever statement says it: a snapshot once
taken stays what it is, and inside of a savepoint a transaction can only be narrowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lfsql.errors import ActiveTransaction, FeatureNotSupported, NoActiveTransaction, ReadOnlyTransaction
from proxy.pg import encode
from proxy.pg.errors import WARNING, notice_fields
from proxy.settings import SETTINGS
from proxy.sql.utility import Begin, SetTransaction

if TYPE_CHECKING:
    from proxy.state import SessionState

MODES: Final = frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"})


def warn(state: SessionState, message: str, sqlstate: str) -> None:
    if state.settings.values["client_min_messages"] == "error":
        return
    state.outbox.write(encode.notice_response(notice_fields(message, severity=WARNING, sqlstate=sqlstate)))


def set_modes(state: SessionState, modes: Begin) -> None:
    """What is not said stays as it is: the default, or what SET TRANSACTION said before a BEGIN in the same text."""
    for name, value in _settings(modes):
        set_mode(state, f"transaction_{name}", value)


def set_mode(state: SessionState, name: str, value: str | None) -> None:
    """`name` is one of MODES, `value` None its default.  Raises ActiveTransaction, FeatureNotSupported, and what a
    wrong value raises."""
    settings = state.settings
    default = settings.values[f"default_{name}"]
    mode = default if value is None else SETTINGS[name].check(name, value)
    if mode != settings.values[name]:
        _check(state, name, mode)
    settings.set(name, mode, local=True)


def _check(state: SessionState, name: str, value: str) -> None:
    queried = state.queried or state.in_unit or state.read_transaction is not None
    standby = state.settings.values["in_hot_standby"] == "on"
    if name == "transaction_isolation":
        if queried:
            raise ActiveTransaction("SET TRANSACTION ISOLATION LEVEL must be called before any query")
        if state.savepoints:
            raise ActiveTransaction("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
        if standby and value == "serializable":
            raise FeatureNotSupported(
                "cannot use serializable mode in a hot standby", hint="You can use REPEATABLE READ instead."
            )
    elif name == "transaction_read_only" and value == "off":
        if state.savepoints:
            raise ActiveTransaction("cannot set transaction read-write mode inside a read-only transaction")
        if queried:
            raise ActiveTransaction("transaction read-write mode must be set before any query")
        if standby:
            raise FeatureNotSupported("cannot set transaction read-write mode during recovery")
    elif name == "transaction_deferrable":
        if state.savepoints:
            raise ActiveTransaction("SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction")
        if queried:
            raise ActiveTransaction("SET TRANSACTION [NOT] DEFERRABLE must be called before any query")


def _settings(modes: Begin) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    if modes.isolation is not None:
        said.append(("isolation", modes.isolation))
    if modes.read_only is not None:
        said.append(("read_only", _switch(modes.read_only)))
    if modes.deferrable is not None:
        said.append(("deferrable", _switch(modes.deferrable)))
    return said


def _switch(value: bool) -> str:
    return "on" if value else "off"


def set_transaction(state: SessionState, utility: SetTransaction) -> None:
    """SET TRANSACTION, and SET SESSION CHARACTERISTICS, which sets the defaults."""
    if utility.session:
        for name, value in _settings(utility.modes):
            state.tell(state.settings.set(f"default_transaction_{name}", value))
        return
    if not state.in_block:
        # It holds all the same, until the implicit transaction ends.
        warn(state, "SET TRANSACTION can only be used in transaction blocks", NoActiveTransaction.sqlstate)
    set_modes(state, utility.modes)


def modes_of(state: SessionState) -> Begin:
    """Those of the transaction that is open, for one that is chained to it."""
    values = state.settings.values
    read_only, deferrable = values["transaction_read_only"] == "on", values["transaction_deferrable"] == "on"
    for level in ("read uncommitted", "read committed", "repeatable read", "serializable"):
        if level == values["transaction_isolation"]:
            return Begin(level, read_only, deferrable)
    return Begin()


def reads_one_view(state: SessionState) -> bool:
    """Whether all statements of a transaction see the same, but for what it wrote itself."""
    return state.settings.values["transaction_isolation"] in ("repeatable read", "serializable")


def read_only(state: SessionState) -> bool:
    values = state.settings.values
    return values["transaction_read_only"] == "on" or values["in_hot_standby"] == "on"


def check_alone(state: SessionState, what: str) -> None:
    """Of what must be a transaction of its own.  Raises ActiveTransaction."""
    if state.in_block:
        raise ActiveTransaction(f"{what} cannot run inside a transaction block")
    if state.pipelining:
        raise ActiveTransaction(f"{what} cannot be executed within a pipeline")


def check_may_write(state: SessionState, tag: str) -> None:
    if read_only(state):
        raise ReadOnlyTransaction(f"cannot execute {tag} in a read-only transaction")
