"""Strings and bytea, where SQLite has no such function or gives it another meaning."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import unicodedata
import uuid
from typing import Any, Final

from lfsql.errors import (
    InvalidParameterValue,
    StringTooLong,
    SubstringError,
    UndefinedFunction,
)
from lfsql.storage.functions.limits import check_size
from lfsql.values.scalars import parse_bytea, parse_uuid


def substring(value: Any, start: int, length: int | None = None) -> Any:
    """SQL's: positions before the first count, and take away from the length."""
    first = start - 1
    if length is None:
        return value[max(first, 0) :]
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    return value[max(first, 0) : max(first + length, 0)]


def upper(value: str) -> str:
    """Unicode, one character for one as C's toupper: ß stays."""
    return value.upper() if value.isascii() else "".join(c.upper() if len(c.upper()) == 1 else c for c in value)


def lower(value: str) -> str:
    return value.lower() if value.isascii() else "".join(c.lower() if len(c.lower()) == 1 else c for c in value)


def initcap(value: str) -> str:
    return re.sub(r"[^\W_]+", lambda match: match.group(0)[:1].upper() + match.group(0)[1:].lower(), value)


def overlay(value: str, new: str, start: int, length: int | None = None) -> str:
    if start < 1:
        raise SubstringError("negative substring length not allowed")
    count = len(new) if length is None else length
    return value[: start - 1] + new + value[max(start - 1 + count, 0) :]


def left(value: str, count: int) -> str:
    return value[:count] if count >= 0 else value[: max(len(value) + count, 0)]


def right(value: str, count: int) -> str:
    return value[max(len(value) - count, 0) :] if count >= 0 else value[-count:]


def repeat(value: str, count: int) -> str:
    check_size(len(value) * max(count, 0))
    return value * max(count, 0)


