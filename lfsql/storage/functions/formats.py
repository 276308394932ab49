"""to_char, to_date, to_timestamp, to_number: PostgreSQL's template patterns, the common ones.

A pattern that is not here prints as it stands, as PostgreSQL does with text it does not know.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from lfsql.errors import DatetimeOutOfRange, InvalidDatetime, InvalidText
from lfsql.storage.functions import decimals, intervals, moments
from lfsql.values.datetimes import offset_text, stamp_text, utc_offset
from lfsql.values.intervals import SECOND, Interval, read_interval

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|\\.|(?:FM|fm|TM|tm)?(?:HH24|hh24|HH12|hh12|HH|hh|MI|mi|SSSSS|SSSS|ssss|SS|ss|MS|ms|US|us'
    r"|FF[1-6]|ff[1-6]|A\.M\.|P\.M\.|a\.m\.|p\.m\.|AM|PM|am|pm|Y,YYY|YYYY|yyyy|YYY|yyy|YY|yy|IYYY|iyyy|IYY|IY|Y|y"
    r"|MONTH|Month|month|MON|Mon|mon|MM|mm|DAY|Day|day|DY|Dy|dy|DDD|ddd|IDDD|DD|dd|ID|D|WW|ww|IW|iw|W|w|CC|cc|J|Q|q"
    r"|RM|rm|TZH|TZM|TZ|tz|OF|BC|AD|bc|ad|B\.C\.|A\.D\.)(?:TH|th)?|.",
    re.DOTALL,
)


def _ordinal(text: str) -> str:
    if text[-2:-1] == "1":
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(text[-1:], "th")


def _cased(word: str, pattern: str, pad: bool) -> str:
    shown = word.upper() if pattern.isupper() else word.lower() if pattern.islower() else word
    return shown.ljust(9) if pad else shown


class _Moment:
    def __init__(self, moment: datetime, zone: str = "", utc: datetime | None = None) -> None:
        self.moment = moment
        self.zone = zone

    def offset(self) -> timedelta:
        return utc_offset(moments.zone(self.zone), self.moment) if self.zone else timedelta()

    def field(self, pattern: str, fill: bool) -> tuple[str, int] | None:
        """(text, width of zeros) of a pattern; None: it is not one."""
        m, word = self.moment, pattern
        upper = word.upper()
        calendar = m.isocalendar()
        numbers: dict[str, tuple[int, int]] = {
            "HH24": (m.hour, 2), "HH12": ((m.hour + 11) % 12 + 1, 2), "HH": ((m.hour + 11) % 12 + 1, 2),
            "MI": (m.minute, 2), "SS": (m.second, 2), "MS": (m.microsecond // 1000, 3), "US": (m.microsecond, 6),
            "SSSS": (m.hour * 3600 + m.minute * 60 + m.second, 0),
            "SSSSS": (m.hour * 3600 + m.minute * 60 + m.second, 0),
            "YYYY": (m.year, 4), "YYY": (m.year % 1000, 3), "YY": (m.year % 100, 2), "Y": (m.year % 10, 1),
            "IYYY": (calendar.year, 4), "IYY": (calendar.year % 1000, 3), "IY": (calendar.year % 100, 2),
            "MM": (m.month, 2), "DD": (m.day, 2), "DDD": (m.timetuple().tm_yday, 3), "D": (m.isoweekday() % 7 + 1, 1),
            "ID": (m.isoweekday(), 1), "IDDD": ((calendar.week - 1) * 7 + calendar.weekday, 3),
            "WW": ((m.timetuple().tm_yday - 1) // 7 + 1, 2), "IW": (calendar.week, 2), "W": ((m.day - 1) // 7 + 1, 1),
            "CC": ((m.year + 99) // 100, 2), "J": (m.toordinal() + moments.JULIAN_EPOCH, 0),
            "Q": ((m.month - 1) // 3 + 1, 1),
        }  # fmt: skip
        if upper in numbers:
            value, width = numbers[upper]
            return str(value), width if fill else 0
        if re.fullmatch(r"FF[1-6]", upper):
            return f"{m.microsecond:06d}"[: int(upper[2])], 0
        text = self._word(word, upper, fill)
        return None if text is None else (text, 0)

    def _word(self, word: str, upper: str, fill: bool) -> str | None:
        m = self.moment
        if upper in ("AM", "PM", "A.M.", "P.M."):
            dotted = "." in word
            text = ("p" if m.hour >= 12 else "a") + (".m." if dotted else "m")
            return text if word.islower() else text.upper()
        if upper in ("AD", "BC", "A.D.", "B.C."):
            text = "a.d." if "." in word else "ad"
            return text if word.islower() else text.upper()
        if upper == "MONTH":
            return _cased(MONTHS[m.month - 1], word, fill)
        if upper == "MON":
            return _cased(MONTHS[m.month - 1][:3], word, False)
        if upper == "DAY":
            return _cased(DAYS[m.weekday()], word, fill)
        if upper == "DY":
            return _cased(DAYS[m.weekday()][:3], word, False)
        if upper == "RM":
            text = ROMAN[m.month - 1].ljust(4) if fill else ROMAN[m.month - 1]
            return text.lower() if word.islower() else text
        if upper == "Y,YYY":
            return f"{m.year // 1000},{m.year % 1000:03d}"
        if upper == "TZ":
            text = self._zone_name()
            return text.lower() if word.islower() else text
        if upper == "OF":
            return offset_text(round(self.offset().total_seconds()))
        if upper == "TZH":
            return offset_text(round(self.offset().total_seconds()))[:3]
        if upper == "TZM":
            return f"{abs(round(self.offset().total_seconds())) % 3600 // 60:02d}"
        return None

    def _zone_name(self) -> str:
        if not self.zone:
            return ""
        return self.moment.replace(tzinfo=moments.zone(self.zone)).tzname() or ""


def _rendered(template: str, source: Any) -> str:
    parts = []
    for token in _TOKEN.findall(template):
        if token[:1] == '"':
            parts.append(re.sub(r"\\(.)", r"\1", token[1:-1]))
            continue
        if token[:1] == "\\":
            parts.append(token[1:])
            continue
        body, fill = token, True
        if body[:2].upper() in ("FM", "TM") and len(body) > 2:
            fill = False
            body = body[2:]
        ordinal = ""
        if len(body) > 2 and body[-2:].lower() == "th" and body.lower() not in ("month",):
            ordinal, body = body[-2:], body[:-2]
        found = source.field(body, fill)
        if found is None:
            parts.append(token)
            continue
        text, width = found
        if width and text.lstrip("-").isdigit():
            text = text.zfill(width)
        if ordinal:
            ending = _ordinal(text)
            text += ending.upper() if ordinal.isupper() else ending
        parts.append(text)
    return "".join(parts)


def timestamp_to_char(stored: str, template: str, zone: str = "") -> str | None:
    if stored in moments.INFINITE:
        return None
    return _rendered(template, _Moment(moments.parse(stored), zone))


class _Span:
    def __init__(self, value: Interval) -> None:
        self.years, self.months, self.days, self.hours, self.minutes, self.rest = intervals.fields(value)

    def field(self, pattern: str, fill: bool) -> tuple[str, int] | None:
        seconds = self.rest // SECOND
        fraction = self.rest % SECOND
        numbers = {
            "HH24": (self.hours, 2), "HH": ((self.hours + 11) % 12 + 1, 2), "HH12": ((self.hours + 11) % 12 + 1, 2),
            "MI": (self.minutes, 2), "SS": (seconds, 2), "MS": (fraction // 1000, 3), "US": (fraction, 6),
            "DD": (self.days, 2), "MM": (self.months, 2), "YYYY": (self.years, 4), "YY": (self.years % 100, 2),
        }  # fmt: skip
        found = numbers.get(pattern.upper())
        if found is None:
            return None
        value, width = found
        return str(value), width + (1 if value < 0 else 0) if fill else 0


def interval_to_char(stored: str, template: str) -> str:
    return _rendered(template, _Span(read_interval(stored)))


# -- Reading -----------------------------------------------------------------------------------------------

_WIDTHS: Final = {
    "YYYY": 4, "IYYY": 4, "YYY": 3, "YY": 2, "Y": 1, "MM": 2, "DD": 2, "DDD": 3, "HH24": 2, "HH12": 2, "HH": 2,
    "MI": 2, "SS": 2, "MS": 3, "US": 6, "J": 7, "Q": 1, "SSSS": 5, "SSSSS": 5,
}  # fmt: skip


def read_timestamp(source: str, template: str) -> str:
    """to_timestamp and to_date: the fields a template names, from their places in a text."""
    fields: dict[str, int] = {}
    at = 0
    for token in _TOKEN.findall(template):
        body = token[2:] if token[:2].upper() in ("FM", "TM") and len(token) > 2 else token
        upper = body.upper()
        if token[:1] == '"' or (len(body) == 1 and upper not in _WIDTHS):
            if token[:1] == '"':
                at += len(token) - 2
            elif not source[at : at + 1].isalnum():
                at += 1
            continue
        while at < len(source) and source[at] in " \t":
            at += 1
        if upper in _WIDTHS:
            match = re.compile(rf"[+-]?\d{{1,{_WIDTHS[upper]}}}").match(source, at)
            if match is None:
                if at >= len(source):
                    break
                raise InvalidDatetime(f'invalid value "{source[at : at + _WIDTHS[upper]]}" for "{body}"')
            digits = match.group(0)
            fields[upper] = int(digits.ljust(_WIDTHS[upper], "0")) if upper in ("MS", "US") else int(digits)
            at = match.end()
        elif upper in ("MON", "MONTH"):
            number = _named(source[at:], MONTHS, upper == "MON")
            if number is None:
                raise InvalidDatetime(f'invalid value "{source[at : at + 3]}" for "{body}"')
            fields["MM"] = number[0] + 1
            at += number[1]
        elif upper in ("DY", "DAY"):
            number = _named(source[at:], DAYS, upper == "DY")
            at += number[1] if number is not None else 0
        elif upper in ("AM", "PM", "A.M.", "P.M."):
            fields["PM"] = int(source[at : at + 1].lower() == "p")
            at += len(body)
    return _assembled(fields, source)


def _named(text: str, words: tuple[str, ...], short: bool) -> tuple[int, int] | None:
    lowered = text.lower()
    for at, word in enumerate(words):
        for form in (word[:3],) if short else (word, word[:3]):
            if lowered.startswith(form.lower()):
                return at, len(form)
    return None


def _assembled(fields: dict[str, int], source: str) -> str:
    year = fields.get("YYYY", fields.get("IYYY", 1))
    if "YY" in fields:
        year = fields["YY"] + (2000 if fields["YY"] < 70 else 1900)
    hour = fields.get("HH24", fields.get("HH12", fields.get("HH", 0)))
    if "PM" in fields:
        hour = hour % 12 + 12 * fields["PM"]
    try:
        if "J" in fields:
            start = datetime.fromordinal(fields["J"] - moments.JULIAN_EPOCH)
        else:
            start = datetime(year, fields.get("MM", 1), fields.get("DD", 1), tzinfo=UTC).replace(tzinfo=None)
        if "DDD" in fields and "MM" not in fields:
            start += timedelta(days=fields["DDD"] - 1)
        start += timedelta(
            hours=hour,
            minutes=fields.get("MI", 0),
            seconds=fields.get("SS", 0) + fields.get("SSSS", 0) + fields.get("SSSSS", 0),
            milliseconds=fields.get("MS", 0),
            microseconds=fields.get("US", 0),
        )
    except (ValueError, OverflowError):
        raise DatetimeOutOfRange(f'date/time field value out of range: "{source}"') from None
    return stamp_text(start)


# -- Numbers -----------------------------------------------------------------------------------------------

_NUMBER_TOKEN = re.compile(r'"[^"]*"|FM|fm|MI|mi|PL|pl|SG|sg|PR|pr|TH|th|EEEE|[09.,DGSLsdgl]|.')


def number_to_char(value: Any, template: str) -> str:
    """to_char of a number: 9 0 . , D G S MI PL SG PR L FM TH; overflow prints #."""
    number = decimals.number(str(value) if isinstance(value, float) else value)
    pieces = _NUMBER_TOKEN.findall(template)
    fill = not any(piece.upper() == "FM" for piece in pieces)
    pieces = [piece for piece in pieces if piece.upper() != "FM"]
    upper = [piece.upper() for piece in pieces]
    point = next((at for at, piece in enumerate(upper) if piece in (".", "D")), len(pieces))
    fraction = sum(piece in ("9", "0") for piece in upper[point:])
    whole = sum(piece in ("9", "0") for piece in upper[:point])
    if not number.is_finite():
        return "#" * (whole + 1)
    rounded = number.quantize(Decimal(1).scaleb(-fraction), rounding=ROUND_HALF_UP, context=decimals.EXACT)
    negative = rounded < 0
    digits, _, decimals_text = format(abs(rounded), "f").partition(".")
    if digits == "0" and "0" not in upper[:point] and fraction:
        digits = ""
    elif digits == "0" and "0" not in upper[:point] and not fraction:
        digits = "0"
    overflow = len(digits) > whole
    padded = digits.rjust(whole)
    places = [word for word in upper[:point] if word in ("9", "0")]
    first_zero = places.index("0") if "0" in places else whole
    padded = "".join("0" if each == " " and at >= first_zero else each for at, each in enumerate(padded))
    if overflow:
        padded = "#" * whole
        decimals_text = "#" * fraction
    signed = any(piece in ("S", "MI", "PL", "SG", "PR") for piece in upper)
    return _number_text(pieces, upper, padded, decimals_text, negative=negative, fill=fill, signed=signed)


