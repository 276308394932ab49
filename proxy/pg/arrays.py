"""Arrays: PostgreSQL's {…} literals and binary arrays to and from the JSON arrays SQLite holds.

An element is stored in JSON as SQLite's json_group_array would write it: integers and finite floats as numbers, bool
as 0 or 1, everything else as the string SQLite would store, bytea as its hex form, NULL as null.  Several dimensions
nest.  Lower bounds other than 1 are read and forgotten: JSON arrays have none.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Final

from lfsql.errors import DatatypeMismatch, InvalidBinary, InvalidText, LimitExceeded, StatementTooComplex
from lfsql.values.literals import SPACES
from proxy.pg.floats import float8_text
from proxy.pg.literals import Growth, not_a
from proxy.pg.scalars import as_text
from proxy.pg.settings import Value

DIMENSIONS_MAX: Final = 6

Nested = Value | list["Nested"]

_TOKEN: Final = re.compile(r'[ \t\n\r\v\f]*(?:([{},])|"((?:[^"\\]|\\.)*)"|((?:[^{},"\\]|\\.)+))', re.DOTALL)
_BOUNDS: Final = re.compile(r"[ \t\n\r\v\f]*((?:\[[+-]?\d+(?::[+-]?\d+)?\])+)[ \t\n\r\v\f]*=", re.ASCII)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_PLAIN: Final = re.compile(r'[^{}",\\ \t\n\r\v\f]+')

_HEADER: Final = struct.Struct(">iiI")
_DIMENSION: Final = struct.Struct(">ii")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = b"\xff\xff\xff\xff"


def _malformed(text: str, detail: str) -> InvalidText:
    shown = text if len(text) <= 200 else text[:200] + "..."
    return InvalidText(f'malformed array literal: "{shown}"', detail=detail)


def _too_deep(depth: int) -> LimitExceeded:
    return LimitExceeded(f"number of array dimensions ({depth}) exceeds the maximum allowed ({DIMENSIONS_MAX})")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def read_literal(text: str, parse_element: Callable[[str], Value]) -> list[Nested]:
    """A {…} literal to nested lists of stored elements.  Raises InvalidText, and what `parse_element` raises."""
    bounds = _BOUNDS.match(text)
    position = bounds.end() if bounds is not None else 0
    end = len(text.rstrip(SPACES))
    result: list[Nested] | None = None
    stack: list[list[Nested]] = []
    after_value = False
    after_comma = False
    growth = Growth()
    while position < end:
        match = _TOKEN.match(text, position, end)
        if match is None:
            raise _malformed(text, "Unexpected end of input.")
        position = match.end()
        mark, quoted, plain = match.groups()
        if result is not None:
            raise _malformed(text, "Junk after closing right brace.")
        if not stack and mark != "{":
            raise _malformed(text, 'Array value must start with "{" or dimension information.')
        if mark == "{":
            if after_value:
                raise _malformed(text, 'Unexpected "{" character.')
            if len(stack) == DIMENSIONS_MAX:
                raise _too_deep(len(stack) + 1)
            stack.append([])
            after_comma = False
        elif mark == "}":
            if after_comma or (len(stack) > 1 and not stack[-1]):
                raise _malformed(text, 'Unexpected "}" character.')
            closed = stack.pop()
            if stack:
                stack[-1].append(closed)
            else:
                result = closed
            after_value = True
        elif mark == ",":
            if not after_value:
                raise _malformed(text, 'Unexpected "," character.')
            after_value, after_comma = False, True
        else:
            if after_value:
                raise _malformed(text, "Unexpected array element.")
            element = _element(quoted, plain, parse_element, text)
            if isinstance(element, str):
                growth.add(len(element) - (position - match.start()))
            stack[-1].append(element)
            after_value, after_comma = True, False
    if result is None:
        raise _malformed(text, "Unexpected end of input.")
    shape = dimensions(result)
    if shape is None:
        raise _malformed(text, "Multidimensional arrays must have sub-arrays with matching dimensions.")
    return result


def _element(quoted: str | None, plain: str | None, parse_element: Callable[[str], Value], text: str) -> Value:
    if quoted is not None:
        return parse_element(_unescape(quoted))
    stripped = (plain or "").rstrip(SPACES)
    if stripped.endswith("\\") and plain != stripped:  # an escaped space is not trailing space
        stripped = plain or ""
    if not stripped:
        raise _malformed(text, "Unexpected array element.")
    return None if stripped.upper() == "NULL" else parse_element(_unescape(stripped))


def dimensions(array: Sequence[Nested]) -> tuple[int, ...] | None:
    """Its sizes from the outside in, or None when its parts differ."""
    sizes = [len(array)]
    level: list[Nested] = list(array)
    while level and isinstance(level[0], list):
        size = len(level[0])
        inner: list[Nested] = []
        for part in level:
            if not isinstance(part, list) or len(part) != size:
                return None
            inner.extend(part)
        sizes.append(size)
        level = inner
    return None if any(isinstance(part, list) for part in level) else tuple(sizes)


def _storable(element: Nested) -> Nested:
    if isinstance(element, list):
        return [_storable(part) for part in element]
    if isinstance(element, bytes):
        return "\\x" + element.hex()
    if isinstance(element, float) and not math.isfinite(element):
        return float8_text(element)
    return element


def store(array: Sequence[Nested]) -> str:
    """Nested lists to the JSON text that SQLite holds."""
    return json.dumps([_storable(part) for part in array], ensure_ascii=False, separators=(",", ":"))


def load(value: Value) -> list[Nested]:
    """The other way.  Raises DatatypeMismatch when `value` is no JSON array."""
    if not isinstance(value, str):
        raise not_a("array", value)
    try:
        found = json.loads(value)
    except ValueError:
        raise not_a("array", value) from None
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    if not isinstance(found, list):
        raise not_a("array", value)
    return [_loaded(part) for part in found]


def _loaded(element: object) -> Nested:
    if isinstance(element, list):
        return [_loaded(part) for part in element]
    if isinstance(element, bool):
        return int(element)
    if element is None or isinstance(element, int | float | str):
        return element
    return json.dumps(element, ensure_ascii=False)


def _quote(data: str) -> str:
    if _PLAIN.fullmatch(data) and data.upper() != "NULL":
        return data
    return '"' + data.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_literal(array: Sequence[Nested], print_element: Callable[[Value], bytes]) -> str:
    pieces = [
        write_literal(part, print_element)
        if isinstance(part, list)
        else "NULL"
        if part is None
        else _quote(print_element(part).decode())
        for part in array
    ]
    return "{" + ",".join(pieces) + "}"


def _leaves(array: Sequence[Nested], found: list[Value]) -> list[Value]:
    for part in array:
        if isinstance(part, list):
            _leaves(part, found)
        else:
            found.append(part)
    return found


def send(array: Sequence[Nested], element_oid: int, send_element: Callable[[Value], bytes], lower: int = 1) -> bytes:
    """Binary format.  `lower`: of each dimension, 0 for int2vector and oidvector."""
    shape = dimensions(array)
    if shape is None:
        raise DatatypeMismatch("stored array has sub-arrays of different sizes")
    if 0 in shape:
        return _HEADER.pack(0, 0, element_oid)
    leaves = _leaves(array, [])
    pieces = [_HEADER.pack(len(shape), int(None in leaves), element_oid)]
    pieces.extend(_DIMENSION.pack(size, lower) for size in shape)
    for leaf in leaves:
        if leaf is None:
            pieces.append(_NULL)
        else:
            data = send_element(leaf)
            pieces.append(_LENGTH.pack(len(data)))
            pieces.append(data)
    return b"".join(pieces)


def receive(data: bytes, element_oid: int, receive_element: Callable[[bytes], Value]) -> list[Nested]:
    """Binary format to nested lists.  Sizes are checked against the data's length before anything is built."""
    try:
        count, flags, sent_oid = _HEADER.unpack_from(data)
        if count < 0 or count > DIMENSIONS_MAX:
            raise _too_deep(count) if count > 0 else InvalidBinary(f"invalid number of dimensions: {count}")
        if flags not in (0, 1):
            raise InvalidBinary("invalid array flags")
        if sent_oid != element_oid:
            raise DatatypeMismatch(f"binary data has array element type {sent_oid} instead of expected {element_oid}")
        shape = [_DIMENSION.unpack_from(data, 12 + 8 * place)[0] for place in range(count)]
        position = 12 + 8 * count
        total = math.prod(shape) if shape else 0
        if any(size < 0 for size in shape) or total > (len(data) - position) // 4:
            raise InvalidBinary("insufficient data left in message")
        leaves: list[Nested] = []
        growth = Growth()
        for _ in range(total):
            (length,) = _LENGTH.unpack_from(data, position)
            position += 4
            if length == -1:
                leaves.append(None)
                continue
            if length < 0 or position + length > len(data):
                raise InvalidBinary("insufficient data left in message")
            element = receive_element(data[position : position + length])
            if isinstance(element, str):
                growth.add(len(element) - length)
            leaves.append(element)
            position += length
    except struct.error:
        raise InvalidBinary("insufficient data left in message") from None
    if position != len(data):
        raise InvalidBinary("incorrect binary data format in array")
    for size in reversed(shape[1:]):
        leaves = [leaves[place : place + size] for place in range(0, len(leaves), size)] if size else []
    return leaves


def read_vector(text: str) -> list[Nested]:
    """The numbers of an int2vector or oidvector, stored as JSON ('[1,2,3]') or printed ('1 2 3')."""
    try:
        return [int(piece) for piece in text.strip("[]").replace(",", " ").split()]
    except ValueError:
        raise not_a("vector", text) from None


def write_vector(array: Sequence[Nested]) -> str:
    """A vector is stored as other arrays are, so that the same SQL takes both apart."""
    return f"[{','.join(as_text(part) for part in array if not isinstance(part, list))}]"


def map_leaves(array: Sequence[Nested], change: Callable[[Value], Value]) -> list[Nested]:
    """The same shape with every element but NULL changed."""
    return [
        map_leaves(part, change) if isinstance(part, list) else None if part is None else change(part)
        for part in array
    ]
