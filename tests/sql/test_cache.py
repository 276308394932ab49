"""The plan cache: what is lifted out of a text, what never is, and that nothing grows without bound."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import InvalidText, LfsqlError, UndefinedTable
from proxy.pg import oids
from proxy.sql.cache import SCHEMAS_MAX, PlanCache
from proxy.sql.fingerprint import CHARACTERS_MAX, LITERALS_MAX, Literal, fingerprint
from proxy.sql.lexer import NUMBER, STRING, tokens
from proxy.sql.lifting import literal_places
from proxy.sql.plan import Kind
from proxy.sql.planner import plan
from proxy.sql.schema import Column, Index, Relation, Schema

COLUMNS = (
    Column("a", 23, -1, 1, "int4 integer"),
    Column("b", 25, -1, 2, "text"),
    Column("c", 1700, ((10 << 16) | 2) + 4, 3, "numeric text(10,2)"),
    Column("d", 1114, -1, 4, "timestamp text"),
)
TABLE = Relation("t", 20000, "table", COLUMNS, "")
PARTIAL = replace(TABLE, name="p", indexes=(Index("i", ("a",), False, "c", "", partial=True),))


@pytest.fixture
def schema() -> Schema:
    return Schema(7, {"t": TABLE, "p": PARTIAL})


# -- Fingerprints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("a = 5", [(oids.INT4, "5")]),
        ("a = 2147483647, 2147483648", [(oids.INT4, "2147483647"), (oids.INT8, "2147483648")]),
        (
            "9223372036854775807 9223372036854775808",
            [(oids.INT8, "9223372036854775807"), (1700, "9223372036854775808")],
        ),
        ("1.5 1. 1e5", [(1700, "1.5"), (1700, "1."), (1700, "1e5")]),
        ("'it''s' ''", [(oids.UNKNOWN, "it's"), (oids.UNKNOWN, "")]),
        ("t1 $1 a$2 \"x'5\" -- 'c' 5\n /* 'd' 5 */", []),
        ("a-5", [(oids.INT4, "5")]),
        ("'a'::text", [(oids.UNKNOWN, "a")]),
        ("00012", [(oids.INT4, "00012")]),
    ],
)
def test_literals_are_taken_out_with_their_class(text: str, literals: list[tuple[int, str]]) -> None:
    found = fingerprint(text)
    assert found is not None
    assert list(found.literals) == [Literal(*each) for each in literals]


@pytest.mark.parametrize(
    "text",
    [
        "$$x$$",
        "$a$x$a$",
        "E'x'",
        "U&'x'",
        "b'01'",
        "'open",
        '"open',
        "/* /* */ */",
        "/* open",
        ".5",
        "1..2",
        "1abc",
        "a \x01s",
        "x" * (CHARACTERS_MAX + 1),
        "1," * (LITERALS_MAX + 1),
    ],
)
def test_unclear_texts_are_left_to_the_lexer(text: str) -> None:
    assert fingerprint(text) is None


def test_shapes_differ_where_meanings_differ() -> None:
    texts = ["a = 5", "a = '5'", "a = 5.0", "a = 5000000000", "b = 5", "a = $5", 'a = "5"', "a = 5 -- x", "A = 5"]
    shapes = [found.shape for text in texts if (found := fingerprint(text))]
    assert len(set(shapes)) == len(texts)
    again = fingerprint("a = 6")
    assert again is not None
    assert again.shape == shapes[0]


@given(st.text(alphabet="aA1 5.'\"$-/*=(E\n", max_size=30))
def test_a_fingerprint_agrees_with_the_lexer(text: str) -> None:
    found = fingerprint(text)
    if found is None:
        return
    try:
        lexed = tokens(text)
    except LfsqlError:
        return
    values = [lexed[place].value for place in literal_places(lexed)]
    assert {token.kind for token in lexed if token.kind in (STRING, NUMBER)} <= {STRING, NUMBER}
    joined = "\n" in text and "'" in text  # strings joined across lines are one token
    pointed = (
        re.search(r"[\w\"]\.\d", text) is not None
    )  # "a.1": a number to the lexer, left alone by the fingerprint
    if not joined and not pointed:
        assert values == [literal.text for literal in found.literals]


# -- What is lifted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SELECT b FROM t WHERE a = 5", (5,)),
        ("SELECT b FROM t WHERE a = -5", (5,)),
        ("UPDATE t SET a = a + 1, b = 'x' WHERE c > 1.5", (1, "x", "1.5")),
        ("INSERT INTO t (a, b, d) VALUES (1, 'x', '2024-01-01')", (1, "x", "2024-01-01 00:00:00")),
        ("DELETE FROM t WHERE d < '2024-01-01'::timestamp", ("2024-01-01 00:00:00",)),
        ("SELECT b FROM t WHERE a IN (1, 2, 3) AND b LIKE 'x%' LIMIT 10 OFFSET 5", (1, 2, 3, 10, 5)),
        ("SELECT b FROM t WHERE b ILIKE 'x%' AND a = 1", ("x%", 1)),
        ("SELECT b FROM t WHERE a BETWEEN 1 AND 2 OR NOT a = 3 ORDER BY 1", (1, 2, 3)),
        ("SELECT a + 1 FROM t WHERE a > 3 GROUP BY a + 1", (3,)),
        ("SELECT DISTINCT b, 5 FROM t WHERE a = 6", (6,)),
        ("SELECT coalesce(b, 'none') FROM t", ("none",)),
        ("SELECT date_trunc('day', d) FROM t WHERE a = 3", (3,)),
        ("SELECT d + interval '1 day' FROM t WHERE a = 3", (3,)),
        ("SELECT d > timestamp '2024-01-01' FROM t WHERE a = 3", (3,)),
        ("SELECT b::varchar(3) FROM t WHERE b = 'x'", ("x",)),
        ("SELECT CASE WHEN a = 1 THEN 'x' ELSE 'y' END FROM t", (1, "x", "y")),
        ("SELECT b FROM t WHERE a = $1 AND b = 'x'", ("x",)),
        ("SELECT 1, 5000000000, 'x', 1.5", (1, 5000000000, "x", "1.5")),
        ("SELECT b FROM p WHERE a = 5", ()),  # the partial index needs its constant
        ("SELECT b FROM t WHERE b = E'x' AND a = 5", ()),
        ("SELECT extract(year from d) FROM t", ()),
        ("SELECT to_char(d, 'YYYY') FROM t", ()),
        ("CREATE TABLE n (a varchar(5) DEFAULT 'x')", ()),
        ("SET x = 5", ()),
        ("VALUES (1, 'a'), (2, 'b')", (1, "a", 2, "b")),
    ],
)
def test_only_values_are_lifted(schema: Schema, text: str, values: tuple[object, ...]) -> None:
    made, found = PlanCache().plan(text, schema)
    assert found == values
    assert len(made.lifted) == len(values)


def test_a_lifted_plan_promises_what_the_whole_one_does(schema: Schema) -> None:
    for text in ("SELECT a, 'x', 5, 1.5, b || 'y' FROM t WHERE a = 3", "UPDATE t SET c = 5 RETURNING c, 7"):
        lifted, _ = PlanCache().plan(text, schema)
        whole = plan(text, schema)
        assert lifted.lifted
        assert (lifted.columns, lifted.kind, lifted.tag) == (whole.columns, whole.kind, whole.tag)


def test_one_plan_for_a_shape(schema: Schema) -> None:
    cache = PlanCache()
    first, one = cache.plan("SELECT b FROM t WHERE a = 5 AND b = 'x'", schema)
    second, two = cache.plan("SELECT b FROM t WHERE a = 77 AND b = 'it''s'", schema)
    assert first is second
    assert (one, two) == ((5, "x"), (77, "it's"))
    third, _ = cache.plan("SELECT b FROM t WHERE a = 7.5 AND b = 'x'", schema)
    assert third is not first


def test_fixed_literals_are_part_of_the_key(schema: Schema) -> None:
    cache = PlanCache()
    day, one = cache.plan("SELECT date_trunc('day', d) FROM t WHERE a = 1", schema)
    month, two = cache.plan("SELECT date_trunc('month', d) FROM t WHERE a = 2", schema)
    again, three = cache.plan("SELECT date_trunc('day', d) FROM t WHERE a = 3", schema)
    assert day is not month
    assert day is again
    assert (one, two, three) == ((1,), (2,), (3,))


def test_a_lifted_literal_is_checked_by_its_type(schema: Schema) -> None:
    cache = PlanCache()
    cache.plan("SELECT b FROM t WHERE a = '5'", schema)
    with pytest.raises(InvalidText):
        cache.plan("SELECT b FROM t WHERE a = 'five'", schema)
    with pytest.raises(InvalidText):
        PlanCache().plan("SELECT b FROM t WHERE a = 'five'", schema)


def test_without_lifting_the_text_is_the_key(schema: Schema) -> None:
    cache = PlanCache()
    made, values = cache.plan("SELECT b FROM t WHERE a = 5", schema, lift=False)
    assert (values, made.lifted) == ((), ())
    assert cache.plan("SELECT b FROM t WHERE a = 5", schema)[0] is made


# -- What is kept ------------------------------------------------------------------------------------------


def test_plans_belong_to_a_schema_a_dialect_and_parameter_types(schema: Schema) -> None:
    cache = PlanCache()
    text = "SELECT b FROM t WHERE a = $1"
    made, _ = cache.plan(text, schema)
    assert cache.plan(text, schema)[0] is made
    assert cache.plan(text, schema, parameter_oids=(20,))[0].parameters == (20,)
    assert cache.plan(text, schema, dialect="sqlite")[0].typed_by_value
    other = Schema(7, {"t": TABLE})
    assert cache.plan(text, other)[0] is not made
    assert cache.plan(text, schema)[0] is made


def test_errors_are_not_kept(schema: Schema) -> None:
    cache = PlanCache()
    for _ in range(2):
        with pytest.raises(UndefinedTable):
            cache.plan("SELECT * FROM nowhere WHERE a = 5", schema)
    assert len(cache) == 0


def test_bounded_in_number(schema: Schema) -> None:
    cache = PlanCache(plans_max=10)
    for number in range(40):
        cache.plan(f"SHOW x{number}", schema)
        cache.plan("SHOW often", schema)
    assert len(cache) <= 10
    before = cache.plan("SHOW often", schema)[0]
    assert cache.plan("SHOW often", schema)[0] is before


def test_bounded_in_characters(schema: Schema) -> None:
    cache = PlanCache(characters_max=4000)
    for number in range(100):
        cache.plan(f"SELECT b FROM t WHERE a = $1 AND b <> '{number}' OR a = $2", schema, lift=False)
    assert cache.characters <= 4000
    cache.plan("SELECT '" + "x" * CHARACTERS_MAX + "'", schema)
    assert cache.characters <= 4000


def test_bounded_in_schemas() -> None:
    cache = PlanCache()
    schemas = [Schema(number, {"t": TABLE}) for number in range(SCHEMAS_MAX + 3)]
    for each in schemas:
        cache.plan("SELECT a FROM t", each)
    assert len(cache) == SCHEMAS_MAX


def test_shapes_alone_are_bounded_too(schema: Schema) -> None:
    cache = PlanCache(plans_max=10)
    for number in range(30):
        made, _ = cache.plan(f"SELECT b FROM t WHERE a = 5 AND b = $1 OR a = 6 AND a <> $2 -- {number}", schema)
        assert made.kind is Kind.READ
    assert len(cache) <= 10
