"""json and jsonb.  json is kept as sent; jsonb is kept as PostgreSQL prints it, so equal values are equal texts.

PostgreSQL's jsonb: keys ordered by their length in bytes, then bytewise; the last of a repeated key wins; ", " and
": "; numbers are numeric, so their digits survive (1.50 stays, 1e3 becomes 1000).  Python's json reads; the hooks
keep numbers as their text.  Its stricter or laxer corners are closed here: NaN, lone surrogates, the character zero.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Final

from lfsql.errors import InvalidBinary, InvalidText, StatementTooComplex, UntranslatableCharacter
from lfsql.values.numeric import parse_numeric
from proxy.pg.literals import Growth
from proxy.pg.scalars import as_text
from proxy.pg.settings import Value
from proxy.pg.text import decode_utf8

JSONB_VERSION: Final = 1


class _Number(str):
    """A number's text, apart from a string's."""

    __slots__ = ()


Json = None | bool | _Number | str | list["Json"] | dict[str, "Json"]


def _no_constant(name: str) -> Json:
    raise ValueError(name)


_READER: Final = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)


def _read(text: str) -> Json:
    try:
        found: Json = _READER.decode(text)
    except RecursionError:
        raise StatementTooComplex(
            "stack depth limit exceeded", detail="The JSON value nests too many arrays or objects."
        ) from None
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else f'Token "{error}" is invalid.'
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidText("invalid input syntax for type json", detail=f"{reason}{where}") from None
    return found


def _key_order(key: str) -> tuple[int, bytes]:
    data = key.encode()
    return len(data), data


def _string(text: str) -> str:
    if "\x00" in text:
        raise UntranslatableCharacter(
            "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text."
        )
    quoted: str = encode_basestring(text)
    return quoted


class _Printer:
    """Prints one value; what numbers grow by on their way to canonical text is counted and bounded."""

    def __init__(self) -> None:
        self._growth = Growth()

    def print(self, value: Json) -> str:
        if isinstance(value, _Number):
            text = parse_numeric(str(value))  # str: what is stored must be text, not a kind of it
            self._growth.add(len(text) - len(value))
            return text
        if isinstance(value, str):
            return _string(value)
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return "[" + ", ".join([self.print(element) for element in value]) + "]"
        keys = sorted(value, key=_key_order)
        return "{" + ", ".join([f"{_string(key)}: {self.print(value[key])}" for key in keys]) + "}"


def parse_json(text: str) -> str:
    _read(text)
    return text


def parse_jsonb(text: str) -> str:
    try:
        normal = _Printer().print(_read(text))
        normal.encode()
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    except UnicodeEncodeError:
        raise InvalidText(
            "invalid input syntax for type json", detail="Unicode low surrogate must follow a high surrogate."
        ) from None
    return normal


def receive_json(data: bytes) -> str:
    return parse_json(decode_utf8(data))


def receive_jsonb(data: bytes) -> str:
    if not data or data[0] != JSONB_VERSION:
        raise InvalidBinary(f"unsupported jsonb version number {data[0] if data else 0}")
    return parse_jsonb(decode_utf8(data[1:]))


def send_jsonb(value: Value) -> bytes:
    return b"\x01" + as_text(value).encode()
