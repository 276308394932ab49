"""interval: from literals to PostgreSQL's own text (IntervalStyle postgres), which SQLite holds.

An interval is months, days and microseconds, three numbers that never convert into each other by themselves.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from lfsql.errors import DatetimeOutOfRange, IntervalOutOfRange, InvalidDatetime
from lfsql.values.datetime_literals import fraction_microseconds

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_UNITS: Final[dict[str, str]] = {
    form: unit
    for unit, forms in (
        ("microsecond", ("us", "usec", "usecs", "usecond", "useconds", "microsecond", "microseconds", "microsecon")),
        ("millisecond", ("ms", "msec", "msecs", "msecond", "mseconds", "millisecond", "milliseconds", "millisecon")),
        ("second", ("s", "sec", "secs", "second", "seconds")),
        ("minute", ("m", "min", "mins", "minute", "minutes")),
        ("hour", ("h", "hr", "hrs", "hour", "hours")),
        ("day", ("d", "day", "days")),
        ("week", ("w", "week", "weeks")),
        ("month", ("mon", "mons", "month", "months")),
        ("year", ("y", "yr", "yrs", "year", "years")),
        ("decade", ("dec", "decs", "decade", "decades")),
        ("century", ("c", "cent", "century", "centuries")),
        ("millennium", ("mil", "mils", "millennium", "millennia")),
    )
    for form in forms
}
_MICROSECONDS: Final = {"microsecond": 1, "millisecond": 1000, "second": SECOND, "minute": MINUTE, "hour": HOUR}
_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"year": 12, "decade": 120, "century": 1200, "millennium": 12000}

_STORED: Final = re.compile(
    r"(?:([+-]?\d+) years?(?: |$))?(?:([+-]?\d+) mons?(?: |$))?(?:([+-]?\d+) days?(?: |$))?"
    r"(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?",
    re.ASCII,
)
_FIELD: Final = re.compile(
    r"""\s*(?:
      (?P<time>[+-]?\d+:\d+(?::\d+(?:\.\d*)?|\.\d+)?(?![\d:]))
    | (?P<year_month>[+-]?\d+-\d+(?![\d-]))
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?!\d*-))
    | (?P<word>[a-z]+)
    | (?P<noise>[@,])
    )""",
    re.ASCII | re.VERBOSE,
)
_ISO_FIELD: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([YMWDHS])", re.ASCII)
_ISO_ALTERNATIVE: Final = re.compile(
    r"P([+-]?\d+)-([+-]?\d+)-([+-]?\d+)(?:T([+-]?\d+):([+-]?\d+):([+-]?\d+(?:\.\d+)?))?", re.ASCII
)
_ISO_DATE_UNITS: Final = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_ISO_TIME_UNITS: Final = {"H": "hour", "M": "minute", "S": "second"}


class Interval(NamedTuple):
    months: int = 0
    days: int = 0
    microseconds: int = 0


class _Sum:
    """What has been read so far."""

    def __init__(self) -> None:
        self.months = 0
        self.days = 0
        self.microseconds = 0

    def interval(self, sign: int = 1) -> Interval:
        return Interval(sign * self.months, sign * self.days, sign * self.microseconds)

    def add(self, number: str, unit: str) -> None:
        """`number` of `unit`; a fraction spills into the smaller fields as in PostgreSQL."""
        whole, fraction = _split_number(number)
        if unit in _MICROSECONDS:
            size = _MICROSECONDS[unit]
            self.microseconds += whole * size + _spill(fraction, size)
        elif unit in _DAYS:
            size = _DAYS[unit]
            self.days += whole * size
            self._add_days(fraction * size)
        elif unit == "month":
            self.months += whole
            self._add_days(fraction * 30)
        else:
            size = _MONTHS[unit]
            self.months += whole * size + round(fraction * size)

    def _add_days(self, days: float) -> None:
        self.days += int(days)
        self.microseconds += _spill(days - int(days), DAY)


def _split_number(number: str) -> tuple[int, float]:
    """The whole part and the fraction, both with the number's sign."""
    whole, _, fraction = number.partition(".")
    if len(whole) > 20:
        raise OverflowError
    digits = whole.strip("+-")
    part = float(f"0.{fraction}") if fraction else 0.0
    if whole.startswith("-"):
        return -int(digits or 0), -part
    return int(digits or 0), part


def _spill(fraction: float, size: int) -> int:
    """`fraction` of `size` microseconds, halves towards zero."""
    exact_size = fraction * size
    whole = int(exact_size)
    rest = exact_size - whole
    if rest > 0.5:
        whole += 1
    elif rest < -0.5:
        whole -= 1
    return whole


def _bad(text: str) -> InvalidDatetime:
    return InvalidDatetime(f'invalid input syntax for type interval: "{text}"')


def _checked(interval: Interval, text: str) -> Interval:
    if not -(1 << 31) <= interval.months < 1 << 31:
        raise DatetimeOutOfRange("interval out of range")
    if not (-(1 << 31) <= interval.days < 1 << 31 and -(1 << 63) <= interval.microseconds < 1 << 63):
        raise IntervalOutOfRange(f'interval field value out of range: "{text}"')
    return interval


