"""The settings of one session: PostgreSQL's that clients ask for, and lfsql's own.

Every setting is declared once in `SETTINGS`: its default, what it accepts, whether the client is told of changes
(ParameterStatus).  Unknown names are errors, as in PostgreSQL, except names with a dot, which PostgreSQL keeps as
free-form placeholders; lfsql's own prefix is not free-form, a misspelt `lfsql.` setting is an error.

Values are kept as the text PostgreSQL would show.  `SET LOCAL`, and any SET inside a transaction that rolls back,
are undone by an undo log rather than by copies of the whole.  There is always a transaction: outside of a block it is
the implicit one, of a pipeline or of a text, which begins by itself and for which `end` is called all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lfsql.config import ProxyDefaults, UserDefaults
from lfsql.errors import CannotChangeNow, InvalidParameterValue, LimitExceeded, UndefinedObject
from proxy import time_zones

SERVER_VERSION: Final = "15.0"
SERVER_VERSION_NUM: Final = "150000"

Check = Callable[[str, str], str]
"""(name, text as given) -> the text to keep; raises InvalidParameterValue."""


def _invalid(name: str, value: str, hint: str = "") -> InvalidParameterValue:
    return InvalidParameterValue(f'invalid value for parameter "{name}": "{value}"', hint=hint)


def _text(_name: str, value: str) -> str:
    return value


_TRUE: Final = {"on", "true", "yes", "1", "t", "y", "tr", "tru", "ye"}
_FALSE: Final = {"off", "false", "no", "0", "f", "n", "fa", "fal", "fals", "of"}


def _boolean(name: str, value: str) -> str:
    word = value.lower()
    if word in _TRUE:
        return "on"
    if word in _FALSE:
        return "off"
    raise InvalidParameterValue(f'parameter "{name}" requires a Boolean value')


def _choice(*words: str) -> Check:
    def check(name: str, value: str) -> str:
        word = value.strip().lower()
        if word in words:
            return word
        raise _invalid(name, value, f"Available values: {', '.join(words)}.")

    return check


_NUMBER: Final = r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_INTEGER: Final = re.compile(rf"\s*({_NUMBER})\s*\Z", re.ASCII)
_DURATION: Final = re.compile(rf"\s*({_NUMBER})\s*(us|ms|s|min|h|d)?\s*\Z", re.ASCII)
_UNIT_MS: Final = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_INT_MAX: Final = 2_147_483_647
_DIGITS_MAX: Final = 100


def _number(text: str) -> float:
    """Of what `_NUMBER` matches: as C reads it, with 0x and with 0 for octal."""
    digits = text.lstrip("+-")
    if digits.isalnum() and len(digits) > _DIGITS_MAX:
        return float("inf")
    if digits[:2] in ("0x", "0X"):
        number: float = int(digits, 16)
    elif digits.isdigit():
        octal = digits[0] == "0" and len(digits) > 1
        if octal and not set(digits) <= set("01234567"):
            return float("nan")
        number = int(digits, 8) if octal else int(digits)
    else:
        number = float(digits)
    return -number if text.startswith("-") else number


def _integer(low: int, high: int) -> Check:
    def check(name: str, value: str) -> str:
        found = _INTEGER.match(value)
        exact = _number(found[1]) if found is not None else float("nan")
        if found is None or not abs(exact) < 1 << 63:  # NaN too
            raise _invalid(name, value)
        number = round(exact)
        if not low <= number <= high:
            raise InvalidParameterValue(
                f'{number} is outside the valid range for parameter "{name}" ({low} .. {high})'
            )
        return str(number)

    return check


def _milliseconds(name: str, value: str) -> str:
    """PostgreSQL's durations: a bare number is milliseconds; shown in the largest unit that divides it."""
    found = _DURATION.match(value)
    exact = _number(found[1]) * _UNIT_MS[found[2] or "ms"] if found is not None else float("nan")
    if exact != exact:
        raise _invalid(name, value, 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".')
    if not abs(exact) <= _INT_MAX:
        raise _invalid(name, value, "Value exceeds integer range.")
    number = round(exact)
    if number < 0:
        raise InvalidParameterValue(
            f'{number} ms is outside the valid range for parameter "{name}" (0 .. {_INT_MAX})'
        )
    for unit in ("d", "h", "min", "s"):
        if number and number % int(_UNIT_MS[unit]) == 0:
            return f"{number // int(_UNIT_MS[unit])}{unit}"
    return f"{number}ms" if number else "0"


def duration_ms(text: str) -> int:
    """Milliseconds in a text `_milliseconds` has accepted."""
    found = _DURATION.match(text)
    if found is None:
        raise _invalid("duration", text)
    return round(_number(found[1]) * _UNIT_MS[found[2] or "ms"])


def _client_encoding(name: str, value: str) -> str:
    # asyncpg sends 'utf-8' with its quotes.
    if value.strip("'\" ").lower().replace("-", "").replace("_", "") in ("utf8", "unicode"):
        return "UTF8"
    raise _invalid(name, value, "lfsql speaks UTF8 only.")


def _date_style(name: str, value: str) -> str:
    words = [word.strip().lower() for word in value.split(",")]
    if words[0] not in ("iso", "mdy", "dmy", "ymd", "default"):
        raise _invalid(name, value, "lfsql prints dates in ISO style only.")
    order = next((word for word in words if word in ("mdy", "dmy", "ymd")), "mdy")
    return f"ISO, {order.upper()}"


def _isolation(name: str, value: str) -> str:
    return _choice("serializable", "repeatable read", "read committed", "read uncommitted")(name, value)


@dataclass(frozen=True, slots=True)
class Setting:
    default: str
    check: Check = _text
    reported: bool = False
    read_only: bool = False
    description: str = ""


_any_integer: Final = _integer(-2_147_483_648, 2_147_483_647)
_lag_integer: Final = _integer(0, 9_223_372_036_854_775_807)

SETTINGS: Final[dict[str, Setting]] = {
    # -- what drivers read at start ------------------------------------------------------------------------
    "server_version": Setting(
        SERVER_VERSION, reported=True, read_only=True, description="the PostgreSQL version spoken"
    ),
    "server_version_num": Setting(SERVER_VERSION_NUM, read_only=True, description="the same as a number"),
    "server_encoding": Setting("UTF8", reported=True, read_only=True, description="always UTF8"),
    "client_encoding": Setting("UTF8", _client_encoding, reported=True, description="always UTF8"),
    "DateStyle": Setting("ISO, MDY", _date_style, reported=True, description="ISO only; the order reads input"),
    "TimeZone": Setting(
        "UTC", time_zones.spelled, reported=True, description="in which timestamptz is shown and read"
    ),
    "IntervalStyle": Setting("postgres", _choice("postgres"), reported=True, description="postgres only"),
    "integer_datetimes": Setting("on", reported=True, read_only=True, description="always on"),
    "standard_conforming_strings": Setting("on", _choice("on"), reported=True, description="always on"),
    "application_name": Setting("", reported=True, description="the client's name for itself"),
    "is_superuser": Setting("on", reported=True, read_only=True, description="on for the built-in user"),
    "session_authorization": Setting("lfsql", reported=True, read_only=True, description="the user logged in"),
    "in_hot_standby": Setting("off", reported=True, read_only=True, description="on at a read-only listener"),
    "default_transaction_read_only": Setting("off", _boolean, reported=True, description="new transactions' default"),
    # -- transactions --------------------------------------------------------------------------------------
    "default_transaction_isolation": Setting("read committed", _isolation, description="new transactions' default"),
    "default_transaction_deferrable": Setting("off", _boolean, description="new transactions' default"),
    "transaction_isolation": Setting("read committed", _isolation, description="this transaction's level"),
    "transaction_read_only": Setting("off", _boolean, description="whether this transaction may write"),
    "transaction_deferrable": Setting("off", _boolean, description="accepted: a READ ONLY snapshot never fails"),
    "statement_timeout": Setting("0", _milliseconds, description="the longest a statement may run; 0: no limit"),
    "lock_timeout": Setting("0", _milliseconds, description="the longest to wait for the writer; 0: no limit"),
    "idle_in_transaction_session_timeout": Setting(
        "10s",
        _milliseconds,
        description="how long a transaction may idle, by default one that has the writer or a snapshot; 0: no limit",
    ),
    "idle_session_timeout": Setting(
        "0", _milliseconds, description="how long a session may idle outside of transactions; 0: no limit"
    ),
    # -- output --------------------------------------------------------------------------------------------
    "bytea_output": Setting("hex", _choice("hex", "escape"), description="how bytea is printed in text"),
    "extra_float_digits": Setting("1", _integer(-15, 3), description="1 and above: shortest exact floats"),
    "client_min_messages": Setting(
        "notice",
        _choice("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"),
        description="from which severity on messages are sent: warning and error leave notices out",
    ),
    "search_path": Setting('"$user", public', description="public and pg_catalog are all there is"),
    # -- accepted because clients set them, without effect here --------------------------------------------
    "synchronous_commit": Setting(
        "on", _choice("on", "off", "local", "remote_write", "remote_apply"), description="see lfsql.durability"
    ),
    "row_security": Setting("on", _boolean, description="accepted, without effect"),
    "check_function_bodies": Setting("on", _boolean, description="accepted, without effect"),
    "xmloption": Setting("content", description="accepted, without effect"),
    "default_tablespace": Setting("", description="accepted, without effect"),
    "default_table_access_method": Setting("heap", description="accepted, without effect"),
    "escape_string_warning": Setting("on", _boolean, description="accepted, without effect"),
    "backslash_quote": Setting("safe_encoding", description="accepted, without effect"),
    "jit": Setting("off", _boolean, description="accepted, without effect"),
    "work_mem": Setting("4MB", description="accepted, without effect"),
    "maintenance_work_mem": Setting("64MB", description="accepted, without effect"),
    "enable_seqscan": Setting("on", _boolean, description="accepted, without effect"),
    "enable_indexscan": Setting("on", _boolean, description="accepted, without effect"),
    "constraint_exclusion": Setting("partition", description="accepted, without effect"),
    "lc_messages": Setting("C", description="accepted, without effect"),
    "lc_monetary": Setting("C", description="accepted, without effect"),
    "lc_numeric": Setting("C", description="accepted, without effect"),
    "lc_time": Setting("C", description="accepted, without effect"),
    "lc_collate": Setting("C", read_only=True, description="text sorts by bytes"),
    "lc_ctype": Setting("C", read_only=True, description="text sorts by bytes"),
    "max_identifier_length": Setting("63", read_only=True, description="as PostgreSQL's"),
    "max_index_keys": Setting("32", read_only=True, description="as PostgreSQL's"),
    "block_size": Setting("8192", read_only=True, description="as PostgreSQL's"),
    "password_encryption": Setting("scram-sha-256", _choice("scram-sha-256"), description="scram-sha-256 only"),
    "tcp_keepalives_idle": Setting("0", _any_integer, description="accepted, without effect"),
    "geqo": Setting("on", _boolean, description="accepted, without effect"),
    "ssl": Setting("off", read_only=True, description="whether TLS is offered"),
    # -- lfsql's own ---------------------------------------------------------------------------------------
    "lfsql.read_consistency": Setting(
        "session", _choice("any", "bounded", "session", "strong"), description="what a read promises"
    ),
    "lfsql.causality": Setting(
        "session", _choice("session", "proxy"), description="whose writes the level session is sure to see"
    ),
    "lfsql.max_lag_ms": Setting("1000", _lag_integer, description="the most a replica may lag, in ms; 0: no limit"),
    "lfsql.max_lag_entries": Setting("0", _lag_integer, description="the same in log entries; 0: no limit"),
    "lfsql.when_lagging": Setting(
        "primary", _choice("primary", "freshest", "wait", "error"), description="when every replica lags too far"
    ),
    "lfsql.route": Setting("auto", description="auto, primary, replica, or a node's name"),
    "lfsql.durability": Setting("quorum", _choice("quorum", "local"), description="when a write is acknowledged"),
    "lfsql.dialect": Setting("postgresql", _choice("postgresql", "sqlite"), description="the SQL spoken"),
    "lfsql.min_index": Setting("0", _lag_integer, description="reads see at least this log index"),
    "lfsql.failover_wait_ms": Setting("10000", _lag_integer, description="how long a write waits for a primary"),
    "lfsql.notice_route": Setting("off", _boolean, description="tell where each statement ran in a NOTICE"),
    "lfsql.last_route": Setting("", read_only=True, description="where the previous statement ran, and why"),
    "lfsql.last_index": Setting("0", read_only=True, description="the newest log index this session has seen"),
}

_OF_TRANSACTIONS: Final = tuple(name for name in SETTINGS if name.startswith("transaction_"))
"""Each begins a transaction as its `default_` says, and ends with it."""

_CANONICAL: Final = {name.lower(): name for name in SETTINGS}
_PLACEHOLDER: Final = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)+\Z")
PLACEHOLDERS_MAX: Final = 100
VALUE_CHARACTERS_MAX: Final = 10_000
UNDO_CHARACTERS_MAX: Final = 8 << 20
"""Of what one transaction has set, to be undone when it ends."""
_CHANGE_CHARACTERS: Final = 100
"""Of a change, beside the value before it."""


