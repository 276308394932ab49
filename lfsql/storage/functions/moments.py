"""date, time, timestamp and timestamptz on their stored texts: arithmetic, time zones, reading.

A timestamptz is UTC text; functions that depend on a zone take its name as an argument, so they stay deterministic.
infinity and -infinity pass through.  Years are 1 to 9999, which is Python's range and sorts as text.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from lfsql.errors import DatetimeOutOfRange, FeatureNotSupported, InvalidDatetime, InvalidParameterValue
from lfsql.storage.functions import intervals, zones
from lfsql.values.datetimes import (
    offset_text,
    parse_date,
    parse_time,
    parse_timestamp,
    parse_timestamptz,
    stamp_text,
    time_microseconds,
    time_text,
    utc_offset,
)
from lfsql.values.intervals import DAY, HOUR, MINUTE, SECOND, Interval, read_interval
from lfsql.values.reading import Reading

INFINITE: Final = frozenset(("infinity", "-infinity"))
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - stored timestamps carry no zone
JULIAN_EPOCH: Final = 1721425


def parse(stored: str) -> datetime:
    return datetime.fromisoformat(stored)


def _out_of_range() -> DatetimeOutOfRange:
    return DatetimeOutOfRange("timestamp out of range")


def microseconds_since_epoch(moment: datetime) -> int:
    difference = moment - EPOCH
    return (difference.days * 86400 + difference.seconds) * SECOND + difference.microseconds


def from_microseconds(microseconds: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise _out_of_range() from None


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """A time zone by name, abbreviation or POSIX offset.  Raises InvalidParameterValue."""
    if name == "UTC":
        return UTC
    found = zones.known(name)
    if found is None:
        hint = "" if zones.posix_offset(name) is None else "Offsets are less than 24 hours."
        raise InvalidParameterValue(f'time zone "{name}" not recognized', hint=hint)
    return found


def to_local(stored: str, zone_name: str) -> str:
    """A UTC timestamp's wall clock in a zone."""
    if stored in INFINITE:
        return stored
    place = zone(zone_name)
    if place is UTC:
        return stored
    try:
        return stamp_text(parse(stored).replace(tzinfo=UTC).astimezone(place).replace(tzinfo=None))
    except OverflowError:
        raise _out_of_range() from None


def to_utc(stored: str, zone_name: str) -> str:
    """A zone's wall clock as UTC.  In a gap or an overlap the offset before the change holds, as in PostgreSQL."""
    if stored in INFINITE:
        return stored
    place = zone(zone_name)
    if place is UTC:
        return stored
    local = parse(stored)
    offset = utc_offset(place, local)
    try:
        return stamp_text(local - offset)
    except OverflowError:
        raise _out_of_range() from None


def timestamptz_text(stored: str, zone_name: str) -> str:
    if stored in INFINITE:
        return stored
    try:
        local = parse(stored).replace(tzinfo=UTC).astimezone(zone(zone_name))
    except OverflowError:
        raise _out_of_range() from None
    return stamp_text(local.replace(tzinfo=None)) + _offset(local)


def _offset(local: datetime) -> str:
    return offset_text(round((local.utcoffset() or timedelta()).total_seconds()))


def timestamptz_json(stored: str, zone_name: str) -> str:
    if stored in INFINITE:
        return f'"{stored}"'
    local = parse(stored).replace(tzinfo=UTC).astimezone(zone(zone_name))
    offset = _offset(local)
    if ":" not in offset:
        offset += ":00"
    return f'"{stamp_text(local.replace(tzinfo=None)).replace(" ", "T")}{offset}"'


# -- Arithmetic --------------------------------------------------------------------------------------------


def add_months(moment: datetime, months: int) -> datetime:
    total = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        raise _out_of_range()
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def shifted(moment: datetime, value: Interval) -> datetime:
    try:
        return add_months(moment, value.months) + timedelta(days=value.days, microseconds=value.microseconds)
    except OverflowError:
        raise _out_of_range() from None