def _clock(text: str, whole_text: str) -> int:
    """[-]HH:MM[:SS[.f]] to microseconds; MM:SS.f is read as such."""
    sign = -1 if text[0] == "-" else 1
    clock, _, fraction = text.lstrip("+-").partition(".")
    pieces = clock.split(":")
    if any(len(piece) > 12 for piece in pieces):
        raise OverflowError
    numbers = [int(piece) for piece in pieces]
    if len(numbers) == 2:
        numbers = [0, *numbers] if fraction else [*numbers, 0]
    hours, minutes, seconds = numbers
    if minutes > 59 or seconds > 60:
        raise IntervalOutOfRange(f'interval field value out of range: "{whole_text}"')
    part = fraction_microseconds(fraction) if fraction else 0
    return sign * ((hours * 60 + minutes) * MINUTE + seconds * SECOND + part)


def _read_iso(text: str) -> Interval:
    total = _Sum()
    alternative = _ISO_ALTERNATIVE.fullmatch(text)
    if alternative is not None:
        given = [piece or "0" for piece in alternative.groups()]
        for number, unit in zip(given, ("year", "month", "day", "hour", "minute", "second"), strict=True):
            total.add(number, unit)
        return total.interval()
    dates, separator, times = text[1:].partition("T")
    if not (dates or times) or (separator and not times):
        raise _bad(text)
    for part, units in ((dates, _ISO_DATE_UNITS), (times, _ISO_TIME_UNITS)):
        position = 0
        while position < len(part):
            match = _ISO_FIELD.match(part, position)
            if match is None or match[2] not in units:
                raise _bad(text)
            total.add(match[1], units[match[2]])
            position = match.end()
    return total.interval()


def _read_fields(text: str) -> Interval:
    """Fields are read from the right, as a unit stands behind its number and a bare number before a time is days."""
    fields: list[tuple[str, str]] = []
    lowered = text.strip().lower()
    position = 0
    while position < len(lowered):
        match = _FIELD.match(lowered, position)
        if match is None or match.lastgroup is None:
            raise _bad(text)
        fields.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    total = _Sum()
    seen: set[str] = set()
    unit = ""
    ago = False
    for kind, field in reversed(fields):
        given = kind
        if kind == "word":
            if field == "ago":
                if ago or unit:
                    raise _bad(text)
                ago = True
                continue
            if unit or field not in _UNITS:
                raise _bad(text)
            unit = _UNITS[field]
            continue
        if kind == "noise":
            continue
        if kind == "time":
            if unit not in ("", "day", "hour", "minute", "second"):
                raise _bad(text)
            total.microseconds += _clock(field, text)
            given = "hour"
        elif kind == "year_month":
            years, months = field.lstrip("+-").split("-")
            if len(years) > 12 or int(months) > 11:
                raise IntervalOutOfRange(f'interval field value out of range: "{text}"')
            given_months = int(years) * 12 + int(months)
            total.months += -given_months if field[0] == "-" else given_months
            given = "year"
        else:
            given = unit or ("day" if "time" in seen else "second")
            total.add(field, given)
        if given in seen:
            raise _bad(text)
        seen.add(given)
        seen.add(kind)
        seen.discard("number")
        unit = ""
    if not seen or unit:
        raise _bad(text)
    return total.interval(-1 if ago else 1)


def read_interval(text: str) -> Interval:
    """Any literal, stored text included.  Raises InvalidDatetime, DatetimeOutOfRange."""
    match = _STORED.fullmatch(text) if text else None
    if match is not None:
        years, months, days, sign, hours, minutes, seconds, fraction = match.groups()
        if minutes is None or int(minutes) < 60:
            microseconds = 0
            if hours is not None:
                if len(hours) > 12:
                    raise IntervalOutOfRange(f'interval field value out of range: "{text}"')
                microseconds = (int(hours) * 60 + int(minutes)) * MINUTE + int(seconds) * SECOND
                microseconds += int((fraction or "").ljust(6, "0"))
            if max(len(piece or "") for piece in (years, months, days)) < 20:
                interval = Interval(
                    int(years or 0) * 12 + int(months or 0),
                    int(days or 0),
                    -microseconds if sign == "-" else microseconds,
                )
                return _checked(interval, text)
    try:
        stripped = text.strip()
        return _checked(_read_iso(stripped) if stripped.startswith("P") else _read_fields(text), text)
    except OverflowError:
        raise IntervalOutOfRange(f'interval field value out of range: "{text}"') from None


def truncated_divmod(number: int, size: int) -> tuple[int, int]:
    """As C divides: both results with the number's sign."""
    quotient, rest = divmod(abs(number), size)
    return (-quotient, -rest) if number < 0 else (quotient, rest)


def interval_text(interval: Interval) -> str:
    """IntervalStyle postgres: '1 year 2 mons -3 days +04:05:06.7'."""
    pieces: list[str] = []
    negative = False
    years, months = truncated_divmod(interval.months, 12)
    for number, name in ((years, "year"), (months, "mon"), (interval.days, "day")):
        if number:
            plus = "+" if negative and number > 0 else ""
            pieces.append(f"{plus}{number} {name}{'' if number == 1 else 's'}")
            negative = number < 0
    if interval.microseconds or not pieces:
        seconds, fraction = divmod(abs(interval.microseconds), SECOND)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        sign = "-" if interval.microseconds < 0 else "+" if negative else ""
        clock = f"{sign}{hours:02d}:{minute:02d}:{second:02d}"
        pieces.append(f"{clock}.{fraction:06d}".rstrip("0") if fraction else clock)
    return " ".join(pieces)


def parse_interval(text: str) -> str:
    return interval_text(read_interval(text))
