"""date, time, timetz, timestamp, timestamptz: literals and wire forms to and from the text SQLite holds.

The stored text is PostgreSQL's ISO output with trailing zeros of the fraction trimmed, so text format is almost
free, and it sorts as text.  timestamptz is stored in UTC without an offset; 'infinity' and '-infinity' sort after
and before every date, too.  Binary format counts microseconds (days) from 2000-01-01.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from struct import Struct
from typing import Final

from lfsql.errors import DatetimeOutOfRange, InvalidDatetime
from proxy.pg.datetime_literals import Parts, bad, days_in_month, field_out_of_range, offset_seconds, read_datetime
from proxy.pg.literals import exact
from proxy.pg.scalars import as_text
from proxy.pg.settings import DEFAULTS, EncodeSettings, Value

DAY: Final = 86_400_000_000
"""Microseconds."""

INFINITY: Final = "infinity"
MINUS_INFINITY: Final = "-infinity"

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

_CANONICAL_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_CANONICAL_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?", re.ASCII)
_CANONICAL_UTC: Final = re.compile(_CANONICAL_STAMP.pattern + r"\+00", re.ASCII)
_STORED_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?", re.ASCII)


def _clock(settings: EncodeSettings, type_name: str, text: str) -> datetime:
    """The transaction's start in the session's zone, for 'now' and its kin."""
    if settings.transaction_time is None:
        raise InvalidDatetime(
            f'invalid input syntax for type {type_name}: "{text}"',
            hint="Use CURRENT_TIMESTAMP or CURRENT_DATE here instead of a literal that means now.",
        )
    return settings.transaction_time.astimezone(settings.timezone)


def _midnight(moment: datetime, days: int) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


_RELATIVE_DAYS: Final = {"today": 0, "tomorrow": 1, "yesterday": -1}


def utc_offset(zone: tzinfo, local: datetime) -> timedelta:
    """The offset of a local time.  Around a change of the clocks PostgreSQL takes a skipped time by the offset before
    it and a repeated one by the offset after it; both are the smaller of the two readings."""
    first = zone.utcoffset(local)
    second = zone.utcoffset(local.replace(fold=1))
    if first is None or second is None:
        return timedelta(0)
    return min(first, second)


def _out_of_range(type_name: str, text: str) -> DatetimeOutOfRange:
    return DatetimeOutOfRange(f'{type_name} out of range: "{text}"', hint="Years from 0001 to 9999 can be stored.")


def _date_text(moment: date) -> str:
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"


def time_text(microseconds: int) -> str:
    """HH:MM:SS[.ffffff]; 24:00:00 for a whole day."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def stamp_text(moment: datetime) -> str:
    """The stored form of a timestamp; `moment`'s zone is not looked at."""
    text = moment.replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if moment.microsecond else text


# -- date --------------------------------------------------------------------------------------------------


def parse_date(text: str, settings: EncodeSettings = DEFAULTS) -> str:
    match = _CANONICAL_DATE.fullmatch(text)
    if match is not None:
        year, month, day = int(match[1]), int(match[2]), int(match[3])
        if year and 1 <= month <= 12 and 1 <= day <= days_in_month(year, month):
            return text
    parts = read_datetime(text, "date", settings)
    if parts.special:
        if parts.special in (INFINITY, MINUS_INFINITY):
            return parts.special
        if parts.special == "epoch":
            return "1970-01-01"
        return _date_text(_clock(settings, "date", text) + timedelta(days=_RELATIVE_DAYS.get(parts.special, 0)))
    if parts.year is None:
        raise bad("date", text)
    return f"{parts.year:04d}-{parts.month:02d}-{parts.day:02d}"


def receive_date(data: bytes) -> str:
    days = _INT4.unpack(exact(data, 4))[0]
    special = _DAY_SPECIAL.get(days)
    if special is not None:
        return special
    try:
        return _date_text(date.fromordinal(days + _EPOCH_DAY))
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


def _time_parts(text: str, type_name: str, settings: EncodeSettings) -> Parts:
    parts = read_datetime(text, type_name, settings, is_time=True)
    if parts.special == "now":
        moment = _clock(settings, type_name, text)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        parts.microseconds = (moment.replace(tzinfo=None) - midnight) // _MICROSECOND
        parts.zone = parts.zone if parts.zone is not None else settings.timezone
    if parts.microseconds is None:
        raise bad(type_name, text)
    return parts


def parse_time(text: str, settings: EncodeSettings = DEFAULTS) -> str:
    return time_text(_time_parts(text, "time", settings).microseconds or 0)