def _pad(value: str, length: int, fill: str) -> tuple[str, str]:
    check_size(length)
    length = max(length, 0)
    missing = length - len(value)
    if missing <= 0 or not fill:
        return value[:length], ""
    return value, (fill * (missing // len(fill) + 1))[:missing]


def lpad(value: str, length: int, fill: str = " ") -> str:
    body, padding = _pad(value, length, fill)
    return padding + body


def rpad(value: str, length: int, fill: str = " ") -> str:
    body, padding = _pad(value, length, fill)
    return body + padding


def split_part(value: str, separator: str, number: int) -> str:
    if number == 0:
        raise InvalidParameterValue("field position must not be zero")
    parts = value.split(separator) if separator else [value]
    at = number - 1 if number > 0 else len(parts) + number
    return parts[at] if 0 <= at < len(parts) else ""


def translate(value: str, source: str, target: str) -> str:
    table: dict[int, str | None] = {}
    for at, character in enumerate(source):
        table.setdefault(ord(character), target[at] if at < len(target) else None)
    return value.translate(table)


def character(code: int) -> str:
    if code == 0:
        raise InvalidParameterValue("null character not permitted")
    if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise InvalidParameterValue(f"requested character too large for encoding: {code}")
    return chr(code)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def md5(value: str | bytes) -> str:
    return hashlib.md5(_bytes(value), usedforsecurity=False).hexdigest()


def _escaped(value: bytes) -> str:
    return "".join("\\\\" if byte == 92 else chr(byte) if 0 < byte < 128 else f"\\{byte:03o}" for byte in value)


def encode(value: bytes, kind: str) -> str:
    kind = kind.lower()
    if kind == "hex":
        return value.hex()
    if kind == "base64":
        text = base64.b64encode(value).decode()
        return "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    if kind == "escape":
        return _escaped(value)
    raise InvalidParameterValue(f'unrecognized encoding: "{kind}"')


def decode(value: str, kind: str) -> bytes:
    kind = kind.lower()
    try:
        if kind == "hex":
            return bytes.fromhex(value)
        if kind == "base64":
            return base64.b64decode("".join(value.split()), validate=True)
        if kind == "escape":
            return parse_bytea(value.replace("\\x", "\\\\x", 1) if value.startswith("\\x") else value)
    except (ValueError, binascii.Error):
        raise InvalidParameterValue(f"invalid {kind} data") from None
    raise InvalidParameterValue(f'unrecognized encoding: "{kind}"')


_RESERVED: Final = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
leading limit localtime localtimestamp not null offset on only or order placing primary references returning
select session_user some symmetric table then to trailing true union unique user using variadic when where
window with authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull
join left like natural notnull outer overlaps right similar tablesample verbose between bigint bit boolean char
character coalesce dec decimal exists extract float greatest grouping inout int integer interval least national
nchar none normalize nullif numeric out overlay position precision real row setof smallint substring time
timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
xmlpi xmlroot xmlserialize xmltable
"""
_KEYWORDS: Final = frozenset(_RESERVED.split())


def quote_ident(value: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_]*", value) and value not in _KEYWORDS:
        return value
    return '"' + value.replace('"', '""') + '"'


def quote_literal(value: str) -> str:
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted


_FORMAT = re.compile(r"%(?:(\d+)\$)?(-)?(?:(\d+)|(\*)(?:(\d+)\$)?)?([sIL%])|%")


def format_text(template: str | None, *values: str | None) -> str | None:
    """format(): %s %I %L %% with positions, widths and a dash."""
    if template is None:
        return None
    used = made = 0

    def take(number: str | None) -> str | None:
        nonlocal used
        used = int(number) if number is not None else used + 1
        if number is not None and int(number) == 0:
            raise InvalidParameterValue("format specifies argument 0, but arguments are numbered from 1")
        if used > len(values):
            raise InvalidParameterValue("too few arguments for format()")
        return values[used - 1]

    def one(match: re.Match[str]) -> str:
        nonlocal made
        position, dash, width, star, star_position, kind = match.groups()
        if kind is None:
            raise InvalidParameterValue("unterminated format() type specifier", hint='For a single "%" use "%%".')
        if kind == "%":
            return "%"
        size = int(width or 0)
        if star:
            given = take(star_position)
            size = int(given) if given is not None else 0
        value = take(position)
        check_size(abs(size) + made)
        if kind == "I":
            if value is None:
                raise InvalidParameterValue("null values cannot be formatted as an SQL identifier")
            shown = quote_ident(value)
        elif kind == "L":
            shown = "NULL" if value is None else quote_literal(value).lstrip()
        else:
            shown = value or ""
        made += max(len(shown), abs(size))
        check_size(made)
        return shown.ljust(abs(size)) if dash or size < 0 else shown.rjust(size)

    return _FORMAT.sub(one, template)


def concat(*values: Any) -> str:
    return "".join(str(value) for value in values if value is not None)


def concat_ws(separator: str | None, *values: Any) -> str | None:
    if separator is None:
        return None
    parts = [str(value) for value in values if value is not None]
    check_size(len(separator) * len(parts) + sum(map(len, parts)))
    return separator.join(parts)


def string_to_array(value: str | None, separator: str | None, null: str | None = None) -> str | None:
    if value is None:
        return None
    if value == "":
        return "[]"
    parts = list(value) if separator is None else value.split(separator) if separator else [value]
    found: list[str | None] = [None if null is not None and part == null else part for part in parts]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def parse_ident(value: str) -> str:
    parts = re.findall(r'"((?:[^"]|"")+)"|([^."\s]+)', value)
    if not parts:
        raise InvalidParameterValue(f'string is not a valid identifier: "{value}"')
    found = [quoted.replace('""', '"') or plain.lower() for quoted, plain in parts]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def random_uuid(random: bytes) -> str:
    """A version 4 UUID out of 16 random bytes, which the statement draws, so that every node draws the same."""
    return str(uuid.UUID(bytes=random, version=4))


def fit(value: str, length: int) -> str:
    if len(value) <= length:
        return value
    if value[length:].strip(" "):
        raise StringTooLong(f"value too long for type character varying({length})")
    return value[:length]


def unaccent(value: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", value) if not unicodedata.combining(each))


def hash_text(value: str) -> int:
    """A stable hash; PostgreSQL's own is not promised to be stable either."""
    whole = int.from_bytes(hashlib.blake2b(value.encode(), digest_size=4).digest(), "big")
    return whole - 2**32 if whole >= 2**31 else whole


def _digest(name: str) -> Any:
    return lambda value: hashlib.new(name, _bytes(value)).digest()


def sleep(seconds: float) -> str:
    raise UndefinedFunction("pg_sleep is not supported: it would hold the writer")


SCALARS: Final = {
    "lfsql_upper": upper,
    "lfsql_lower": lower,
    "initcap": initcap,
    "lfsql_substring": substring,
    "lfsql_overlay": overlay,
    "lfsql_left": left,
    "lfsql_right": right,
    "lfsql_reverse": lambda value: value[::-1],
    "repeat": repeat,
    "lpad": lpad,
    "rpad": rpad,
    "split_part": split_part,
    "translate": translate,
    "ascii": lambda value: ord(value[0]) if value else 0,
    "chr": character,
    "md5": md5,
    "sha224": _digest("sha224"),
    "sha256": _digest("sha256"),
    "sha384": _digest("sha384"),
    "sha512": _digest("sha512"),
    "encode": encode,
    "decode": decode,
    "quote_ident": quote_ident,
    "quote_literal": quote_literal,
    "starts_with": lambda value, prefix: int(value.startswith(prefix)),
    "parse_ident": parse_ident,
    "unaccent": unaccent,
    "lfsql_fit": fit,
    "lfsql_hashtext": hash_text,
    "lfsql_bytea_concat": lambda a, b: a + b,
    "lfsql_text_to_bytea": parse_bytea,
    "lfsql_text_to_uuid": parse_uuid,
    "lfsql_random_uuid": random_uuid,
    "lfsql_sleep": sleep,
}
SCALARS_WITH_NULLS: Final = {
    "quote_nullable": lambda value: "NULL" if value is None else quote_literal(value),
    "lfsql_format": format_text,
    "concat": concat,
    "concat_ws": concat_ws,
    "string_to_array": string_to_array,
}
