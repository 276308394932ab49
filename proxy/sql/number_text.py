"""Whole numbers in a statement's text: their types, and their use as places.

Python turns no more than 4,300 digits into an int, and a client may send more: the length is looked at first.
"""

from __future__ import annotations

from lfsql.errors import StatementSyntax
from proxy.pg.oids import INT4, INT8, NUMERIC


def number_oid(text: str) -> int:
    """INT4, INT8 or NUMERIC, as PostgreSQL's lexer types an unsigned number."""
    if text.isdigit():
        digits = text.lstrip("0")
        if len(digits) < 10 or (len(digits) == 10 and int(digits) < 2**31):
            return INT4
        if len(digits) < 19 or (len(digits) == 19 and int(digits) < 2**63):
            return INT8
    return NUMERIC


def whole(text: str) -> int:
    """The value of digits that `number_oid` gave an integer type."""
    return int(text.lstrip("0") or "0")


def position_of(text: str, clause: str) -> int:
    """The number of a column, as in ORDER BY 2.  Raises StatementSyntax for any other number."""
    if number_oid(text) != INT4:
        raise StatementSyntax(f"non-integer constant in {clause}")
    return whole(text)
