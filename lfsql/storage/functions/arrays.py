"""Arrays: JSON arrays in SQLite, PostgreSQL's operators and functions on them, and the {...} text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from lfsql.errors import ArraySubscriptError, InvalidText, LimitExceeded
from lfsql.storage.functions import moments, numbers
from lfsql.storage.functions.jsons import quoted
from lfsql.storage.functions.limits import check_size
from lfsql.values.floats import parse_float4, parse_float8
from lfsql.values.intervals import parse_interval
from lfsql.values.numeric import parse_numeric
from lfsql.values.scalars import parse_bool, parse_int2, parse_int4, parse_int8, parse_oid, parse_uuid


def load(source: str) -> list[Any]:
    loaded: list[Any] = json.loads(source)
    return loaded


def store(items: list[Any]) -> str:
    return json.dumps(items, ensure_ascii=False, separators=(",", ":"))


def dimensions(items: list[Any]) -> list[int]:
    sizes: list[int] = []
    while isinstance(items, list) and items:
        sizes.append(len(items))
        items = items[0]
    return sizes


def array_length(source: str, dimension: int) -> int | None:
    sizes = dimensions(load(source))
    return sizes[dimension - 1] if 1 <= dimension <= len(sizes) else None


def array_get(source: str, *indexes: int) -> Any:
    """An element; NULL outside the array, and for fewer or more indexes than it has dimensions."""
    found: Any = load(source)
    for index in indexes:
        if not isinstance(found, list) or not 1 <= index <= len(found):
            return None
        found = found[index - 1]
    return None if isinstance(found, list) else found


def array_slice(source: str | None, low: int | None, high: int | None) -> str | None:
    if source is None or low is None:
        return None
    items = load(source)
    return store(items[max(low - 1, 0) : len(items) if high is None else max(high, 0)])


def _flat(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        found.extend(_flat(item)) if isinstance(item, list) else found.append(item)
    return found


def cardinality(source: str) -> int:
    return len(_flat(load(source)))


_ELEMENT_PRINTERS: Final[dict[int, Callable[[Any], str]]] = {
    16: lambda value: "t" if value else "f",
    700: numbers.float4_text,
    701: numbers.float8_text,
}
_NEEDS_QUOTES: Final = frozenset(' \t\n\r\v\f,{}"\\')


def element_text(value: Any, oid: int, zone: str = "UTC") -> str:
    if oid == 1184:
        return moments.timestamptz_text(value, zone)
    printer = _ELEMENT_PRINTERS.get(oid)
    return printer(value) if printer is not None else str(value)


def array_text(source: str, oid: int, zone: str = "UTC") -> str:
    """{...}"""
    return _braced(load(source), oid, zone)


def _braced(items: list[Any], oid: int, zone: str) -> str:
    parts = []
    for item in items:
        if isinstance(item, list):
            parts.append(_braced(item, oid, zone))
        elif item is None:
            parts.append("NULL")
        else:
            shown = element_text(item, oid, zone)
            if not shown or shown.upper() == "NULL" or not _NEEDS_QUOTES.isdisjoint(shown):
                shown = '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
            parts.append(shown)
    return "{" + ",".join(parts) + "}"


def array_json(source: str, oid: int) -> str:
    """to_json of an array."""

    def shown(item: Any) -> str:
        if isinstance(item, list):
            return "[" + ",".join(shown(each) for each in item) + "]"
        if item is None:
            return "null"
        if oid == 16:
            return "true" if item else "false"
        if oid in (20, 21, 23, 700, 701, 1700, 114, 3802):
            return element_text(item, oid)
        return quoted(element_text(item, oid))

    return shown(load(source))


_READERS: Final[dict[int, Callable[[str], Any]]] = {
    16: parse_bool,
    20: parse_int8,
    21: parse_int2,
    23: parse_int4,
    26: parse_oid,
    700: parse_float4,
    701: parse_float8,
    1700: parse_numeric,
    2950: parse_uuid,
    1082: moments.read_date,
    1114: moments.read_timestamp,
    1184: lambda text: moments.read_timestamptz(text, "UTC"),
    1186: parse_interval,
}


def read_array(source: str, oid: int) -> str:
    """A {...} literal with elements of a type.  Raises InvalidText."""
    reader = _READERS.get(oid, str)
    text = source.strip()
    if not text.startswith("{"):
        raise InvalidText(f'malformed array literal: "{source}"')
    stack: list[list[Any]] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "{":
            if len(stack) == 6:
                raise LimitExceeded("number of array dimensions (7) exceeds the maximum allowed (6)")
            stack.append([])
            at += 1
        elif character == "}":
            done = stack.pop()
            at += 1
            if not stack:
                if text[at:].strip():
                    raise InvalidText(f'malformed array literal: "{source}"')
                return store(done)
            stack[-1].append(done)
        elif character in ", \t\n":
            at += 1
        elif character == '"':
            value, at = _quoted_element(text, at, source)
            stack[-1].append(reader(value))
        else:
            end = at
            while end < len(text) and text[end] not in ",}":
                end += 1
            word = text[at:end].strip()
            stack[-1].append(None if word.upper() == "NULL" else reader(word))
            at = end
    raise InvalidText(f'malformed array literal: "{source}"')


def _quoted_element(text: str, at: int, source: str) -> tuple[str, int]:
    parts: list[str] = []
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
        parts.append(text[at : at + 1])
        at += 1
    if at >= len(text):
        raise InvalidText(f'malformed array literal: "{source}"')
    return "".join(parts), at + 1


def array_cast(source: str, given: int, wanted: int) -> str:
    reader = _READERS.get(wanted)

    def one(item: Any) -> Any:
        if isinstance(item, list):
            return [one(each) for each in item]
        if item is None:
            return None
        if wanted in (25, 1043, 1042, 19):
            return "true" if given == 16 and item else "false" if given == 16 else element_text(item, given)
        if reader is None:
            return item
        if given in (700, 701, 1700) and wanted in (20, 21, 23):
            width = {20: 8, 21: 2, 23: 4}[wanted]
            return numbers.from_numeric(item, width) if given == 1700 else numbers.from_float(item, width)
        return reader(element_text(item, given))

    return store([one(item) for item in load(source)])


def array_to_string(source: str | None, separator: str | None, null: str | None, oid: int) -> str | None:
    if source is None or separator is None:
        return None
    found = [null if item is None else element_text(item, oid) for item in _flat(load(source))]
    shown = [item for item in found if item is not None]
    check_size(len(separator) * len(shown) + sum(map(len, shown)))
    return separator.join(shown)


def array_append(source: str | None, item: Any) -> str:
    return store([*load(source or "[]"), item])


def array_prepend(item: Any, source: str | None) -> str:
    return store([item, *load(source or "[]")])


def array_cat(a: str | None, b: str | None) -> str | None:
    if a is None or b is None:
        return a if b is None else b
    one, other = load(a), load(b)
    if len(dimensions(one)) == len(dimensions(other)) + 1 and other:
        return store([*one, other])
    return store(one + other)


def array_contains(a: str, b: str) -> int:
    items = _flat(load(a))
    return int(all(item is not None and item in items for item in _flat(load(b))))


def array_overlaps(a: str, b: str) -> int:
    items = _flat(load(a))
    return int(any(item is not None and item in items for item in _flat(load(b))))


def array_remove(source: str | None, item: Any) -> str | None:
    return None if source is None else store([each for each in load(source) if each != item])


def array_replace(source: str | None, old: Any, new: Any) -> str | None:
    if source is None:
        return None
    items = load(source)
    check_size(items.count(old) * len(str(new)))
    return store([new if each == old else each for each in items])


def array_position(source: str | None, item: Any) -> int | None:
    items = load(source) if source is not None else []
    return items.index(item) + 1 if item in items else None


def array_positions(source: str | None, item: Any) -> str | None:
    return None if source is None else store([at for at, each in enumerate(load(source), 1) if each == item])


def trim_array(source: str, count: int) -> str:
    items = load(source)
    if not 0 <= count <= len(items):
        raise ArraySubscriptError(f"number of elements to trim must be between 0 and {len(items)}")
    return store(items[: len(items) - count])


def array_zip(*sources: str | None) -> str:
    columns = [load(source) if source is not None else [] for source in sources]
    length = max((len(column) for column in columns), default=0)
    return store([[column[at] if at < len(column) else None for column in columns] for at in range(length)])


SCALARS: Final = {
    "lfsql_array_length": array_length,
    "lfsql_array_lower": lambda source, dimension: 1 if array_length(source, dimension) else None,
    "lfsql_array_ndims": lambda source: len(dimensions(load(source))) or None,
    "lfsql_cardinality": cardinality,
    "lfsql_array_get": array_get,
    "lfsql_array_text": array_text,
    "lfsql_array_json": array_json,
    "lfsql_array_cast": array_cast,
    "lfsql_text_to_array": read_array,
    "lfsql_array_contains": array_contains,
    "lfsql_array_overlaps": array_overlaps,
    "lfsql_trim_array": trim_array,
}
SCALARS_WITH_NULLS: Final = {
    "lfsql_array_slice": array_slice,
    "lfsql_array_to_string": array_to_string,
    "lfsql_array_append": array_append,
    "lfsql_array_prepend": array_prepend,
    "lfsql_array_cat": array_cat,
    "lfsql_array_remove": array_remove,
    "lfsql_array_replace": array_replace,
    "lfsql_array_position": array_position,
    "lfsql_array_positions": array_positions,
    "lfsql_array_zip": array_zip,
}
