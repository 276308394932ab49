"""json and jsonb.

json is kept as sent, jsonb as PostgreSQL prints it (keys ordered by length then bytes, ", " and ": ").  Numbers keep
their digits: they are read as Decimal and written as they came.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from lfsql.errors import ArraySubscriptError, InvalidParameterValue, InvalidText
from lfsql.storage.functions import decimals

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
    "lfsql_jsonb_exists_any": lambda source, names: int(any(exists(source, name) for name in json.loads(names))),
    "lfsql_jsonb_exists_all": lambda source, names: int(all(exists(source, name) for name in json.loads(names))),
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
}
SCALARS_WITH_NULLS: Final = {
    "lfsql_json_key": key_or_error,
}
