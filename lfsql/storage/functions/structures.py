"""json, jsonb and arrays.

json is kept as sent, jsonb as PostgreSQL prints it (keys ordered by length then bytes, ", " and ": "), an array as a
JSON array.  Numbers keep their digits: they are read as Decimal and written as they came.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from lfsql.errors import ArraySubscriptError, InvalidParameterValue, InvalidText, LimitExceeded
from lfsql.storage.functions import decimals, intervals, moments, numbers, texts

Json = Any


def _refuse(name: str) -> Json:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=int, parse_constant=_refuse, strict=True)


def parse(source: str) -> Json:
    """Raises InvalidText."""
    try:
        return _DECODER.decode(source.strip(" \t\n\r"))
    except (ValueError, RecursionError):
        raise InvalidText("invalid input syntax for type json", detail=f"The input is: {source[:100]}") from None


@lru_cache(maxsize=256)
def _small(source: str) -> Json:
    return parse(source)


def read(source: str) -> Json:
    """A stored json value, never to be changed by the caller: small ones are shared."""
    return _small(source) if len(source) <= 4096 else parse(source)


def quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else decimals.text(value)


def binary(value: Json) -> str:
    """jsonb's text."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{quoted(key)}: {binary(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(binary(item) for item in value) + "]"
    return _number(value)


