"""Files as psql reads them."""

from __future__ import annotations

import pytest

from proxy.sql.lexer import Dialect
from proxy.sql.scripts import RESUMPTIONS_MAX, Script


def pieces(text: str, dialect: Dialect = "postgresql") -> list[tuple[int, str]]:
    script = Script(text)
    found = []
    while (piece := script.next(dialect)) is not None:
        found.append((piece.line, ("psql: " if piece.kind == "psql" else "") + piece.text))
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        (" ;; -- nothing\n;", []),
        ("a; b", [(1, "a"), (1, "b")]),
        ("-- no\n\na\n  b;\nc;", [(3, "a\n  b"), (5, "c")]),
        (
            "E'\\'; x'; $x$ ; $$ $x$; \"a;\"; 'it''s;'",
            [(1, t) for t in ("E'\\'; x'", "$x$ ; $$ $x$", '"a;"', "'it''s;'")],
        ),
        (
            "/* ; /* ; */ ; */ a;\n/* lfsql: route=n2 */\nb",
            [(1, "/* ; /* ; */ ; */ a"), (3, "/* lfsql: route=n2 */\nb")],
        ),
        ("f(a; b); c", [(1, "f(a; b)"), (1, "c")]),
        ("copy t from stdin;\n1;'\n\\.\na;", [(1, "copy t from stdin"), (4, "a")]),
        ("COPY t (a, b)\nFROM STDIN (FORMAT csv);\n1\n", [(1, "COPY t (a, b)\nFROM STDIN (FORMAT csv)")]),
        ("\\dt\n a;\\x on\n b \\gset\n c", [(1, "psql: \\dt"), (2, "a"), (2, "psql: \\x on"), (3, "b"), (4, "c")]),
        ("\\copy t from stdin\n1'\n\\.\na", [(1, "psql: \\copy t from stdin"), (4, "a")]),
        ("a\\;b;", [(1, "a"), (1, "b")]),
    ],
)
def test_pieces(text: str, wanted: list[tuple[int, str]]) -> None:
    assert pieces(text) == wanted


@pytest.mark.parametrize("text", ["a 'x\nb; c\nd", 'a "x\nb; c\nd', "a /* x\nb; c\nd", "a $$ x\nb; c\nd"])
def test_what_never_ends_does_not_take_the_rest_with_it(text: str) -> None:
    assert pieces(text) == [(1, text.splitlines()[0]), (2, "b"), (2, "c\nd")]
    assert pieces("(x;\n b;") == [(1, "(x"), (2, "b")]


def test_reading_on_is_bounded() -> None:
    found = pieces("(;\n" * (RESUMPTIONS_MAX + 50))
    assert len(found) == RESUMPTIONS_MAX + 1


def test_sqlites_quotes_and_triggers() -> None:
    trigger = "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; SELECT [;]; END"
    assert pieces(f"{trigger};\nSELECT `;`; x /* ;", "sqlite") == [(1, trigger), (2, "SELECT `;`"), (2, "x /* ;")]


def test_the_dialect_may_change_from_one_to_the_next() -> None:
    script = Script("a; [;]; b")
    read = [script.next("postgresql"), script.next("sqlite"), script.next("postgresql")]
    assert [piece.text for piece in read if piece is not None] == ["a", "[;]", "b"]
