"""bool, the integers, bytea, uuid: from literals to SQLite's values.

They are refused with PostgreSQL's words, as programs match on them.
"""

from __future__ import annotations

import re
from typing import Final

from lfsql.errors import InvalidParameterValue, InvalidText, NumericOutOfRange
from lfsql.values.literals import SPACES, bad_literal

_BOOLS: Final[dict[str, int]] = {
    **{"true"[:size]: 1 for size in range(1, 5)},
    **{"false"[:size]: 0 for size in range(1, 6)},
    **{"yes"[:size]: 1 for size in range(1, 4)},
    **{"no"[:size]: 0 for size in range(1, 3)},
    "on": 1,
    "of": 0,
    "off": 0,
    "1": 1,
    "0": 0,
}


def parse_bool(text: str) -> int:
    found = _BOOLS.get(text)
    if found is None:
        found = _BOOLS.get(text.strip(SPACES).lower())
        if found is None:
            raise bad_literal("boolean", text)
    return found


INTEGER: Final = re.compile(r"[ \t\n\r\v\f]*[+-]?[0-9]+[ \t\n\r\v\f]*", re.ASCII)
_DIGITS_MAX: Final = 60
"""Beyond this many characters no integer is in range, and Python need not convert it to say so."""


def parse_integer(text: str, low: int, high: int, type_name: str) -> int:
    if not INTEGER.fullmatch(text):
        raise bad_literal(type_name, text)
    digits = text.strip(SPACES)
    if len(digits) > _DIGITS_MAX:
        sign = "-" if digits[0] == "-" else ""
        digits = sign + (digits.lstrip("+-0") or "0")
    if len(digits) <= _DIGITS_MAX:
        value = int(digits)
        if low <= value <= high:
            return value
    raise NumericOutOfRange(f'value "{text}" is out of range for type {type_name}')


def parse_int2(text: str) -> int:
    return parse_integer(text, -0x8000, 0x7FFF, "smallint")


def parse_int4(text: str) -> int:
    if len(text) < 10 and text.isascii() and text.isdigit():
        return int(text)
    return parse_integer(text, -0x80000000, 0x7FFFFFFF, "integer")


def parse_int8(text: str) -> int:
    if len(text) < 19 and text.isascii() and text.isdigit():
        return int(text)
    return parse_integer(text, -0x8000000000000000, 0x7FFFFFFFFFFFFFFF, "bigint")


def parse_oid(text: str) -> int:
    """Negative numbers wrap around, as in PostgreSQL."""
    return parse_integer(text, -0x80000000, 0xFFFFFFFF, "oid") & 0xFFFFFFFF


_ESCAPED: Final = re.compile(r"\\(\\|[0-3][0-7]{2})", re.ASCII)
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def parse_bytea(text: str) -> bytes:
    if text.startswith("\\x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            for character in text[2:]:
                if character not in _HEX_DIGITS and character not in " \t\n\r":
                    raise InvalidParameterValue(f'invalid hexadecimal digit: "{character}"') from None
            raise InvalidParameterValue("invalid hexadecimal data: odd number of digits") from None
    if "\\" not in text:
        return text.encode()
    if "\\" in _ESCAPED.sub("", text):
        raise InvalidText("invalid input syntax for type bytea")
    pieces: list[bytes] = []
    position = 0
    for match in _ESCAPED.finditer(text):
        pieces.append(text[position : match.start()].encode())
        code = match[1]
        pieces.append(b"\\" if code == "\\" else bytes((int(code, 8),)))
        position = match.end()
    pieces.append(text[position:].encode())
    return b"".join(pieces)


_UUID: Final = re.compile(r"\{?(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}\}?", re.ASCII)


def hyphenated(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_uuid(text: str) -> str:
    """PostgreSQL takes upper case, braces, and hyphens after any group of four digits, or none."""
    if not _UUID.fullmatch(text) or (text[0] == "{") != (text[-1] == "}"):
        raise bad_literal("uuid", text)
    return hyphenated(text.strip("{}").replace("-", "").lower())