def _number_text(
    pieces: list[str], upper: list[str], padded: str, fraction: str, *, negative: bool, fill: bool, signed: bool
) -> str:
    parts: list[str] = []
    at_whole = at_fraction = 0
    after_point = started = False
    last_kept = max((at for at, piece in enumerate(upper) if piece == "0"), default=-1)
    kept_fraction = len(fraction)
    if not fill:
        zeros_from = sum(piece in ("9", "0") for piece in upper[: last_kept + 1]) - len(padded)
        kept_fraction = max(len(fraction.rstrip("0")), zeros_from, 0)
    sign_at: int | None = None
    for piece, word in zip(pieces, upper, strict=True):
        if piece[:1] == '"':
            parts.append(piece[1:-1])
        elif word in ("9", "0"):
            if after_point:
                if at_fraction < kept_fraction:
                    parts.append(fraction[at_fraction])
                at_fraction += 1
                continue
            digit = padded[at_whole]
            at_whole += 1
            if digit != " " and not started:
                started = True
                sign_at = len(parts)
            parts.append(digit if digit != " " else (" " if fill else ""))
        elif word in (".", "D"):
            if not started:
                started, sign_at = True, len(parts)
            after_point = True
            parts.append(".")
        elif word in (",", "G"):
            parts.append("," if started else (" " if fill else ""))
        elif word == "S":
            parts.append("\0")
        elif word == "MI":
            parts.append("-" if negative else " " if fill else "")
        elif word == "PL":
            parts.append(" " if negative and fill else "" if negative else "+")
        elif word == "SG":
            parts.append("-" if negative else "+")
        elif word == "TH":
            parts.append(_ordinal("".join(parts).strip()) if not negative else "")
        elif word == "PR":
            continue
        elif word == "L":
            parts.append(" " if fill else "")
        else:
            parts.append(piece)
    if sign_at is None:
        sign_at = len(parts)
    return _signed(parts, sign_at, upper, negative=negative, fill=fill, signed=signed)