def canonical(name: str) -> str:
    """The setting's proper spelling.  Raises UndefinedObject for what is no setting."""
    found = _CANONICAL.get(name.lower())
    if found is not None:
        return found
    if _PLACEHOLDER.match(name) and not name.lower().startswith("lfsql."):
        return name.lower()
    raise UndefinedObject(f'unrecognized configuration parameter "{name}"')


def _changeable(proper: str) -> Setting | None:
    """The setting, None for a placeholder.  Raises CannotChangeNow."""
    setting = SETTINGS.get(proper)
    if setting is not None and setting.read_only:
        raise CannotChangeNow(f'parameter "{proper}" cannot be changed')
    return setting


def _checked(proper: str, value: str) -> str:
    """The text to keep of a value somebody else chose.  Raises InvalidParameterValue, CannotChangeNow.

    What comes out of here every later use can take: it has the setting's form, and can be sent to the client.
    """
    setting = _changeable(proper)
    if len(value) > VALUE_CHARACTERS_MAX:
        raise InvalidParameterValue(
            f'value for parameter "{proper}" is longer than {VALUE_CHARACTERS_MAX} characters'
        )
    if "\0" in value or not _is_utf8(value):
        raise InvalidParameterValue(f'value for parameter "{proper}" is no text that UTF8 can hold')
    return setting.check(proper, value) if setting is not None else value


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _change_characters(before: str | None) -> int:
    return _CHANGE_CHARACTERS + len(before or "")


