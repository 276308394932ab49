"""How psql prints a built-in function's signature."""

from __future__ import annotations

from functools import cache

from proxy.sql.catalog.builtin_procedures import PROCEDURES
from proxy.sql.catalog.types_table import format_type


@cache
def _signatures() -> dict[int, tuple[tuple[int, ...], int, bool]]:
    """Argument types, result type, whether it returns a set, by OID."""
    found: dict[int, tuple[tuple[int, ...], int, bool]] = {}
    for entry in PROCEDURES.split(";"):
        field = entry.split()
        if field:
            arguments = () if field[7] == "-" else tuple(int(each) for each in field[7].split(","))
            found[int(field[0])] = (arguments, int(field[3]), field[4] == "1")
    return found


def arguments_text(oid: int | str) -> str | None:
    """pg_get_function_arguments(); None for a function that is not in pg_proc."""
    found = _signatures().get(int(oid))
    return None if found is None else ", ".join(format_type(each) or "" for each in found[0])


def result_text(oid: int | str) -> str | None:
    """pg_get_function_result(); None for a function that is not in pg_proc."""
    found = _signatures().get(int(oid))
    if found is None:
        return None
    return f"SETOF {format_type(found[1])}" if found[2] else format_type(found[1])
