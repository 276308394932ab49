"""Date and time literals, as leniently as PostgreSQL reads them (DateStyle ISO, MDY).

A literal is cut into fields, then the fields are understood one after another, each by its shape and by what is
still missing, as in PostgreSQL's ParseDateTime and DecodeDateTime.  The result says which parts were given; what a
missing date or time means is for the type to decide (`lfsql.values.datetimes`).

Not taken, with PostgreSQL's own error for a malformed literal: Julian days (J2451187), day-of-year (2024.150),
years before 1 or after 9999, which SQLite's text order could not sort.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from lfsql.errors import DatetimeOutOfRange, InvalidDatetime, InvalidParameterValue, ZoneOutOfRange
from lfsql.values.reading import Reading

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        start=1,
    )
    for name in names
}
_DAYS: Final = frozenset(
    form
    for name, *short in (
        ("monday",),
        ("tuesday", "tues"),
        ("wednesday", "weds"),
        ("thursday", "thur", "thurs"),
        ("friday",),
        ("saturday",),
        ("sunday",),
    )
    for form in (name, name[:3], *short)
)
ABBREVIATIONS: Final = {
    # Hours east of Greenwich of the abbreviations in PostgreSQL's default set that people still write.
    "z": 0,
    "utc": 0,
    "gmt": 0,
    "ut": 0,
    "zulu": 0,
    "wet": 0,
    "bst": 1,
    "cet": 1,
    "cest": 2,
    "eet": 2,
    "eest": 3,
    "msk": 3,
    "jst": 9,
    "kst": 9,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
}
_SPECIAL: Final = frozenset(("infinity", "-infinity", "epoch", "now", "today", "tomorrow", "yesterday"))

_FIELD: Final = re.compile(
    r"""\s*(?:
      (?P<time>\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?(?![\d:]))
    | (?P<compact_date>\d{8})(?=[tT]|\s|$)
    | (?P<numbers>\d+[-/.][a-z0-9]+[-/.]\d+)
    | (?P<month_first>[a-z]+[-/.]\d+[-/.]\d+)
    | (?P<offset>[+-]\d{1,2}(?::?\d{2}(?::?\d{2})?)?(?![\d:]))
    | (?P<fraction>\d{6}\.\d+)
    | (?P<digits>\d+)
    | (?P<special>-?infinity)
    | (?P<zone_name>[a-z_]+(?:/[a-z_+0-9-]+)+|[a-z]{3,}\d+[a-z]{3,})
    | (?P<word>[a-z]+)
    | (?P<separator>[,@])
    )""",
    re.ASCII | re.VERBOSE | re.IGNORECASE,
)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(\.\d+)?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?)?)?", re.ASCII
)


@dataclass(slots=True)
class Parts:
    """What a literal says.  `special` excludes all else; `zone` is a tzinfo or seconds east of Greenwich."""

    special: str = ""
    year: int | None = None
    month: int = 0
    day: int = 0
    microseconds: int | None = None
    """Of the day; 24:00:00 is 86_400_000_000."""
    zone: tzinfo | int | None = None

    @property
    def has_date(self) -> bool:
        return self.year is not None


def bad(type_name: str, text: str) -> InvalidDatetime:
    return InvalidDatetime(f'invalid input syntax for type {type_name}: "{text}"')


def field_out_of_range(text: str) -> DatetimeOutOfRange:
    return DatetimeOutOfRange(f'date/time field value out of range: "{text}"')


def days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def fraction_microseconds(digits: str) -> int:
    """`digits` after the point, rounded to six as PostgreSQL's strtod and rint do."""
    return int(digits.ljust(6, "0")) if len(digits) <= 6 else round(float(f"0.{digits}") * 1_000_000)


def offset_seconds(text: str, whole_text: str = "") -> int:
    """'+05', '-0330', '+5:30:15' to seconds east.  Raises ZoneOutOfRange, which names `whole_text`."""
    digits = text[1:].replace(":", "")
    if len(digits) % 2:  # +530, -8:00
        digits = "0" + digits
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
    if hours > 15 or minutes > 59 or seconds > 59:
        raise ZoneOutOfRange(f'time zone displacement out of range: "{whole_text or text}"')
    total = hours * 3600 + minutes * 60 + seconds
    return -total if text[0] == "-" else total


