"""extract, date_part and date_trunc: the fields of dates, times, timestamps and intervals.

extract gives numeric with the zeros PostgreSQL prints (seconds to the microsecond), date_part the same as a float.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any, Final

from lfsql.errors import FeatureNotSupported, InvalidParameterValue
from lfsql.storage.functions import decimals, intervals
from lfsql.storage.functions.moments import (
    INFINITE,
    JULIAN_EPOCH,
    microseconds_since_epoch,
    parse,
    zone,
)
from lfsql.values.datetimes import stamp_text, time_microseconds
from lfsql.values.intervals import DAY, HOUR, MINUTE, SECOND, read_interval

_SYNONYMS: Final = {
    word: unit
    for words, unit in (
        ("microseconds microsecond us usec usecs useconds", "microseconds"),
        ("milliseconds millisecond ms msec msecs mseconds", "milliseconds"),
        ("second seconds s sec secs", "second"),
        ("minute minutes m min mins", "minute"),
        ("hour hours h hr hrs", "hour"),
        ("day days d", "day"),
        ("week weeks w", "week"),
        ("month months mon mons", "month"),
        ("quarter qtr", "quarter"),
        ("year years y yr yrs", "year"),
        ("decade decades dec decs", "decade"),
        ("century centuries cent c", "century"),
        ("millennium millennia mil mils", "millennium"),
    )
    for word in words.split()
}


def unit_of(field: str) -> str:
    lowered = field.strip().lower()
    return _SYNONYMS.get(lowered, lowered)


def truncate(field: str, stored: str) -> str:
    if stored in INFINITE:
        return stored
    unit, moment = unit_of(field), parse(stored)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "microseconds":
        return stored
    if unit == "milliseconds":
        return stamp_text(moment.replace(microsecond=moment.microsecond // 1000 * 1000))
    if unit == "second":
        return stamp_text(moment.replace(microsecond=0))
    if unit == "minute":
        return stamp_text(moment.replace(second=0, microsecond=0))
    if unit == "hour":
        return stamp_text(moment.replace(minute=0, second=0, microsecond=0))
    if unit == "day":
        return stamp_text(midnight)
    if unit == "week":
        return stamp_text(midnight - timedelta(days=moment.weekday()))
    first = midnight.replace(day=1)
    if unit == "month":
        return stamp_text(first)
    if unit == "quarter":
        return stamp_text(first.replace(month=(moment.month - 1) // 3 * 3 + 1))
    year = moment.year
    if unit == "decade":
        year = max(year // 10 * 10, 1)
    elif unit == "century":
        year = (year - 1) // 100 * 100 + 1
    elif unit == "millennium":
        year = (year - 1) // 1000 * 1000 + 1
    elif unit != "year":
        raise InvalidParameterValue(f'unit "{field}" not recognized for type timestamp without time zone')
    return stamp_text(first.replace(month=1, year=year))


def _fixed(microseconds: int, digits: int) -> str:
    """Microseconds as seconds or milliseconds with their zeros, as extract() prints them."""
    return str(Decimal(microseconds).scaleb(-digits))


def extract(field: str, stored: str, offset: int = 0, kind: str = "timestamp without time zone") -> str | None:
    """A field of a wall clock, as numeric text; `offset`: its seconds east of UTC."""
    unit = unit_of(field)
    if stored in INFINITE:
        if unit in ("year", "decade", "century", "millennium", "julian", "isoyear", "epoch"):
            return "-Infinity" if stored.startswith("-") else "Infinity"
        return None
    moment = parse(stored)
    second = moment.second * SECOND + moment.microsecond
    if unit == "second":
        return _fixed(second, 6)
    if unit == "milliseconds":
        return _fixed(second, 3)
    if unit == "microseconds":
        return str(second)
    if unit == "epoch":
        return _fixed(microseconds_since_epoch(moment) - offset * SECOND, 6)
    if unit == "julian":
        whole = moment.toordinal() + JULIAN_EPOCH
        rest = (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(microseconds=1)
        if not rest:
            return str(whole)
        return decimals.add(str(whole), decimals.divide(str(int(rest)), str(DAY)))
    calendar = moment.isocalendar()
    year = moment.year
    plain: dict[str, int] = {
        "minute": moment.minute,
        "hour": moment.hour,
        "day": moment.day,
        "month": moment.month,
        "quarter": (moment.month - 1) // 3 + 1,
        "year": year,
        "decade": year // 10,
        "century": (year + 99) // 100,
        "millennium": (year + 999) // 1000,
        "week": calendar.week,
        "isoyear": calendar.year,
        "isodow": calendar.weekday,
        "dow": calendar.weekday % 7,
        "doy": moment.timetuple().tm_yday,
    }
    if kind.endswith("with time zone"):
        sign = -1 if offset < 0 else 1
        plain["timezone"] = offset
        plain["timezone_hour"] = sign * (abs(offset) // 3600)
        plain["timezone_minute"] = sign * (abs(offset) % 3600 // 60)
    if unit not in plain:
        known = unit in ("timezone", "timezone_hour", "timezone_minute")
        if known:
            raise FeatureNotSupported(f'unit "{field}" not supported for type {kind}')
        raise InvalidParameterValue(f'unit "{field}" not recognized for type {kind}')
    return str(plain[unit])


def extract_tz(field: str, stored: str, zone_name: str) -> str | None:
    if stored in INFINITE:
        return extract(field, stored)
    local = parse(stored).replace(tzinfo=UTC).astimezone(zone(zone_name))
    offset = round((local.utcoffset() or timedelta()).total_seconds())
    return extract(field, stamp_text(local.replace(tzinfo=None)), offset, "timestamp with time zone")


def extract_date(field: str, stored: str) -> str | None:
    unit = unit_of(field)
    if unit in ("microseconds", "milliseconds", "second", "minute", "hour"):
        raise FeatureNotSupported(f'unit "{field}" not supported for type date')
    if stored not in INFINITE:
        stored = f"{stored} 00:00:00"
    found = extract(field, stored, kind="date")
    return found.split(".")[0] if found is not None and unit == "epoch" else found


def extract_time(field: str, stored: str) -> str:
    unit, whole = unit_of(field), time_microseconds(stored)
    second = whole % MINUTE
    if unit == "second":
        return _fixed(second, 6)
    if unit == "milliseconds":
        return _fixed(second, 3)
    if unit == "microseconds":
        return str(second)
    if unit == "epoch":
        return _fixed(whole, 6)
    if unit == "minute":
        return str(whole % HOUR // MINUTE)
    if unit == "hour":
        return str(whole // HOUR)
    raise InvalidParameterValue(f'unit "{field}" not recognized for type time without time zone')


def extract_interval(field: str, stored: str) -> str:
    unit, value = unit_of(field), read_interval(stored)
    years, months, days, hours, minutes, rest = intervals.fields(value)
    if unit == "second":
        return _fixed(rest, 6)
    if unit == "milliseconds":
        return _fixed(rest, 3)
    if unit == "microseconds":
        return str(rest)
    if unit == "epoch":
        whole_years, whole_months = abs(value.months) // 12, abs(value.months) % 12
        seconds = whole_years * 31557600 + whole_months * 30 * 86400
        total = (seconds if value.months >= 0 else -seconds) + value.days * 86400
        return _fixed(total * SECOND + value.microseconds, 6)
    plain = {
        "minute": minutes,
        "hour": hours,
        "day": days,
        "month": months,
        "quarter": months // 3 + 1,
        "year": years,
        "decade": int(years / 10),
        "century": int(years / 100),
        "millennium": int(years / 1000),
    }
    if unit not in plain:
        raise InvalidParameterValue(f'unit "{field}" not recognized for type interval')
    return str(plain[unit])


def _as_float(function: Any) -> Any:
    def called(*values: Any) -> float | None:
        found = function(*values)
        return None if found is None else float(found)

    return called


SCALARS: Final = {
    "lfsql_extract": extract,
    "lfsql_extract_tz": extract_tz,
    "lfsql_extract_date": extract_date,
    "lfsql_extract_time": extract_time,
    "lfsql_extract_interval": extract_interval,
    "lfsql_date_part": _as_float(extract),
    "lfsql_date_part_tz": _as_float(extract_tz),
    "lfsql_time_part": _as_float(extract_time),
    "lfsql_interval_part": _as_float(extract_interval),
    "date_trunc": truncate,
}
