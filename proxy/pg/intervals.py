"""interval: wire forms to and from the text SQLite holds (`lfsql.values.intervals`), and IntervalStyle iso_8601."""

from __future__ import annotations

from struct import Struct
from typing import Final

from lfsql.values.intervals import SECOND, Interval, interval_text, read_interval, truncated_divmod
from proxy.pg.literals import exact
from proxy.pg.scalars import as_text
from proxy.pg.settings import Value

_BINARY: Final = Struct(">qii")


def iso_text(interval: Interval) -> str:
    """IntervalStyle iso_8601: 'P1Y2M-3DT4H5M6.7S'."""
    years, months = truncated_divmod(interval.months, 12)
    seconds, fraction = truncated_divmod(interval.microseconds, SECOND)
    minutes, second = truncated_divmod(seconds, 60)
    hours, minute = truncated_divmod(minutes, 60)
    dates = "".join(
        f"{number}{unit}" for number, unit in ((years, "Y"), (months, "M"), (interval.days, "D")) if number
    )
    times = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minute, "M")) if number)
    if second or fraction:
        sign = "-" if second < 0 or fraction < 0 else ""
        point = f".{abs(fraction):06d}".rstrip("0") if fraction else ""
        times += f"{sign}{abs(second)}{point}S"
    if not dates and not times:
        return "PT0S"
    return f"P{dates}T{times}" if times else f"P{dates}"


def receive_interval(data: bytes) -> str:
    microseconds, days, months = _BINARY.unpack(exact(data, 16))
    return interval_text(Interval(months, days, microseconds))


def print_interval_iso(value: Value) -> bytes:
    return iso_text(read_interval(as_text(value))).encode()


def send_interval(value: Value) -> bytes:
    interval = read_interval(as_text(value))
    return _BINARY.pack(interval.microseconds, interval.days, interval.months)


def coerce_interval(text: str, typmod: int) -> str:
    """Round the seconds to the digits in the low half of `typmod`; a restriction to fields is not applied."""
    digits = typmod & 0xFFFF
    if typmod < 0 or digits >= 6:
        return text
    interval = read_interval(text)
    unit = int(10 ** (6 - digits))
    rounded = (abs(interval.microseconds) + unit // 2) // unit * unit
    return interval_text(interval._replace(microseconds=rounded if interval.microseconds >= 0 else -rounded))
