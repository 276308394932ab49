"""interval: months, days and microseconds, kept as the text PostgreSQL prints."""

from __future__ import annotations

from typing import Any, Final

from lfsql.errors import DatetimeOutOfRange, DivisionByZero, InvalidParameterValue
from lfsql.values.intervals import DAY, HOUR, MINUTE, SECOND, Interval, interval_text, parse_interval, read_interval

MONTH_DAYS: Final = 30


def negated(value: Interval) -> Interval:
    return Interval(-value.months, -value.days, -value.microseconds)


def text(value: Interval) -> str:
    """As PostgreSQL prints it.  Raises DatetimeOutOfRange."""
    months, days, microseconds = value
    if abs(months) >= 2**31 or abs(days) >= 2**31 or abs(microseconds) >= 2**63:
        raise DatetimeOutOfRange("interval out of range")
    return interval_text(value)


def span(value: Interval) -> int:
    """Microseconds for comparison: a month is 30 days."""
    return (value.months * MONTH_DAYS + value.days) * DAY + value.microseconds


def key(stored: str) -> bytes | int:
    whole = span(read_interval(stored))
    if -(2**63) <= whole < 2**63:
        return whole
    raise DatetimeOutOfRange("interval out of range")


def add(a: str, b: str) -> str:
    one, other = read_interval(a), read_interval(b)
    return text(Interval(*(x + y for x, y in zip(one, other, strict=True))))


def subtract(a: str, b: str) -> str:
    one, other = read_interval(a), read_interval(b)
    return text(Interval(*(x - y for x, y in zip(one, other, strict=True))))


def scaled(value: Interval, factor: float) -> Interval:
    """Months and days that do not come out whole spill into days and microseconds."""
    months = value.months * factor
    days = value.days * factor
    whole_months, whole_days = int(months), int(days)
    spill_days = (months - whole_months) * MONTH_DAYS
    spill_days = round(spill_days * SECOND) / SECOND
    seconds = ((days - whole_days) + (spill_days - int(spill_days))) * 86400
    seconds = round(seconds * SECOND) / SECOND
    if abs(seconds) >= 86400:
        whole_days += int(seconds / 86400)
        seconds -= int(seconds / 86400) * 86400
    whole_days += int(spill_days)
    return Interval(whole_months, whole_days, round(value.microseconds * factor + seconds * SECOND))


def multiply(a: str, factor: float) -> str:
    return text(scaled(read_interval(a), float(factor)))


def divide(a: str, divisor: float) -> str:
    if divisor == 0:
        raise DivisionByZero("division by zero")
    return text(scaled(read_interval(a), 1 / float(divisor)))


def justify_hours(stored: str) -> str:
    value = read_interval(stored)
    days, rest = _carried(value.microseconds, DAY)
    total = value.days + days
    if total > 0 and rest < 0:
        total, rest = total - 1, rest + DAY
    elif total < 0 and rest > 0:
        total, rest = total + 1, rest - DAY
    return text(Interval(value.months, total, rest))


def justify_days(stored: str) -> str:
    value = read_interval(stored)
    months, days = _carried(value.days, MONTH_DAYS)
    total = value.months + months
    if total > 0 and days < 0:
        total, days = total - 1, days + MONTH_DAYS
    elif total < 0 and days > 0:
        total, days = total + 1, days - MONTH_DAYS
    return text(Interval(total, days, value.microseconds))


def _carried(amount: int, size: int) -> tuple[int, int]:
    whole = abs(amount) // size * (-1 if amount < 0 else 1)
    return whole, amount - whole * size


def justify(stored: str) -> str:
    value = read_interval(stored)
    whole = span(value)
    sign = -1 if whole < 0 else 1
    days, microseconds = divmod(abs(whole), DAY)
    months, days = divmod(days, MONTH_DAYS)
    return text(Interval(sign * months, sign * days, sign * microseconds))


def make(years: int, months: int, weeks: int, days: int, hours: int, minutes: int, seconds: float) -> str:
    return text(
        Interval(
            years * 12 + months, weeks * 7 + days, hours * HOUR + minutes * MINUTE + round(float(seconds) * SECOND)
        )
    )


def fields(value: Interval) -> tuple[int, int, int, int, int, int]:
    """years, months, days, hours, minutes, microseconds of the minute; each has the sign of its part."""
    years, months = _carried(value.months, 12)
    hours, rest = _carried(value.microseconds, HOUR)
    minutes, rest = _carried(rest, MINUTE)
    return years, months, value.days, hours, minutes, rest


_TRUNCATED: Final = {
    "microseconds": 6, "milliseconds": 6, "second": 5, "minute": 4, "hour": 3, "day": 2, "month": 1, "quarter": 1,
    "year": 0, "decade": 0, "century": 0, "millennium": 0,
}  # fmt: skip


def truncate(field: str, stored: str) -> str:
    unit = field.lower().rstrip("s") if field.lower() not in ("microseconds", "milliseconds") else field.lower()
    if unit not in _TRUNCATED:
        raise InvalidParameterValue(f'unit "{field}" not recognized for type interval')
    value = read_interval(stored)
    years, months, days, hours, minutes, rest = fields(value)
    kept = _TRUNCATED[unit]
    if unit in ("decade", "century", "millennium"):
        size = {"decade": 10, "century": 100, "millennium": 1000}[unit]
        years = _carried(years, size)[0] * size
    if unit == "quarter":
        months = _carried(months, 3)[0] * 3
    if kept == 5:
        rest = _carried(rest, SECOND)[0] * SECOND
    if unit == "milliseconds":
        rest = _carried(rest, 1000)[0] * 1000
    return text(
        Interval(
            years * 12 + (months if kept >= 1 else 0),
            days if kept >= 2 else 0,
            (hours * HOUR if kept >= 3 else 0) + (minutes * MINUTE if kept >= 4 else 0) + (rest if kept >= 5 else 0),
        )
    )


def greatest(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return max(known, key=lambda value: span(read_interval(value))) if known else None


def least(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return min(known, key=lambda value: span(read_interval(value))) if known else None


SCALARS: Final = {
    "lfsql_interval_key": key,
    "lfsql_interval_add": add,
    "lfsql_interval_subtract": subtract,
    "lfsql_interval_multiply": multiply,
    "lfsql_interval_divide": divide,
    "lfsql_interval_trunc": truncate,
    "lfsql_text_to_interval": parse_interval,
    "justify_hours": justify_hours,
    "justify_days": justify_days,
    "justify_interval": justify,
    "make_interval": make,
}
SCALARS_WITH_NULLS: Final = {"lfsql_interval_greatest": greatest, "lfsql_interval_least": least}
