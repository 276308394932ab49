"""COPY in its three syntaxes, and PostgreSQL's checks of the options."""

from __future__ import annotations

import pytest

from lfsql.core.requests import RunMany
from lfsql.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidParameterValue,
    LfsqlError,
    StatementSyntax,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from proxy.sql.planner import plan
from proxy.sql.schema import Column, Relation, Schema
from proxy.sql.utility import CopyIn, CopyOptions, CopyOut
from tests.sql.tier import Tier

SCHEMA = Schema(
    3,
    {
        "t": Relation(
            "t", 1, "table", (Column("a", 23, -1, 1, "int4 integer"), Column("B", 1043, 9, 2, "varchar text(5)")), ""
        ),
        "v": Relation("v", 2, "view", (Column("a", 23, -1, 1, ""),), ""),
    },
)


def copy(text: str) -> CopyIn | CopyOut:
    found = plan(text, SCHEMA)
    assert found.tag == "COPY"
    assert found.schema_index == 3
    assert isinstance(found.utility, (CopyIn, CopyOut))
    return found.utility


@pytest.mark.parametrize(
    "text",
    [
        "copy t from stdin",
        "COPY public.t FROM STDIN WITH (FREEZE ON)",
        "copy t from stdin with (freeze on)",
        "COPY t (a, \"B\") FROM STDIN WITH (FORMAT text, DELIMITER E'\\t', NULL '\\N', ENCODING 'UTF-8')",
        "COPY t FROM STDIN USING DELIMITERS E'\\t' WITH NULL AS '\\N'",
        "COPY t FROM STDIN WITH DELIMITER AS E'\\t' NULL '\\N' FREEZE",
        "COPY t FROM STDIN (HEADER off)",
    ],
)
def test_text_in(text: str) -> None:
    assert copy(text) == CopyIn(
        "t", ("a", "B"), (23, 1043), (-1, 9), 'INSERT INTO "t" ("a", "B") VALUES (?1, ?2)', CopyOptions()
    )


@pytest.mark.parametrize(
    "text",
    [
        "COPY t (\"B\") FROM STDIN CSV HEADER DELIMITER ';' QUOTE '|' ESCAPE '!' FORCE NOT NULL \"B\"",
        "COPY t (\"B\") FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', QUOTE '|', ESCAPE '!',FORCE_NOT_NULL (\"B\"))",
    ],
)
def test_csv_in_both_syntaxes(text: str) -> None:
    found = copy(text)
    assert isinstance(found, CopyIn)
    assert found.columns == ("B",)
    assert found.options == CopyOptions(
        format="csv", delimiter=";", null="", header=True, quote="|", escape="!", force_not_null=("B",)
    )


