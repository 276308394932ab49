"""FOR UPDATE and its kin: where they may stand, in PostgreSQL's words; and the tree without them.

Rows are not locked one by one: there is one writer, and whoever asks for a lock takes it.  So the clauses say that
the statement is the primary's, and are gone from what SQLite is given.  What PostgreSQL would refuse is refused here,
or a client would believe that it holds a lock on rows of which there are none, such as those of a GROUP BY.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlglot import exp

from lfsql.errors import FeatureNotSupported, UndefinedTable
from proxy.sql.infer import identifier_name
from proxy.sql.lexer import WORD, Token, syntax_error
from proxy.sql.signatures import aggregates, window_functions

_MUST_COME_BEFORE = frozenset(("where", "group", "having", "window", "order", "union", "intersect", "except"))


def unlocked(tree: exp.Expression, found: Sequence[Token]) -> exp.Expression:
    """The tree without locking clauses.  Raises FeatureNotSupported, UndefinedTable, StatementSyntax."""
    locking = [node for node in tree.walk() if isinstance(node, exp.Expression) and node.args.get("locks")]
    if not locking:
        return tree
    _check_order(found)
    for node in locking:
        _check(node)
    copy = tree.copy()
    for query in copy.find_all(exp.Query):
        if query.args.get("locks"):
            query.set("locks", None)
    return copy


def waits_for_nobody(tree: exp.Expression) -> bool:
    """Whether a lock of it is to be had at once or not at all."""
    return any(lock.args.get("wait") is True for lock in tree.find_all(exp.Lock))


def _check_order(found: Sequence[Token]) -> None:
    """sqlglot reads the clauses of a SELECT in any order."""
    locked = False
    for at, token in enumerate(found):
        ahead = found[at + 1].value if at + 1 < len(found) else ""
        if token.kind == WORD and token.value == "for" and ahead in ("update", "no", "share", "key"):
            locked = True
        elif token.text in ("(", ")"):
            locked = False
        elif locked and token.kind == WORD and token.value in _MUST_COME_BEFORE:
            raise syntax_error("syntax error", token.text, token.start)


def _check(node: exp.Expression) -> None:
    locks: list[exp.Expression] = node.args["locks"]
    spelled = _spelled(locks[0])
    if isinstance(node, exp.Values):
        raise FeatureNotSupported(f"{spelled} cannot be applied to VALUES")
    above = node.parent
    while isinstance(above, exp.Subquery):
        above = above.parent
    while isinstance(node, exp.Subquery):
        node = node.this
    refused = ""
    if isinstance(above, exp.SetOperation) or isinstance(node, exp.SetOperation):
        refused = "UNION/INTERSECT/EXCEPT"
    elif node.args.get("distinct"):
        refused = "DISTINCT clause"
    elif node.args.get("group"):
        refused = "GROUP BY clause"
    elif node.args.get("having"):
        refused = "HAVING clause"
    elif _calls(node, aggregates().keys()):
        refused = "aggregate functions"
    elif _calls(node, window_functions().keys()):
        refused = "window functions"
    if refused:
        raise FeatureNotSupported(f"{spelled} is not allowed with {refused}")
    named = _from_names(node)
    for lock in locks:
        for table in lock.expressions:
            if identifier_name(table.this) not in named:
                raise UndefinedTable(
                    f'relation "{identifier_name(table.this)}" in {_spelled(lock)} clause not found in FROM clause'
                )


def _spelled(lock: exp.Expression) -> str:
    key = lock.args.get("key")
    if lock.args.get("update"):
        return "FOR NO KEY UPDATE" if key else "FOR UPDATE"
    return "FOR KEY SHARE" if key else "FOR SHARE"


def _calls(node: exp.Expression, names: Collection[str]) -> bool:
    """Whether the select list calls one of these, subqueries apart."""
    waiting = list(node.expressions)
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, exp.Query):
            continue
        if isinstance(inner, exp.Anonymous) and inner.name.lower() in names:
            return True
        waiting += inner.iter_expressions()
    return False


def _from_names(node: exp.Expression) -> set[str]:
    """What FROM calls its items."""
    clause = node.args.get("from_")
    items = [] if clause is None else [clause.this]
    items += [join.this for join in node.args.get("joins") or ()]
    found: set[str] = set()
    for item in items:
        found.add(item.alias_or_name)
        found |= {join.this.alias_or_name for join in item.args.get("joins") or ()}
    return found