def settings_given(given: ProxyDefaults | UserDefaults) -> dict[str, str]:
    """The session's settings that a table of proxy.toml gives."""
    values = {
        "lfsql.read_consistency": given.read_consistency,
        "lfsql.causality": given.causality,
        "lfsql.max_lag_ms": given.max_lag_ms,
        "lfsql.max_lag_entries": given.max_lag_entries,
        "lfsql.when_lagging": given.when_lagging,
        "lfsql.failover_wait_ms": given.failover_wait_ms,
        "statement_timeout": given.statement_timeout_ms,
        "idle_in_transaction_session_timeout": given.idle_in_transaction_session_timeout_ms,
    }
    return {setting: str(value) for setting, value in values.items() if value is not None}


class SessionSettings:
    """One session's values.  `values` is read directly on the hot path; change it through the methods only."""

    __slots__ = ("_undo", "_undo_characters", "defaults", "values", "version")

    def __init__(self, defaults: Mapping[str, str]) -> None:
        """`defaults`: settings whose default differs from the built-in one (proxy configuration, startup)."""
        self.defaults: dict[str, str] = {name: setting.default for name, setting in SETTINGS.items()}
        self.values: dict[str, str] = dict(self.defaults)
        self.version = 0
        """Grows with every change: caches of derived values compare it."""
        self._undo: list[tuple[str, str | None, bool]] | None = None
        """(name, value before, local) of each change in this transaction; None while there is none."""
        self._undo_characters = 0
        for name, value in defaults.items():
            self.set_default(name, value)

    def set_default(self, name: str, value: str) -> None:
        """Change a default itself (startup packet, configuration); RESET comes back to it."""
        proper = canonical(name)
        self.fix(proper, _checked(proper, value))

    def fix(self, name: str, value: str) -> None:
        """Set what the session itself determines, read-only to clients."""
        self.defaults[name] = value
        self.values[name] = value
        self.version += 1
        self._renew()

    def _renew(self) -> None:
        """The next transaction is what the defaults say."""
        values = self.values
        for name in _OF_TRANSACTIONS:
            values[name] = values[f"default_{name}"]
        if values["in_hot_standby"] == "on":
            values["transaction_read_only"] = "on"

    def show(self, name: str) -> str:
        proper = canonical(name)
        try:
            return self.values[proper]
        except KeyError:
            raise UndefinedObject(f'unrecognized configuration parameter "{name}"') from None

    def begin(self) -> None:
        """A block starts, which takes over what its text or pipeline has set before it."""
        if self._undo is None:
            self._undo = []

    @property
    def settled(self) -> bool:
        """Nothing was set that the end of a transaction could undo."""
        return self._undo is None

    def mark(self) -> int:
        """A savepoint's place in the undo log."""
        return len(self._undo or ())

    def back_to(self, mark: int) -> list[str]:
        """Undo what was set since `mark`.  Gives the names to report."""
        undo = self._undo if self._undo is not None else []
        changed: list[str] = []
        while len(undo) > mark:
            name, before, _ = undo.pop()
            self._undo_characters -= _change_characters(before)
            changed += self._put(name, before)
        return changed

    def set(self, name: str, value: str | None, *, local: bool = False) -> list[str]:
        """Set, or with None go back to the default.  Gives the names whose new values the client must be told."""
        proper = canonical(name)
        _changeable(proper)
        kept = self.defaults.get(proper) if value is None else _checked(proper, value)
        if proper not in self.values and len(self.values) >= len(SETTINGS) + PLACEHOLDERS_MAX:
            raise InvalidParameterValue(f"a session may keep at most {PLACEHOLDERS_MAX} settings of its own")
        before = self.values.get(proper)
        if self._undo is None:
            self._undo = []
        self._undo_characters += _change_characters(before)
        if self._undo_characters > UNDO_CHARACTERS_MAX:
            self._undo_characters -= _change_characters(before)
            raise LimitExceeded(f"what a transaction sets may take at most {UNDO_CHARACTERS_MAX} characters")
        self._undo.append((proper, before, local))
        return self._put(proper, kept)

    def _put(self, proper: str, value: str | None) -> list[str]:
        before = self.values.get(proper)
        if value is None:
            self.values.pop(proper, None)
        else:
            self.values[proper] = value
        self.version += 1
        setting = SETTINGS.get(proper)
        return [proper] if setting is not None and setting.reported and before != value else []

    def reset_all(self) -> list[str]:
        changed: list[str] = []
        for name in list(self.values):
            setting = SETTINGS.get(name)
            if setting is None or not setting.read_only:
                changed += self.set(name, None)
        return changed

    def end(self, *, committed: bool) -> list[str]:
        """The transaction ended: undo SET LOCALs, and on rollback every SET.  Gives the names to report."""
        if self._undo is None:
            return []
        undo, self._undo = self._undo, None
        self._undo_characters = 0
        self.version += 1  # what is derived from the settings also tells whether they are settled
        changed: list[str] = []
        kept: set[str] = set()
        for name, before, local in reversed(undo):
            if committed and not local:
                kept.add(name)  # a SET survives the commit, also over a SET LOCAL before it
            elif name not in kept:
                changed += self._put(name, before)
        self._renew()
        return changed

    def shown(self) -> Iterable[tuple[str, str, str]]:
        """(name, value, description) of all, sorted as SHOW ALL does."""
        for name in sorted(self.values, key=str.lower):
            setting = SETTINGS.get(name)
            yield name, self.values[name], setting.description if setting is not None else ""


REPORTED: Final[tuple[str, ...]] = tuple(name for name, setting in SETTINGS.items() if setting.reported)
"""Settings whose values ParameterStatus carries, at startup and at each change."""