def compact(value: Json) -> str:
    """json without blanks, in the order it came."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(compact(item) for item in value) + "]"
    return binary(value)


def as_text(value: Json) -> str | None:
    """What ->> gives."""
    if value is None:
        return None
    return value if isinstance(value, str) else binary(value)


def _spans(source: str) -> list[tuple[str | int, str]]:
    """The members of a json container with their own source text, which json (not jsonb) must keep."""
    source = source.strip(" \t\n\r")
    found: list[tuple[str | int, str]] = []
    at, blank = 1, " \t\n\r"
    is_object = source[:1] == "{"
    while at < len(source):
        while source[at] in blank or source[at] == ",":
            at += 1
        if source[at] in "]}":
            break
        key: str | int = len(found)
        if is_object:
            key, at = _DECODER.raw_decode(source, at)
            while source[at] in blank or source[at] == ":":
                at += 1
        _, end = _DECODER.raw_decode(source, at)
        found.append((key, source[at:end]))
        at = end
    return found


def _member(value: Json, key: Any) -> tuple[bool, Json]:
    if isinstance(value, dict) and isinstance(key, str):
        return key in value, value.get(key)
    if isinstance(value, list) and isinstance(key, int):
        at = key if key >= 0 else len(value) + key
        return (True, value[at]) if 0 <= at < len(value) else (False, None)
    return False, None


def get_binary(source: str, key: Any) -> str | None:
    found, value = _member(read(source), key)
    return binary(value) if found else None


def get_text(source: str, key: Any) -> str | None:
    found, value = _member(read(source), key)
    if not found:
        return None
    if isinstance(value, (dict, list)):
        return get(source, key) if source[:1] in "{[" and binary(value) not in source else binary(value)
    return as_text(value)


def get(source: str, key: Any) -> str | None:
    """-> on json: the member as it was written; of equal keys the last."""
    value = read(source)
    found, _ = _member(value, key)
    if not found:
        return None
    if isinstance(key, int) and key < 0:
        key += len(value)
    return next(text for name, text in reversed(_spans(source)) if name == key)


def _steps(path: str) -> list[Any]:
    steps: list[Any] = json.loads(path)
    return steps


def _walk(value: Json, path: str) -> tuple[bool, Json]:
    for step in _steps(path):
        if step is None:
            return False, None
        if isinstance(value, list):
            text = str(step)
            if not text.lstrip("-").isdigit():
                return False, None
            found, value = _member(value, int(text))
        else:
            found, value = _member(value, str(step))
        if not found:
            return False, None
    return True, value


def path_binary(source: str, path: str) -> str | None:
    found, value = _walk(read(source), path)
    return binary(value) if found else None


def path_source(source: str, path: str) -> str | None:
    text: str | None = source
    for step in _steps(path):
        if text is None or step is None:
            return None
        value = read(text)
        key: Any = int(step) if isinstance(value, list) and str(step).lstrip("-").isdigit() else str(step)
        text = get(text, key)
    return text


def path_text(source: str, path: str) -> str | None:
    found, value = _walk(read(source), path)
    return as_text(value) if found else None


def contains(a: Json, b: Json) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return all(key in a and contains(a[key], value) for key, value in b.items())
    if isinstance(a, list):
        if isinstance(b, list):
            return all(any(_matches(item, wanted) for item in a) for wanted in b)
        return not isinstance(b, dict) and any(_matches(item, b) for item in a)
    return _same(a, b)


def _matches(item: Json, wanted: Json) -> bool:
    if isinstance(wanted, (dict, list)):
        return type(item) is type(wanted) and contains(item, wanted)
    return _same(item, wanted)


def _same(a: Json, b: Json) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b) and isinstance(a, str) == isinstance(b, str)


def exists(source: str, key: str) -> int:
    value = read(source)
    if isinstance(value, dict):
        return int(key in value)
    if isinstance(value, list):
        return int(any(isinstance(item, str) and item == key for item in value))
    return int(isinstance(value, str) and value == key)


def delete(source: str, key: Any) -> str:
    value = parse(source)
    keys = json.loads(key) if isinstance(key, str) and key.startswith("[") and isinstance(value, dict) else [key]
    if not isinstance(value, (dict, list)):
        raise InvalidParameterValue("cannot delete from scalar")
    for each in keys:
        if isinstance(value, dict):
            if isinstance(each, int):
                raise InvalidParameterValue("cannot delete from object using integer index")
            value.pop(each, None)
        elif isinstance(each, int):
            at = each if each >= 0 else len(value) + each
            if 0 <= at < len(value):
                del value[at]
        else:
            value = [item for item in value if item != each]
    return binary(value)


def delete_path(source: str, path: str) -> str:
    value = parse(source)
    steps = _steps(path)
    holder = value
    for step in steps[:-1]:
        found, holder = _member(holder, int(step) if isinstance(holder, list) else step)
        if not found:
            return binary(value)
    if steps:
        last = steps[-1]
        if isinstance(holder, dict):
            holder.pop(last, None)
        elif isinstance(holder, list):
            at = int(last)
            at = at if at >= 0 else len(holder) + at
            if 0 <= at < len(holder):
                del holder[at]
    return binary(value)


def concatenate(a: str, b: str) -> str:
    one, other = read(a), read(b)
    if isinstance(one, dict) and isinstance(other, dict):
        return binary({**one, **other})
    lists = [each if isinstance(each, list) else [each] for each in (one, other)]
    return binary(lists[0] + lists[1])


def _place(source: str, path: str, new: str, change: Callable[[Any, Any, bool], None]) -> str:
    value = parse(source)
    steps = _steps(path)
    holder = value
    if not steps:
        return source
    for step in steps[:-1]:
        key = int(step) if isinstance(holder, list) else step
        found, inner = _member(holder, key)
        if not found:
            return binary(value)
        holder = inner
    if not isinstance(holder, (dict, list)):
        return binary(value)
    key = int(steps[-1]) if isinstance(holder, list) else steps[-1]
    change(holder, key, _member(holder, key)[0])
    return binary(value)


def set_at(source: str, path: str, new: str, create: int) -> str:
    item = parse(new)

    def change(holder: Any, key: Any, found: bool) -> None:
        if found:
            holder[key] = item
        elif create:
            if isinstance(holder, dict):
                holder[key] = item
            elif key < 0:
                holder.insert(0, item)
            else:
                holder.append(item)

    return _place(source, path, new, change)


def insert_at(source: str, path: str, new: str, after: int) -> str:
    item = parse(new)

    def change(holder: Any, key: Any, found: bool) -> None:
        if isinstance(holder, dict):
            if found:
                raise InvalidParameterValue("cannot replace existing key")
            holder[key] = item
        else:
            at = key if key >= 0 else max(len(holder) + key, 0)
            holder.insert(at + (1 if after else 0), item)

    return _place(source, path, new, change)


def without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def pretty(value: Json, depth: int = 0) -> str:
    inner, outer = "    " * (depth + 1), "    " * depth
    if isinstance(value, dict) and value:
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        body = ",\n".join(f"{inner}{quoted(key)}: {pretty(value[key], depth + 1)}" for key in keys)
        return f"{{\n{body}\n{outer}}}"
    if isinstance(value, list) and value:
        body = ",\n".join(f"{inner}{pretty(item, depth + 1)}" for item in value)
        return f"[\n{body}\n{outer}]"
    if isinstance(value, (dict, list)):
        return f"{{\n{outer}}}" if isinstance(value, dict) else f"[\n{outer}]"
    return binary(value)


def type_name(source: str) -> str:
    value = read(source)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"


def array_length_of_json(source: str) -> int:
    value = read(source)
    if not isinstance(value, list):
        kind = "an object" if isinstance(value, dict) else "a scalar"
        raise InvalidParameterValue(f"cannot get array length of {'a non-array' if kind == 'an object' else kind}")
    return len(value)


def elements(source: str, how: str) -> list[str | None]:
    value = read(source)
    if not isinstance(value, list):
        kind = "an object" if isinstance(value, dict) else "a scalar"
        raise InvalidParameterValue(f"cannot extract elements from {kind}")
    if how == "text":
        return [as_text(item) for item in value]
    return [text for _, text in _spans(source)] if how == "json" else [binary(item) for item in value]


def pairs(source: str, how: str) -> list[tuple[str, str | None]]:
    value = read(source)
    if not isinstance(value, dict):
        raise InvalidParameterValue(
            "cannot deconstruct an array as an object" if isinstance(value, list) else "cannot deconstruct a scalar"
        )
    if how.startswith("json ") or how == "json":
        return [(str(key), text if how == "json" else as_text(parse(text))) for key, text in _spans(source)]
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    return [(key, as_text(value[key]) if how == "text" else binary(value[key])) for key in keys]


def keys_of(source: str) -> list[str]:
    value = read(source)
    if not isinstance(value, dict):
        raise InvalidParameterValue(
            f"cannot call json_object_keys on {'an array' if isinstance(value, list) else 'a scalar'}"
        )
    return list(value)


def to_numeric(source: str) -> str:
    value = read(source)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise InvalidParameterValue(f"cannot cast jsonb {type_name(source)} to type numeric")
    return _number(value)


def to_bool(source: str) -> int:
    value = read(source)
    if not isinstance(value, bool):
        raise InvalidParameterValue(f"cannot cast jsonb {type_name(source)} to type boolean")
    return int(value)


def object_of(names: str, values: str | None = None) -> str:
    items = json.loads(names)
    if values is None:
        if len(items) % 2:
            raise ArraySubscriptError("array must have even number of elements")
        items, given = items[::2], items[1::2]
    else:
        given = json.loads(values)
    if len(items) != len(given):
        raise ArraySubscriptError("mismatched array dimensions")
    body = ", ".join(
        f"{quoted(str(key))} : {'null' if value is None else quoted(str(value))}"
        for key, value in zip(items, given, strict=True)
    )
    return "{" + body + "}"


def order_key(source: str) -> str:
    """jsonb's order is arbitrary but total in PostgreSQL; here its text is."""
    return source