def add_interval(stored: str, interval: str, sign: int, zone_name: str) -> str:
    """Months and days count on the zone's calendar, hours on the clock."""
    if stored in INFINITE:
        return stored
    value = read_interval(interval)
    if sign < 0:
        value = intervals.negated(value)
    if (value.months or value.days) and zone(zone_name) is not UTC:
        local = parse(to_local(stored, zone_name))
        stored = to_utc(stamp_text(shifted(local, Interval(value.months, value.days, 0))), zone_name)
        value = Interval(0, 0, value.microseconds)
    return stamp_text(shifted(parse(stored), value))


def subtract(a: str, b: str) -> str:
    """The interval between two timestamps: days and a time, never months."""
    if a in INFINITE or b in INFINITE:
        raise DatetimeOutOfRange("cannot subtract infinite timestamps")
    difference = microseconds_since_epoch(parse(a)) - microseconds_since_epoch(parse(b))
    days = abs(difference) // DAY * (-1 if difference < 0 else 1)
    return intervals.text(Interval(0, days, difference - days * DAY))


def days_between(a: str, b: str) -> int:
    if a in INFINITE or b in INFINITE:
        raise DatetimeOutOfRange("cannot subtract infinite dates")
    return (parse(a) - parse(b)).days


def add_days(stored: str, days: int) -> str:
    if stored in INFINITE:
        return stored
    try:
        return (parse(stored) + timedelta(days=days)).date().isoformat()
    except OverflowError:
        raise DatetimeOutOfRange("date out of range") from None


def add_to_time(stored: str, interval: str, sign: int) -> str:
    return time_text((time_microseconds(stored) + sign * read_interval(interval).microseconds) % DAY)


def age(later: str, earlier: str) -> str:
    """Years, months, days and a time: symbolic, as one counts birthdays."""
    if later in INFINITE or earlier in INFINITE:
        raise DatetimeOutOfRange("cannot take the age of infinite timestamps")
    one, other = parse(later), parse(earlier)
    if one < other:
        return intervals.text(intervals.negated(_age(other, one)))
    return intervals.text(_age(one, other))


def _age(later: datetime, earlier: datetime) -> Interval:
    months = (later.year - earlier.year) * 12 + later.month - earlier.month
    days = later.day - earlier.day
    clock = (later - later.replace(hour=0, minute=0, second=0, microsecond=0)) - (
        earlier - earlier.replace(hour=0, minute=0, second=0, microsecond=0)
    )
    microseconds = round(clock / timedelta(microseconds=1))
    if microseconds < 0:
        microseconds += DAY
        days -= 1
    if days < 0:
        days += monthrange(earlier.year, earlier.month)[1]
        months -= 1
    return Interval(months, days, microseconds)