def parse_timetz(text: str, settings: EncodeSettings = DEFAULTS) -> str:
    parts = _time_parts(text, "time with time zone", settings)
    zone = parts.zone if parts.zone is not None else settings.timezone
    if isinstance(zone, int):
        seconds = zone
    else:
        if parts.has_date:
            local = _naive(parts, text, "time with time zone")
        elif settings.transaction_time is not None:
            local = settings.transaction_time.astimezone(settings.timezone).replace(tzinfo=None)
        else:
            local = _EPOCH
        fixed = zone.utcoffset(None)
        seconds = round((fixed if fixed is not None else utc_offset(zone, local)).total_seconds())
    return time_text(parts.microseconds or 0) + offset_text(seconds)


def offset_text(seconds: int) -> str:
    """Seconds east as PostgreSQL prints an offset: +00, -03:30, +00:01:15."""
    sign = "-" if seconds < 0 else "+"
    minutes, second = divmod(abs(seconds), 60)
    hour, minute = divmod(minutes, 60)
    text = f"{sign}{hour:02d}"
    if minute or second:
        text += f":{minute:02d}"
    return f"{text}:{second:02d}" if second else text


def time_microseconds(text: str) -> int:
    """Of stored text."""
    match = _STORED_TIME.match(text)
    if match is None:
        return _time_parts(text, "time", DEFAULTS).microseconds or 0
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((match[4] or "").ljust(6, "0"))


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


def _naive(parts: Parts, text: str, type_name: str) -> datetime:
    """The wall clock time a literal names."""
    if parts.year is None:
        raise bad(type_name, text)
    try:
        midnight = datetime(parts.year, parts.month, parts.day)  # noqa: DTZ001 - a wall clock time
        return midnight + timedelta(microseconds=parts.microseconds or 0)
    except OverflowError:
        raise _out_of_range("timestamp", text) from None
    except ValueError:
        raise field_out_of_range(text) from None


def _special_stamp(parts: Parts, text: str, type_name: str, settings: EncodeSettings) -> str | datetime:
    """Infinities as text; the others as a moment with a zone."""
    if parts.special in (INFINITY, MINUS_INFINITY):
        return parts.special
    if parts.special == "epoch":
        return datetime(1970, 1, 1, tzinfo=UTC)
    moment = _clock(settings, type_name, text)
    if parts.special == "now":
        return moment
    midnight = _midnight(moment.replace(tzinfo=None), _RELATIVE_DAYS[parts.special])
    midnight += timedelta(microseconds=parts.microseconds or 0)
    return midnight.replace(tzinfo=timezone(utc_offset(settings.timezone, midnight)))


def parse_timestamp(text: str, settings: EncodeSettings = DEFAULTS) -> str:
    """A zone in the literal is read and ignored, as the SQL standard wants."""
    if _CANONICAL_STAMP.fullmatch(text):
        try:
            return stamp_text(datetime.fromisoformat(text))
        except ValueError:
            pass  # as for timestamptz
    parts = read_datetime(text, "timestamp", settings)
    if parts.special:
        moment = _special_stamp(parts, text, "timestamp", settings)
        if isinstance(moment, str):
            return moment
        if parts.special != "epoch":
            moment = moment.astimezone(settings.timezone)
        return stamp_text(moment)
    return stamp_text(_naive(parts, text, "timestamp"))


def parse_timestamptz(text: str, settings: EncodeSettings = DEFAULTS) -> str:
    if _CANONICAL_UTC.fullmatch(text):
        try:
            return stamp_text(datetime.fromisoformat(text[:-3]))
        except ValueError:
            pass  # 24:00:00, or out of range: the general way knows
    parts = read_datetime(text, "timestamp with time zone", settings)
    try:
        if parts.special:
            moment = _special_stamp(parts, text, "timestamp with time zone", settings)
            return moment if isinstance(moment, str) else stamp_text(moment.astimezone(UTC))
        local = _naive(parts, text, "timestamp with time zone")
        zone = parts.zone if parts.zone is not None else settings.timezone
        offset = timedelta(seconds=zone) if isinstance(zone, int) else utc_offset(zone, local)
        return stamp_text(local - offset)
    except OverflowError:
        raise _out_of_range("timestamp", text) from None


def receive_timestamp(data: bytes) -> str:
    microseconds = _INT8.unpack(exact(data, 8))[0]
    special = _STAMP_SPECIAL.get(microseconds)
    if special is not None:
        return special
    try:
        return stamp_text(_EPOCH + timedelta(microseconds=microseconds))
    except OverflowError:
        raise DatetimeOutOfRange("timestamp out of range", hint="Years from 0001 to 9999 can be stored.") from None


def stored_moment(text: str) -> datetime:
    """Of stored text that is not an infinity, without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(parse_timestamp(text))
    return moment.replace(tzinfo=None) if moment.tzinfo is not None else moment


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
        raise _out_of_range("timestamp", text) from None
