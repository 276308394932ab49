"""The names PostgreSQL gives to constraints, indexes and sequences that were not named (ChooseConstraintName)."""

from __future__ import annotations

from collections.abc import Container, Sequence

_NAME_BYTES = 63


def choose_name(table: str, columns: Sequence[str], label: str, taken: Container[str]) -> str:
    """`table_column_label`, cut to 63 bytes as PostgreSQL cuts it, with a number when it is taken."""
    middle = "_".join(columns)
    number = 0
    while True:
        suffix = label + (str(number) if number else "")
        name = _object_name(table, middle, suffix)
        if name not in taken:
            return name
        number += 1


def _object_name(first: str, second: str, label: str) -> str:
    """makeObjectName: the longer of the two parts loses bytes until the whole fits."""
    overhead = len(label.encode()) + 1 + (1 if second else 0)
    one, two = first.encode(), second.encode()
    length_one, length_two = len(one), len(two)
    while length_one + length_two + overhead > _NAME_BYTES:
        if length_one > length_two:
            length_one -= 1
        else:
            length_two -= 1
    parts = [one[:length_one].decode(errors="ignore")]
    if second:
        parts.append(two[:length_two].decode(errors="ignore"))
    return "_".join((*parts, label))