def key_or_error(name: str | None) -> str:
    if name is None:
        raise InvalidParameterValue("argument 1: key must not be null")
    return name


# -- Arrays ------------------------------------------------------------------------------------------------


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
    16: numbers.read_bool,
    20: lambda text: numbers.read_integer(text, 8),
    21: lambda text: numbers.read_integer(text, 2),
    23: lambda text: numbers.read_integer(text, 4),
    26: lambda text: numbers.read_integer(text, 8),
    700: lambda text: numbers.as_float4(numbers.read_float(text)),
    701: numbers.read_float,
    1700: decimals.read_numeric,
    2950: texts.read_uuid,
    1082: lambda text: moments.read_stamp(text, "date")[0][:10],
    1114: lambda text: moments.read_stamp(text, "timestamp")[0],
    1184: lambda text: moments.read_timestamptz(text, "UTC"),
    1186: lambda text: intervals.text(intervals.read(text)),
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
    return separator.join(item for item in found if item is not None)


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
    return None if source is None else store([new if each == old else each for each in load(source)])


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
    "lfsql_text_to_json": lambda source: (parse(source), source)[1],
    "lfsql_text_to_jsonb": lambda source: binary(parse(source)),
    "lfsql_json_quote": quoted,
    "lfsql_json_get": get,
    "lfsql_jsonb_get": get_binary,
    "lfsql_json_get_text": get_text,
    "lfsql_json_path": path_source,
    "lfsql_jsonb_path": path_binary,
    "lfsql_json_path_text": path_text,
    "lfsql_jsonb_contains": lambda a, b: int(contains(read(a), read(b))),
    "lfsql_jsonb_exists": exists,
    "lfsql_jsonb_exists_any": lambda source, names: int(any(exists(source, name) for name in load(names))),
    "lfsql_jsonb_exists_all": lambda source, names: int(all(exists(source, name) for name in load(names))),
    "lfsql_jsonb_delete": delete,
    "lfsql_jsonb_delete_path": delete_path,
    "lfsql_jsonb_concat": concatenate,
    "lfsql_jsonb_set": set_at,
    "lfsql_jsonb_insert": insert_at,
    "lfsql_jsonb_strip_nulls": lambda source: binary(without_nulls(read(source))),
    "lfsql_json_strip_nulls": lambda source: compact(without_nulls(read(source))),
    "lfsql_jsonb_pretty": lambda source: pretty(read(source)),
    "lfsql_jsonb_key": order_key,
    "lfsql_json_typeof": type_name,
    "lfsql_json_array_length": array_length_of_json,
    "lfsql_jsonb_to_numeric": to_numeric,
    "lfsql_jsonb_to_bool": to_bool,
    "lfsql_json_object": object_of,
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
    "lfsql_json_key": key_or_error,
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