class _Reader:
    """Understands the fields of one literal."""

    def __init__(self, text: str, type_name: str, settings: Reading, is_time: bool) -> None:
        self.text = text
        self.type_name = type_name
        self.settings = settings
        self.parts = Parts()
        self.numbers: list[str] = []
        self.month_first = False
        self.half_day = ""
        self.before_christ = False
        self.after_t = is_time
        self.t_seen = False

    def bad(self) -> InvalidDatetime:
        return bad(self.type_name, self.text)

    def read(self) -> Parts:
        position = 0
        end = len(self.text.rstrip())
        while position < end:
            match = _FIELD.match(self.text, position, end)
            if match is None or match.lastgroup is None:
                raise self.bad()
            getattr(self, f"_{match.lastgroup}")(match[match.lastgroup])
            position = match.end()
        if position == 0:
            raise self.bad()
        self._finish()
        return self.parts

    def _separator(self, _text: str) -> None:
        """Commas between fields mean nothing."""

    def _time(self, text: str) -> None:
        if self.parts.microseconds is not None:
            raise self.bad()
        whole, _, fraction = text.partition(".")
        hours, minutes, *seconds = (int(piece) for piece in whole.split(":"))
        self._set_time(hours, minutes, seconds[0] if seconds else 0, fraction)

    def _set_time(self, hours: int, minutes: int, seconds: int, fraction: str) -> None:
        part = fraction_microseconds(fraction) if fraction else 0
        late = hours > 24 or (hours == 24 and (minutes or seconds or part))
        if late or minutes > 59 or seconds > 60 or (seconds == 60 and part):
            raise field_out_of_range(self.text)
        self.parts.microseconds = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + part
        self.after_t = False

    def _compact_date(self, text: str) -> None:
        if self.parts.has_date or self.numbers:
            raise self.bad()
        self._set_date(text[:4], int(text[4:6]), int(text[6:]))

    def _numbers(self, text: str) -> None:
        """Three fields joined by -, / or . such as 2024-1-5, 1/5/2024, 5-jan-2024."""
        first, middle, last = re.split(r"[-/.]", text.lower(), maxsplit=2)
        if self.parts.has_date or not last.isdigit():
            raise self.bad()
        if middle in MONTHS:
            if len(first) > 2:
                self._set_date(first, MONTHS[middle], int(last))
            else:
                self._set_date(last, MONTHS[middle], int(first))
        elif not middle.isdigit():
            raise self.bad()
        elif len(first) > 2:
            self._set_date(first, int(middle), int(last))
        else:
            self._set_date(last, int(first), int(middle))

    def _month_first(self, text: str) -> None:
        name, day, year = re.split(r"[-/.]", text.lower(), maxsplit=2)
        if self.parts.has_date or name not in MONTHS:
            raise self.bad()
        self._set_date(year, MONTHS[name], int(day))

    def _offset(self, text: str) -> None:
        if self.parts.microseconds is None or isinstance(self.parts.zone, int):
            raise self.bad()
        self.parts.zone = offset_seconds(text, self.text)

    def _fraction(self, text: str) -> None:
        """040506.789 after a date or a T."""
        if self.parts.microseconds is not None:
            raise self.bad()
        self._set_time(int(text[:2]), int(text[2:4]), int(text[4:6]), text[7:])

    def _digits(self, text: str) -> None:
        complete = self.parts.has_date or len(self.numbers) >= 3
        if self.parts.microseconds is None and len(text) in (4, 6) and (complete or self.after_t):
            self._set_time(int(text[:2]), int(text[2:4]), int(text[4:6] or 0), "")
        elif len(text) > 8:
            raise field_out_of_range(self.text)
        elif len(text) == 6 and not self.numbers and not self.parts.month and not complete:
            self._set_date(text[:2], int(text[2:4]), int(text[4:]))
        elif self.parts.has_date or len(self.numbers) == 3:
            raise self.bad()
        else:
            self.numbers.append(text)

    def _special(self, text: str) -> None:
        if self.parts.special:
            raise self.bad()
        self.parts.special = text.lower()

    def _zone_name(self, text: str) -> None:
        self._named_zone(text)

    def _word(self, text: str) -> None:
        word = text.lower()
        if word in _SPECIAL:
            self._special(word)
        elif word in MONTHS:
            if self.parts.month:
                raise self.bad()
            self.parts.month = MONTHS[word]
            self.month_first = not self.numbers
        elif word == "allballs":
            self.parts.microseconds = 0
            self.parts.zone = 0
        elif word == "t" and not self.t_seen and (self.parts.has_date or not self.numbers):
            self.after_t = self.t_seen = True
        elif word in ("am", "pm"):
            self.half_day = word
        elif word in ("bc", "ad", "ce", "bce"):
            self.before_christ = word.startswith("b")
        elif word not in _DAYS and word not in ("at", "on"):
            self._named_zone(text)

    def _named_zone(self, name: str) -> None:
        if self.parts.zone is not None:
            raise self.bad()
        hours = ABBREVIATIONS.get(name.lower())
        if hours is not None:
            self.parts.zone = hours * 3600
            return
        found = self.settings.zone(name) if self.settings.zone is not None else None
        if found is None:
            if "/" in name:
                raise InvalidParameterValue(f'time zone "{name.lower()}" not recognized')
            raise self.bad()
        self.parts.zone = found

    def _set_date(self, year: str, month: int, day: int) -> None:
        number = int(year[:6])
        if len(year) <= 2:
            number += 2000 if number < 70 else 1900
        self.parts.year = number
        self.parts.month = month
        self.parts.day = day

    def _finish(self) -> None:
        parts = self.parts
        if parts.special:
            if parts.has_date or self.numbers or parts.month:
                raise self.bad()
            return
        if self.numbers or (parts.month and not parts.has_date):
            self._date_of_numbers()
        if self.half_day:
            self._apply_half_day()
        if parts.year is None:
            return
        if self.before_christ or not 1 <= parts.year <= 9999:
            if parts.year == 0:
                raise field_out_of_range(self.text)
            raise DatetimeOutOfRange(
                f'{self.type_name} out of range: "{self.text}"', hint="Years from 0001 to 9999 can be stored."
            )
        if not 1 <= parts.month <= 12:
            raise DatetimeOutOfRange(
                f'date/time field value out of range: "{self.text}"',
                hint='Perhaps you need a different "datestyle" setting.',
            )
        if not 1 <= parts.day <= days_in_month(parts.year, parts.month):
            raise field_out_of_range(self.text)

    def _date_of_numbers(self) -> None:
        """January 5, 2024; 5 January 2024; 2024 January 5."""
        if self.parts.has_date or not self.parts.month or len(self.numbers) != 2:
            raise self.bad()
        first, second = self.numbers
        if len(first) > 2:
            self._set_date(first, self.parts.month, int(second))
        else:
            self._set_date(second, self.parts.month, int(first))

    def _apply_half_day(self) -> None:
        microseconds = self.parts.microseconds
        if microseconds is None:
            raise self.bad()
        hour = 3_600_000_000
        if microseconds >= 13 * hour:
            raise field_out_of_range(self.text)
        if microseconds >= 12 * hour:
            microseconds -= 12 * hour
        self.parts.microseconds = microseconds + (12 * hour if self.half_day == "pm" else 0)


def read_datetime(text: str, type_name: str, settings: Reading, *, is_time: bool = False) -> Parts:
    """`is_time`: a bare 0405 is a time of day.

    Raises InvalidDatetime, DatetimeOutOfRange, or InvalidParameterValue for an unknown zone.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        return _Reader(text, type_name, settings, is_time).read()
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    if not 1 <= month <= 12 or not year or not 1 <= day <= days_in_month(year, month):
        raise field_out_of_range(text)
    parts = Parts(year=year, month=month, day=day)
    if match[4]:
        hours, minutes, seconds = int(match[4]), int(match[5]), int(match[6])
        part = fraction_microseconds(match[7][1:]) if match[7] else 0
        if hours > 23 or minutes > 59 or seconds > 59:
            return _Reader(text, type_name, settings, is_time).read()
        parts.microseconds = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + part
        if match[8]:
            parts.zone = 0
        elif match[9]:
            parts.zone = offset_seconds(text[match.start(9) :], text)
    return parts
