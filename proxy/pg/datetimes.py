"""date, time, timetz, timestamp, timestamptz: wire forms to and from the text SQLite holds.

That text is PostgreSQL's ISO output (`lfsql.values.datetimes`), so text format is almost free.  Binary format counts
microseconds (days) from 2000-01-01.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from struct import Struct
from typing import Final

from lfsql.errors import DatetimeOutOfRange
from lfsql.values.datetime_literals import offset_seconds
from lfsql.values.datetimes import (
    INFINITY,
    MINUS_INFINITY,
    date_text,
    offset_text,
    out_of_range,
    parse_date,
    stamp_text,
    stored_moment,
    time_microseconds,
    time_text,
)
from proxy.pg.literals import exact
from proxy.pg.scalars import as_text
from proxy.pg.settings import Value

DAY: Final = 86_400_000_000
"""Microseconds."""

_INT4: Final = Struct(">i")
_INT8: Final = Struct(">q")
_TIMETZ: Final = Struct(">qi")
_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - wall clock time of no zone, as PostgreSQL's timestamp
_EPOCH_DAY: Final = date(2000, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_INFINITY: Final = {INFINITY: 0x7FFFFFFF, MINUS_INFINITY: -0x80000000}
_STAMP_INFINITY: Final = {INFINITY: 0x7FFFFFFFFFFFFFFF, MINUS_INFINITY: -0x8000000000000000}
_DAY_SPECIAL: Final = {number: name for name, number in _DAY_INFINITY.items()}
_STAMP_SPECIAL: Final = {number: name for name, number in _STAMP_INFINITY.items()}

_STORED_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?", re.ASCII)


# -- date --------------------------------------------------------------------------------------------------


def receive_date(data: bytes) -> str:
    days = _INT4.unpack(exact(data, 4))[0]
    special = _DAY_SPECIAL.get(days)
    if special is not None:
        return special
    try:
        return date_text(date.fromordinal(days + _EPOCH_DAY))
    except (ValueError, OverflowError):
        raise DatetimeOutOfRange("date out of range", hint="Years from 0001 to 9999 can be stored.") from None


def send_date(value: Value) -> bytes:
    text = as_text(value)
    special = _DAY_INFINITY.get(text)
    if special is not None:
        return _INT4.pack(special)
    try:
        days = date.fromisoformat(text[:10]).toordinal()
    except ValueError:
        days = date.fromisoformat(parse_date(text)).toordinal()
    return _INT4.pack(days - _EPOCH_DAY)


# -- time and timetz ---------------------------------------------------------------------------------------


def _round(microseconds: int, typmod: int) -> int:
    """To `typmod` digits of a second, half away from zero."""
    if not 0 <= typmod < 6:
        return microseconds
    unit = int(10 ** (6 - typmod))
    rounded = (abs(microseconds) + unit // 2) // unit * unit
    return rounded if microseconds >= 0 else -rounded


def _valid_time(microseconds: int) -> int:
    if not 0 <= microseconds <= DAY:
        raise DatetimeOutOfRange("time out of range")
    return microseconds


def receive_time(data: bytes) -> str:
    return time_text(_valid_time(_INT8.unpack(exact(data, 8))[0]))


def send_time(value: Value) -> bytes:
    return _INT8.pack(time_microseconds(as_text(value)))


def receive_timetz(data: bytes) -> str:
    microseconds, west = _TIMETZ.unpack(exact(data, 12))
    if abs(west) >= 16 * 3600:
        raise DatetimeOutOfRange("time zone displacement out of range")
    return time_text(_valid_time(microseconds)) + offset_text(-west)


def _split_timetz(text: str) -> tuple[str, int]:
    match = _STORED_TIME.match(text)
    if match is None or match.end() == len(text):
        return text, 0
    return text[: match.end()], offset_seconds(text[match.end() :])


def send_timetz(value: Value) -> bytes:
    text, east = _split_timetz(as_text(value))
    return _TIMETZ.pack(time_microseconds(text), -east)


def coerce_time(text: str, typmod: int) -> str:
    clock, offset = (text, "") if len(text) <= 15 and "+" not in text[8:] and "-" not in text[8:] else _cut(text)
    return time_text(_round(time_microseconds(clock), typmod)) + offset


def _cut(text: str) -> tuple[str, str]:
    match = _STORED_TIME.match(text)
    return (text[: match.end()], text[match.end() :]) if match is not None else (text, "")


# -- timestamp and timestamptz -----------------------------------------------------------------------------


def receive_timestamp(data: bytes) -> str:
    microseconds = _INT8.unpack(exact(data, 8))[0]
    special = _STAMP_SPECIAL.get(microseconds)
    if special is not None:
        return special
    try:
        return stamp_text(_EPOCH + timedelta(microseconds=microseconds))
    except OverflowError:
        raise DatetimeOutOfRange("timestamp out of range", hint="Years from 0001 to 9999 can be stored.") from None


def send_timestamp(value: Value) -> bytes:
    text = as_text(value)
    special = _STAMP_INFINITY.get(text)
    if special is not None:
        return _INT8.pack(special)
    since = stored_moment(text) - _EPOCH
    return _INT8.pack((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def print_timestamptz(value: Value, zone: tzinfo) -> bytes:
    text = as_text(value)
    if text in _STAMP_INFINITY:
        return text.encode()
    if zone is UTC:
        return text.encode() + b"+00"
    try:
        local = stored_moment(text).replace(tzinfo=UTC).astimezone(zone)
    except OverflowError:
        raise DatetimeOutOfRange(f'timestamp out of range: "{text}"', hint="Set the time zone to UTC.") from None
    offset = local.utcoffset() or timedelta(0)
    return (stamp_text(local) + offset_text(round(offset.total_seconds()))).encode()


def coerce_timestamp(text: str, typmod: int) -> str:
    """Round stored text to `typmod` digits of a second."""
    if text in _STAMP_INFINITY or len(text) <= 20 + typmod:
        return text
    microseconds = (stored_moment(text) - _EPOCH) // _MICROSECOND
    try:
        return stamp_text(_EPOCH + timedelta(microseconds=_round(microseconds, typmod)))
    except OverflowError:
        raise out_of_range("timestamp", text) from None