def round_seconds(stored: str, digits: int) -> str:
    """timestamp(n), time(n): half rounds up."""
    if stored in INFINITE:
        return stored
    unit = 10 ** (6 - digits)
    if " " not in stored and "-" not in stored:
        body, zone_text = stored, ""
        match = re.match(r"^([\d:.]+)([+-].*)?$", stored)
        if match is not None:
            body, zone_text = match.group(1), match.group(2) or ""
        rounded = (time_microseconds(body) + unit // 2) // unit * unit
        return time_text(rounded) + zone_text
    whole = microseconds_since_epoch(parse(stored))
    return stamp_text(from_microseconds((whole + unit // 2) // unit * unit))


# -- Making and reading ------------------------------------------------------------------------------------


def make_date(year: int, month: int, day: int) -> str:
    try:
        return datetime(year, month, day, tzinfo=UTC).date().isoformat()
    except ValueError:
        raise DatetimeOutOfRange(f"date field value out of range: {year}-{month:02d}-{day:02d}") from None


def make_time(hour: int, minute: int, second: float) -> str:
    whole = hour * HOUR + minute * MINUTE + round(second * SECOND)
    if not (0 <= hour <= 24 and 0 <= minute < 60 and 0 <= second <= 60 and whole <= DAY):
        raise DatetimeOutOfRange(f"time field value out of range: {hour}:{minute:02d}:{second:02g}")
    return time_text(whole)


def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> str:
    start = parse(make_date(year, month, day))
    return stamp_text(start + timedelta(microseconds=time_microseconds(make_time(hour, minute, second))))


def bin_to(interval: str, stored: str, origin: str) -> str:
    value = read_interval(interval)
    if value.months:
        raise FeatureNotSupported("timestamps cannot be binned into intervals containing months or years")
    width = value.days * DAY + value.microseconds
    if width <= 0:
        raise DatetimeOutOfRange("stride must be greater than zero")
    start = microseconds_since_epoch(parse(origin))
    moment = microseconds_since_epoch(parse(stored))
    return stamp_text(from_microseconds(start + (moment - start) // width * width))


def from_epoch(seconds: float) -> str:
    if seconds in (float("inf"), float("-inf")):
        return "infinity" if seconds > 0 else "-infinity"
    return stamp_text(from_microseconds(round(seconds * SECOND)))


_UTC: Final = Reading(zone=zones.named)


def read_date(source: str) -> str:
    return parse_date(source, _UTC)


def read_timestamp(source: str) -> str:
    return parse_timestamp(source, _UTC)


def read_timestamptz(source: str, zone_name: str) -> str:
    return parse_timestamptz(source, Reading(zone(zone_name), zones.named))


def read_time(source: str) -> str:
    return parse_time(source, _UTC)


def interval_to_time(stored: str) -> str:
    return time_text(read_interval(stored).microseconds % DAY)


def timetz(stored: str, zone_name: str) -> str:
    return timestamptz_text(stored, zone_name)[11:]


def timetz_key(stored: str) -> int:
    match = re.match(r"^([\d:.]+)([+-])(\d+)(?::(\d+))?(?::(\d+))?$", stored)
    if match is None:
        raise InvalidDatetime(f'invalid input syntax for type time with time zone: "{stored}"')
    clock, sign, hours, minutes, seconds = match.groups()
    offset = int(hours) * HOUR + int(minutes or 0) * MINUTE + int(seconds or 0) * SECOND
    return time_microseconds(clock) - (offset if sign == "+" else -offset)


def overlaps(a: str, b: str, c: str, d: str) -> int:
    one, other = sorted((a, b)), sorted((c, d))
    return int(one[0] < other[1] and other[0] < one[1])


SCALARS: Final = {
    "lfsql_to_local": to_local,
    "lfsql_to_utc": to_utc,
    "lfsql_timestamptz_text": timestamptz_text,
    "lfsql_timestamptz_json": timestamptz_json,
    "lfsql_timestamp_add": add_interval,
    "lfsql_timestamp_subtract": subtract,
    "lfsql_days_between": days_between,
    "lfsql_date_add": add_days,
    "lfsql_time_add": add_to_time,
    "lfsql_time_to_interval": lambda stored: intervals.text(Interval(0, 0, time_microseconds(stored))),
    "lfsql_interval_to_time": interval_to_time,
    "lfsql_timetz": timetz,
    "lfsql_timetz_key": timetz_key,
    "lfsql_timetz_to_time": lambda stored: re.split("[+-]", stored)[0],
    "lfsql_round_seconds": round_seconds,
    "lfsql_age": age,
    "lfsql_epoch_to_timestamp": from_epoch,
    "lfsql_text_to_date": read_date,
    "lfsql_text_to_timestamp": read_timestamp,
    "lfsql_text_to_timestamptz": read_timestamptz,
    "lfsql_text_to_time": read_time,
    "lfsql_overlaps": overlaps,
    "date_bin": bin_to,
    "make_date": make_date,
    "make_time": make_time,
    "make_timestamp": make_timestamp,
}
