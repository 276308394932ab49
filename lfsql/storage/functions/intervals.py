"""interval: months, days and microseconds, kept as the text PostgreSQL prints."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from lfsql.errors import DatetimeOutOfRange, DivisionByZero, InvalidDatetime, InvalidParameterValue

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
MONTH_DAYS: Final = 30


class Interval(NamedTuple):
    months: int
    days: int
    microseconds: int


_PART = re.compile(
    r"\s*(?:([+-])?(\d+):(\d+)(?::(\d+(?:\.\d*)?))?|([+-]?\s*(?:\d+(?:\.\d*)?|\.\d+))\s*([a-zA-Z]+)?|(ago|@))"
)
_ISO = re.compile(
    r"^(-)?P(?:([-+\d.]+)Y)?(?:([-+\d.]+)M)?(?:([-+\d.]+)W)?(?:([-+\d.]+)D)?"
    r"(?:T(?:([-+\d.]+)H)?(?:([-+\d.]+)M)?(?:([-+\d.]+)S)?)?$",
    re.IGNORECASE,
)
_UNITS: Final[dict[str, tuple[str, int]]] = {
    word: meaning
    for words, meaning in (
        ("us usec usecs usecond useconds microsecond microseconds", ("us", 1)),
        ("ms msec msecs msecond mseconds millisecond milliseconds", ("us", 1000)),
        ("s sec secs second seconds", ("us", SECOND)),
        ("m min mins minute minutes", ("us", MINUTE)),
        ("h hr hrs hour hours", ("us", HOUR)),
        ("d day days", ("days", 1)),
        ("w week weeks", ("days", 7)),
        ("mon mons month months", ("months", 1)),
        ("y yr yrs year years", ("months", 12)),
        ("decade decades dec decs", ("months", 120)),
        ("century centuries cent c", ("months", 1200)),
        ("millennium millennia mil mils", ("months", 12000)),
    )
    for word in words.split()
}


def _bad(text: str) -> InvalidDatetime:
    return InvalidDatetime(f'invalid input syntax for type interval: "{text}"')


def _spread(amount: float, kind: str, size: int) -> tuple[int, int, float]:
    """An amount of a unit as months, days and microseconds: fractions spill downwards, 30 days a month."""
    if kind == "us":
        return 0, 0, amount * size
    if kind == "days":
        total = amount * size
        whole = int(total)
        return 0, whole, (total - whole) * DAY
    total = amount * size
    months = int(total)
    if size >= 12:
        return int(total + (0.5 if total > 0 else -0.5)) if total != months else months, 0, 0
    days = (total - months) * MONTH_DAYS
    whole = int(days)
    return months, whole, (days - whole) * DAY


def read(text: str) -> Interval:
    """Raises InvalidDatetime."""
    stripped = text.strip()
    iso = _ISO.match(stripped)
    months, days, microseconds = 0, 0, 0.0
    if iso is not None and len(stripped) > 1:
        sign = -1 if iso.group(1) else 1
        units = ("year", "month", "week", "day", "hour", "minute", "second")
        for amount, unit in zip(iso.groups()[1:], units, strict=True):
            if amount is not None:
                m, d, u = _spread(float(amount) * sign, *_UNITS[unit])
                months, days, microseconds = months + m, days + d, microseconds + u
        return Interval(months, days, round(microseconds))
    at, found, backwards = 0, False, False
    while at < len(stripped):
        match = _PART.match(stripped, at)
        if match is None or match.end() == at:
            raise _bad(text)
        at = match.end()
        sign_text, hours, minutes, seconds, amount, unit, word = match.groups()
        if word == "ago":
            backwards = True
            continue
        if word == "@":
            continue
        found = True
        if hours is not None:
            sign = -1 if sign_text == "-" else 1
            microseconds += sign * (int(hours) * HOUR + int(minutes) * MINUTE + round(float(seconds or 0) * SECOND))
            continue
        meaning = _UNITS.get((unit or "second").lower())
        if meaning is None:
            raise _bad(text)
        number = float(amount.replace(" ", ""))
        m, d, u = _spread(number, *meaning)
        months, days, microseconds = months + m, days + d, microseconds + u
    if not found:
        raise _bad(text)
    result = Interval(months, days, round(microseconds))
    return negated(result) if backwards else result


def negated(value: Interval) -> Interval:
    return Interval(-value.months, -value.days, -value.microseconds)


def text(value: Interval) -> str:
    """As PostgreSQL prints it (IntervalStyle postgres).  Raises DatetimeOutOfRange."""
    months, days, microseconds = value
    if abs(months) >= 2**31 or abs(days) >= 2**31 or abs(microseconds) >= 2**63:
        raise DatetimeOutOfRange("interval out of range")
    parts: list[str] = []
    years = abs(months) // 12 * (-1 if months < 0 else 1)
    rest = months - years * 12
    before_negative = False
    for amount, word in ((years, "year"), (rest, "mon"), (days, "day")):
        if amount:
            sign = "+" if before_negative and amount > 0 else ""
            parts.append(f"{sign}{amount} {word}{'' if amount == 1 else 's'}")
            before_negative = amount < 0
    if microseconds or not parts:
        sign = "-" if microseconds < 0 else "+" if before_negative else ""
        hours, remaining = divmod(abs(microseconds), HOUR)
        minutes, remaining = divmod(remaining, MINUTE)
        seconds, fraction = divmod(remaining, SECOND)
        shown = f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}"
        if fraction:
            shown += f".{fraction:06d}".rstrip("0")
        parts.append(shown)
    return " ".join(parts)


def span(value: Interval) -> int:
    """Microseconds for comparison: a month is 30 days."""
    return (value.months * MONTH_DAYS + value.days) * DAY + value.microseconds


def key(stored: str) -> bytes | int:
    whole = span(read(stored))
    if -(2**63) <= whole < 2**63:
        return whole
    raise DatetimeOutOfRange("interval out of range")


def add(a: str, b: str) -> str:
    one, other = read(a), read(b)
    return text(Interval(*(x + y for x, y in zip(one, other, strict=True))))


def subtract(a: str, b: str) -> str:
    one, other = read(a), read(b)
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
    return text(scaled(read(a), float(factor)))


def divide(a: str, divisor: float) -> str:
    if divisor == 0:
        raise DivisionByZero("division by zero")
    return text(scaled(read(a), 1 / float(divisor)))


def justify_hours(stored: str) -> str:
    value = read(stored)
    days, rest = _carried(value.microseconds, DAY)
    total = value.days + days
    if total > 0 and rest < 0:
        total, rest = total - 1, rest + DAY
    elif total < 0 and rest > 0:
        total, rest = total + 1, rest - DAY
    return text(Interval(value.months, total, rest))


def justify_days(stored: str) -> str:
    value = read(stored)
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
    value = read(stored)
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
    value = read(stored)
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
    return max(known, key=lambda value: span(read(value))) if known else None


def least(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return min(known, key=lambda value: span(read(value))) if known else None


SCALARS: Final = {
    "lfsql_interval_key": key,
    "lfsql_interval_add": add,
    "lfsql_interval_subtract": subtract,
    "lfsql_interval_multiply": multiply,
    "lfsql_interval_divide": divide,
    "lfsql_interval_trunc": truncate,
    "lfsql_text_to_interval": lambda source: text(read(source)),
    "justify_hours": justify_hours,
    "justify_days": justify_days,
    "justify_interval": justify,
    "make_interval": make,
}
SCALARS_WITH_NULLS: Final = {"lfsql_interval_greatest": greatest, "lfsql_interval_least": least}
