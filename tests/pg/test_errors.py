"""Errors as the fields a client receives."""

from __future__ import annotations

from lfsql.errors import StatementSyntax, UniqueViolation
from proxy.pg.errors import FATAL, error_fields, notice_fields


def test_a_constraint_error_names_its_objects() -> None:
    error = UniqueViolation(
        'duplicate key value violates unique constraint "t_pkey"',
        detail="Key (id)=(1) already exists.",
        schema="public",
        table="t",
        column="id",
        datatype="int4",
        constraint="t_pkey",
    )
    assert error_fields(error) == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "23505",
        "M": 'duplicate key value violates unique constraint "t_pkey"',
        "D": "Key (id)=(1) already exists.",
        "s": "public",
        "t": "t",
        "c": "id",
        "d": "int4",
        "n": "t_pkey",
    }


def test_position_and_hint() -> None:
    fields = error_fields(StatementSyntax('syntax error at or near "x"', hint="Look.", position=7), FATAL)
    assert (fields["S"], fields["V"], fields["P"], fields["H"]) == ("FATAL", "FATAL", "7", "Look.")


def test_a_bug_of_ours_tells_the_client_nothing() -> None:
    fields = error_fields(KeyError("/secret/path"))
    assert fields["C"] == "XX000"
    assert "secret" not in "".join(fields.values())


def test_notices() -> None:
    assert notice_fields("there is no transaction in progress", severity="WARNING", sqlstate="25P01", hint="h") == {
        "S": "WARNING",
        "V": "WARNING",
        "C": "25P01",
        "M": "there is no transaction in progress",
        "H": "h",
    }