def _signed(parts: list[str], sign_at: int, upper: list[str], *, negative: bool, fill: bool, signed: bool) -> str:
    if "S" in upper:
        mark = "-" if negative else "+"
        if upper[0] == "S":
            parts = [part for part in parts if part != "\0"]
            parts.insert(max(sign_at - 1, 0), mark)
        else:
            parts = [mark if part == "\0" else part for part in parts]
        return "".join(parts)
    if "PR" in upper:
        body = "".join(parts).strip()
        return f"<{body}>" if negative else f" {body} " if fill else body
    if signed:
        return "".join(parts)
    if negative:
        parts.insert(sign_at, "-")
    elif fill:
        parts.insert(sign_at, " ")
    return "".join(parts)


def to_number(source: str, template: str) -> str:
    digits = re.sub(r"[^0-9.+\-]", "", source.replace(",", ""))
    negative = "-" in source or (source.strip().startswith("<") and source.strip().endswith(">"))
    digits = digits.replace("-", "").replace("+", "")
    if not digits.replace(".", ""):
        raise InvalidText(f'invalid input syntax for type numeric: "{source}"')
    point = re.search(r"[.D]", template, re.IGNORECASE)
    value = decimals.number(digits)
    if point is None:
        value = value.to_integral_value()
    return decimals.text(-value if negative else value)


SCALARS: Final = {
    "lfsql_timestamp_to_char": timestamp_to_char,
    "lfsql_interval_to_char": interval_to_char,
    "lfsql_number_to_char": number_to_char,
    "lfsql_read_timestamp": read_timestamp,
    "to_number": to_number,
}
