"""date, time, timetz, timestamp, timestamptz: from literals to the text SQLite holds.

The stored text is PostgreSQL's ISO output with trailing zeros of the fraction trimmed, so it can be shown as it is,
and sorts as text.  timestamptz is stored in UTC without an offset; 'infinity' and '-infinity' sort after and before
every date, too.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final

from lfsql.errors import DatetimeOutOfRange, InvalidDatetime
from lfsql.values.datetime_literals import Parts, bad, days_in_month, field_out_of_range, read_datetime
from lfsql.values.reading import PLAIN, Reading

INFINITY: Final = "infinity"
MINUS_INFINITY: Final = "-infinity"

_MILLENNIUM: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - wall clock time of no zone
_MICROSECOND: Final = timedelta(microseconds=1)

_CANONICAL_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_CANONICAL_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?", re.ASCII)
_CANONICAL_UTC: Final = re.compile(_CANONICAL_STAMP.pattern + r"\+00", re.ASCII)
_STORED_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?", re.ASCII)


def _clock(settings: Reading, type_name: str, text: str) -> datetime:
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


def out_of_range(type_name: str, text: str) -> DatetimeOutOfRange:
    return DatetimeOutOfRange(f'{type_name} out of range: "{text}"', hint="Years from 0001 to 9999 can be stored.")


def date_text(moment: date) -> str:
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


def parse_date(text: str, settings: Reading = PLAIN) -> str:
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
        return date_text(_clock(settings, "date", text) + timedelta(days=_RELATIVE_DAYS.get(parts.special, 0)))
    if parts.year is None:
        raise bad("date", text)
    return f"{parts.year:04d}-{parts.month:02d}-{parts.day:02d}"


# -- time and timetz ---------------------------------------------------------------------------------------


def _time_parts(text: str, type_name: str, settings: Reading) -> Parts:
    parts = read_datetime(text, type_name, settings, is_time=True)
    if parts.special == "now":
        moment = _clock(settings, type_name, text)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        parts.microseconds = (moment.replace(tzinfo=None) - midnight) // _MICROSECOND
        parts.zone = parts.zone if parts.zone is not None else settings.timezone
    if parts.microseconds is None:
        raise bad(type_name, text)
    return parts


def parse_time(text: str, settings: Reading = PLAIN) -> str:
    return time_text(_time_parts(text, "time", settings).microseconds or 0)


def parse_timetz(text: str, settings: Reading = PLAIN) -> str:
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
            local = _MILLENNIUM
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
        return _time_parts(text, "time", PLAIN).microseconds or 0
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((match[4] or "").ljust(6, "0"))


# -- timestamp and timestamptz -----------------------------------------------------------------------------


def _naive(parts: Parts, text: str, type_name: str) -> datetime:
    """The wall clock time a literal names."""
    if parts.year is None:
        raise bad(type_name, text)
    try:
        midnight = datetime(parts.year, parts.month, parts.day)  # noqa: DTZ001 - a wall clock time
        return midnight + timedelta(microseconds=parts.microseconds or 0)
    except OverflowError:
        raise out_of_range("timestamp", text) from None
    except ValueError:
        raise field_out_of_range(text) from None


def _special_stamp(parts: Parts, text: str, type_name: str, settings: Reading) -> str | datetime:
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


def parse_timestamp(text: str, settings: Reading = PLAIN) -> str:
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


def parse_timestamptz(text: str, settings: Reading = PLAIN) -> str:
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
        raise out_of_range("timestamp", text) from None


def stored_moment(text: str) -> datetime:
    """Of stored text that is not an infinity, without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(parse_timestamp(text))
    return moment.replace(tzinfo=None) if moment.tzinfo is not None else moment
