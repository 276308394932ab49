"""Which literals of a statement may become variables without changing what it means.

Decided once per shape, on the tree: a literal is lifted only where it stands for a value and for nothing else.
ORDER BY 1 is a position, the 1 of varchar(1) part of a type, '1 day' in INTERVAL '1 day' is read when the tree is
built, a constant pattern of LIKE becomes one that an index serves, and a function may look at its constant while it
is translated: those stay in the text, and in the plan's key.  In a query that groups, `a + 1` must stay the same
expression in SELECT and GROUP BY.

At the end the lifted statement is parsed and its variables are replaced by the literals again: only when that gives
the tree of the original text is the shape lifted at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from lfsql.errors import StatementError
from proxy.sql.lexer import NUMBER, PARAMETER, STRING, WORD, Token
from proxy.sql.parsing import parse_statement
from proxy.sql.schema import Schema
from proxy.sql.verbs import into_target

_STARTS: Final = frozenset(("select", "insert", "update", "delete", "values", "with"))
_VALUE_FOLLOWS: Final = frozenset(
    (
        "select",
        "all",
        "and",
        "or",
        "not",
        "like",
        "ilike",
        "then",
        "else",
        "when",
        "case",
        "between",
        "limit",
        "offset",
        "returning",
        "where",
        "having",
        "on",
        "distinct",
    )
)
"""Words after which a literal is a value.  After any other, as in DATE '2024-01-01', it may be something else."""
_TRANSPARENT: Final = (
    exp.Paren,
    exp.Neg,
    exp.Cast,
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Div,
    exp.Mod,
    exp.DPipe,
    exp.Between,
    exp.In,
    exp.ILike,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Case,
    exp.If,
    exp.Tuple,
    exp.Alias,
)
_ROOTS: Final = (
    exp.Where,
    exp.Limit,
    exp.Offset,
    exp.Select,
    exp.Values,
    exp.Update,
    exp.Having,
    exp.Join,
    exp.Insert,
)
_SAFE_FUNCTIONS: Final = frozenset(("coalesce", "nullif", "greatest", "least", "lower", "upper"))


def literal_places(found: Sequence[Token]) -> list[int]:
    """The numbers of the tokens that are literals."""
    return [place for place, token in enumerate(found) if token.kind in (STRING, NUMBER)]


def highest_parameter(found: Sequence[Token]) -> int:
    return max((int(token.text[1:]) for token in found if token.kind == PARAMETER), default=0)


def liftable(found: Sequence[Token], schema: Schema) -> tuple[int, ...]:
    """The ordinals, among the statement's literals, of those that may be lifted."""
    if not found or found[0].kind != WORD or found[0].value not in _STARTS or into_target(found) is not None:
        return ()  # SELECT INTO makes a table, and SQLite's CREATE TABLE takes no variables
    places = literal_places(found)
    candidates = [place for place in places if _may_be_value(found, place)]
    if not candidates:
        return ()
    first = highest_parameter(found) + 1
    try:
        original = parse_statement(found)
        lifted = parse_statement(found, set(candidates), first)
    except StatementError:
        return ()  # whatever is wrong, planning the text itself will say it
    if _has_particular_indexes(original, schema):
        return ()
    nodes = _variables(lifted, first)
    kept = [place for number, place in enumerate(candidates, first) if number in nodes and _is_value(nodes[number])]
    if not kept or not _same(original, found, kept, first):
        return ()
    return tuple(ordinal for ordinal, place in enumerate(places) if place in set(kept))


def _may_be_value(found: Sequence[Token], place: int) -> bool:
    before = found[place - 1]
    return before.kind != WORD or before.value in _VALUE_FOLLOWS


def _variables(tree: exp.Expression, first: int) -> dict[int, exp.Expression]:
    return {
        int(node.name): node
        for node in tree.find_all(exp.Parameter)
        if node.name.isdigit() and int(node.name) >= first
    }


def _is_value(node: exp.Expression) -> bool:
    """Climb to the clause the literal stands in; every step must be one where a variable means the same."""
    child: exp.Expression = node
    parent = node.parent
    while parent is not None:
        if isinstance(parent, _ROOTS):
            return _allowed_in(parent, child)
        if isinstance(parent, exp.Anonymous):
            if parent.name.lower() not in _SAFE_FUNCTIONS:
                return False
        elif not isinstance(parent, _TRANSPARENT) or (isinstance(parent, exp.Cast) and child is not parent.this):
            return False
        child, parent = parent, parent.parent
    return False


def _allowed_in(root: exp.Expression, child: exp.Expression) -> bool:
    select = root if isinstance(root, exp.Select) else root.find_ancestor(exp.Select)
    groups = select is not None and (select.args.get("group") or select.args.get("distinct"))
    if isinstance(root, exp.Select):
        return child.arg_key == "expressions" and not groups
    if isinstance(root, exp.Having):
        return not groups
    if isinstance(root, exp.Join):
        return child.arg_key == "on"
    return not isinstance(root, exp.Insert)


def _has_particular_indexes(tree: exp.Expression, schema: Schema) -> bool:
    """A partial index, or one over an expression, is used only where the text has the same constants."""
    for table in tree.find_all(exp.Table):
        relation = schema.relations.get(table.name)
        if relation is not None and any(index.partial or None in index.columns for index in relation.indexes):
            return True
    return False


def _same(original: exp.Expression, found: Sequence[Token], kept: Sequence[int], first: int) -> bool:
    """Whether the lifted tree with its literals put back is the original."""
    tree = parse_statement(found, set(kept), first)
    for number, node in _variables(tree, first).items():
        token = found[kept[number - first]]
        literal = exp.Literal(this=token.value, is_string=token.kind == STRING)
        node.replace(literal)
    return tree == original