def test_out() -> None:
    assert copy("COPY t TO STDOUT") == CopyOut('SELECT "a", "B" FROM "t"', CopyOptions())
    assert copy("COPY (SELECT a FROM t WHERE a > 1) TO STDOUT (FORMAT binary)") == CopyOut(
        "SELECT a FROM t WHERE a > 1", CopyOptions(format="binary")
    )
    found = copy("COPY t (a) TO STDOUT CSV FORCE QUOTE *")
    assert found == CopyOut(
        'SELECT "a" FROM "t"', CopyOptions(format="csv", delimiter=",", null="", force_quote=None)
    )
    assert copy("COPY BINARY t TO STDOUT").options.format == "binary"
    assert copy("COPY pg_catalog.pg_class (oid) TO STDOUT") == CopyOut('SELECT "oid" FROM "pg_class"', CopyOptions())
    quoted = copy("COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE (a))")
    assert quoted.options.force_quote == ("a",)
    assert copy("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (a))").options.force_null == ("a",)
    assert copy("COPY t FROM STDIN CSV FORCE NULL a").options.force_null == ("a",)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("COPY nowhere FROM STDIN", UndefinedTable, 'relation "nowhere" does not exist'),
        ("COPY v FROM STDIN", WrongObjectType, 'cannot copy to view "v"'),
        ("COPY v TO STDOUT", WrongObjectType, 'cannot copy from view "v"'),
        ("COPY t (z) FROM STDIN", UndefinedColumn, 'column "z" of relation "t" does not exist'),
        ("COPY t (a, a) FROM STDIN", DuplicateColumn, "specified more than once"),
        ("COPY t FROM '/etc/passwd'", InsufficientPrivilege, "a file"),
        ("COPY t TO PROGRAM 'rm'", InsufficientPrivilege, "a program"),
        ("COPY t FROM nonsense", StatementSyntax, 'at or near "nonsense"'),
        ("COPY t", StatementSyntax, "end of input"),
        ("COPY (SELECT 1) FROM STDIN", StatementSyntax, 'at or near "STDIN"'),
        ("COPY () TO STDOUT", StatementSyntax, "syntax error"),
        ("COPY t FROM STDIN WHERE a > 1", FeatureNotSupported, "WHERE"),
        ("COPY t FROM STDIN (FORMAT xml)", InvalidParameterValue, '"xml" not recognized'),
        ("COPY t FROM STDIN (nonsense)", StatementSyntax, 'option "nonsense" not recognized'),
        ("COPY t FROM STDIN (HEADER maybe)", StatementSyntax, "header requires a Boolean value"),
        ("COPY t FROM STDIN (HEADER match)", FeatureNotSupported, "MATCH"),
        ("COPY t FROM STDIN (DELIMITER 'ab')", FeatureNotSupported, "single one-byte character"),
        ("COPY t FROM STDIN (DELIMITER E'\\n')", InvalidParameterValue, "newline"),
        ("COPY t FROM STDIN (DELIMITER 'x')", InvalidParameterValue, 'delimiter cannot be "x"'),
        ("COPY t FROM STDIN (NULL E'a\\nb')", InvalidParameterValue, "null representation"),
        ("COPY t FROM STDIN (NULL E'a\\tb')", InvalidParameterValue, "must not appear in the NULL"),
        ("COPY t FROM STDIN (FORMAT csv, QUOTE ',')", InvalidParameterValue, "must be different"),
        ("COPY t FROM STDIN (FORMAT csv, NULL '\"')", InvalidParameterValue, "CSV quote character"),
        ("COPY t FROM STDIN (FORMAT csv, QUOTE 'ab')", FeatureNotSupported, "quote must be a single"),
        ("COPY t FROM STDIN (FORMAT csv, NULL 'a,')", InvalidParameterValue, "must not appear in the NULL"),
        ("COPY t FROM STDIN (QUOTE '|')", FeatureNotSupported, "quote available only in CSV"),
        ("COPY t FROM STDIN (FORMAT binary, DELIMITER ',')", StatementSyntax, "DELIMITER in BINARY"),
        ("COPY t FROM STDIN (FORMAT binary, NULL ',')", StatementSyntax, "NULL in BINARY"),
        ("COPY t FROM STDIN (FORMAT binary, HEADER)", FeatureNotSupported, "HEADER in BINARY"),
        ("COPY t FROM STDIN (FORMAT csv, FORCE_QUOTE *)", FeatureNotSupported, "COPY TO"),
        ("COPY t TO STDOUT (FORMAT csv, FORCE_NULL (a))", FeatureNotSupported, "COPY FROM"),
        ("COPY t TO STDOUT (FORCE_QUOTE (a))", FeatureNotSupported, "only in CSV"),
        ('COPY t (a) FROM STDIN (FORMAT csv, FORCE_NULL ("B"))', StatementSyntax, "not referenced by COPY"),
        ("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (z))", UndefinedColumn, '"z"'),
        ("COPY t FROM STDIN (ENCODING 'LATIN1')", FeatureNotSupported, "LATIN1"),
        ("COPY t FROM STDIN (DELIMITER ,)", StatementSyntax, 'at or near ","'),
        ("COPY t FROM STDIN CSV FORCE x", StatementSyntax, 'at or near "x"'),
        ("COPY t FROM STDIN CSV nonsense", StatementSyntax, 'at or near "nonsense"'),
    ],
)
def test_errors(text: str, error: type[LfsqlError], message: str) -> None:
    with pytest.raises(error) as raised:
        plan(text, SCHEMA)
    assert message in raised.value.message


def test_a_null_key_is_refused(tier: Tier) -> None:
    tier.run("CREATE TABLE k (id int PRIMARY KEY, v text)")
    found = tier.plan("COPY k FROM STDIN").utility
    assert isinstance(found, CopyIn)
    tier.pair.execute(RunMany(found.insert, ((1, "a"), (2, None))))
    assert tier.sqlite("SELECT * FROM k") == [(1, "a"), (2, None)]
    with pytest.raises(LfsqlError):
        tier.pair.execute(RunMany(found.insert, ((None, "c"),)))
    tier.pair.primary.rollback()
