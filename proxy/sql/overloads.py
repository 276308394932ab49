"""A call taken apart, and how well a signature fits its arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from lfsql.errors import FeatureNotSupported, UndefinedFunction, UndefinedTable
from proxy.pg import oids
from proxy.pg.oids import INT4, NUMERIC
from proxy.sql import operators
from proxy.sql.infer import PREFERRED, castable, category, function_name, spelled
from proxy.sql.refused_functions import REFUSED_FUNCTIONS
from proxy.sql.signatures import ANY, ANYARRAY, ANYELEMENT, Signature
from proxy.sql.value import Value


@dataclass(slots=True)
class Call:
    """A call taken apart."""

    name: str
    arguments: list[exp.Expression]
    distinct: bool = False
    star: bool = False
    order: list[exp.Expression] = field(default_factory=list)
    within: list[exp.Expression] = field(default_factory=list)
    filter: exp.Expression | None = None
    window: exp.Window | None = None


def take_apart(node: exp.Expression) -> Call:
    window: exp.Window | None = None
    condition: exp.Expression | None = None
    within: list[exp.Expression] = []
    while not isinstance(node, exp.Anonymous):
        if isinstance(node, exp.Window):
            window = node
        elif isinstance(node, exp.Filter):
            condition = node.expression.this
        elif isinstance(node, exp.WithinGroup):
            within = node.expression.expressions
        elif isinstance(node, exp.Dot):
            node = node.expression
            continue
        elif not isinstance(node, exp.Paren):
            raise FeatureNotSupported("FILTER and OVER belong to function calls")
        node = node.this
    call = Call(function_name(node), [], filter=condition, window=window, within=within)
    for argument in node.expressions:
        if isinstance(argument, exp.Order):
            call.order = argument.expressions
            argument = argument.this
        if isinstance(argument, exp.Distinct):
            call.distinct = True
            call.arguments.extend(argument.expressions)
        elif isinstance(argument, exp.Star):
            call.star = True
        else:
            call.arguments.append(argument)
    return call


def expected_types(signature: Signature, count: int) -> tuple[int, ...]:
    if not signature.variadic:
        return signature.arguments
    fixed = signature.arguments[:-1]
    return fixed + (signature.arguments[-1],) * (count - len(fixed))


def score(signature: Signature, arguments: Sequence[Value]) -> float | None:
    """How well the arguments fit; None: not at all."""
    count = len(arguments)
    if signature.variadic:
        if count < len(signature.arguments) - 1:
            return None
    elif count != len(signature.arguments):
        return None
    score = 0.0
    for wanted, value in zip(expected_types(signature, count), arguments, strict=True):
        if wanted == ANY:
            score += 1
        elif wanted == ANYELEMENT:
            score += 1.5
        elif wanted == ANYARRAY:
            if value.oid not in oids.ELEMENTS and not value.unknown and value.oid not in operators.VECTORS:
                return None
            score += 2
        elif value.oid == wanted:
            score += 3
        elif value.unknown:
            score += 2.5 if category(wanted) == "S" else 2.2 if wanted in PREFERRED else 2
        elif castable(value.oid, wanted, "implicit"):
            score += 1.5 if wanted in PREFERRED else 1 + (0.2 if wanted in (INT4, NUMERIC) else 0.1)
        else:
            return None
    return score


def undefined_function(function: str, arguments: Sequence[Value]) -> UndefinedFunction | FeatureNotSupported:
    """The error for a call that no signature fits."""
    reason = REFUSED_FUNCTIONS.get(function)
    if reason is not None:
        return FeatureNotSupported(f"function {function}() is not supported: {reason}")
    types = ", ".join(spelled(value.oid) for value in arguments)
    return UndefinedFunction(
        f"function {function}({types}) does not exist",
        hint="No function matches the given name and argument types. You might need to add explicit type casts.",
    )


def relation_words(text: str) -> list[str]:
    """The parts of a possibly qualified name in a string, as regclass reads them."""
    words = [
        quoted.replace('""', '"') if quoted or not plain else plain.lower()
        for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^."\s]+)', text)
    ]
    if not words:
        raise UndefinedTable(f'relation "{text}" does not exist')
    return words
