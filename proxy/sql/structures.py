"""Arrays and json: constructors, subscripts, operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import DatatypeMismatch, FeatureNotSupported, StatementSyntax
from proxy.pg import oids
from proxy.pg.oids import BOOL, INT4, JSON, JSONB, TEXT
from proxy.sql import operators
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.infer import array_of, common_type, spelled
from proxy.sql.predicates import plain
from proxy.sql.scope import Scope
from proxy.sql.value import Analysis, Value

if TYPE_CHECKING:
    from proxy.sql.expressions import Expressions


_JSON_OPERATORS: Final = {
    "->": "lfsql_json_get",
    "->>": "lfsql_json_get_text",
    "#>": "lfsql_json_path",
    "#>>": "lfsql_json_path_text",
}
_ARRAY_OPERATORS: Final = {"@>": "lfsql_array_contains", "&&": "lfsql_array_overlaps"}

_ITEMS_MAX: Final = 100


class Structures:
    def __init__(self, analysis: Analysis, expressions: Expressions) -> None:
        self.analysis = analysis
        self.expressions = expressions
        self.queries = expressions.queries

    def operate(self, symbol: str, left: Value, right: Value) -> Value:
        """Operators of json, jsonb and arrays."""
        analysis = self.analysis
        if symbol == "<@":
            return self.operate("@>", right, left)
        if symbol in _JSON_OPERATORS:
            left = coerce(analysis, left, JSONB) if left.unknown else settled(analysis, left)
            if left.oid not in (JSON, JSONB):
                raise operators.missing(symbol, left.oid, right.oid)
            if symbol.startswith("#"):
                right = coerce(analysis, right, oids.ARRAYS[TEXT])
            elif right.unknown:
                right = coerce(analysis, right, TEXT)
            right = checked(settled(analysis, right))
            result = TEXT if symbol.endswith(">>") else left.oid
            function = _JSON_OPERATORS[symbol]
            if left.oid == JSONB and result == JSONB:
                function = function.replace("lfsql_json_", "lfsql_jsonb_")
            return Value(f"{function}({left.sql}, {right.sql})", result)
        if symbol in ("?", "?|", "?&"):
            left = coerce(analysis, left, JSONB)
            right = coerce(analysis, right, TEXT if symbol == "?" else oids.ARRAYS[TEXT])
            function = {"?": "jsonb_exists", "?|": "lfsql_jsonb_exists_any", "?&": "lfsql_jsonb_exists_all"}[symbol]
            function = "lfsql_jsonb_exists" if function == "jsonb_exists" else function
            return Value(f"{function}({left.sql}, {right.sql})", BOOL)
        if symbol == "#-":
            left, right = coerce(analysis, left, JSONB), coerce(analysis, right, oids.ARRAYS[TEXT])
            return Value(f"lfsql_jsonb_delete_path({left.sql}, {right.sql})", JSONB)
        if symbol in _ARRAY_OPERATORS:
            kind = left.oid if not left.unknown else right.oid
            if kind == JSONB and symbol == "@>":
                left, right = coerce(analysis, left, JSONB), coerce(analysis, right, JSONB)
                return Value(f"lfsql_jsonb_contains({left.sql}, {right.sql})", BOOL)
            if kind in oids.ELEMENTS:
                left, right = coerce(analysis, left, kind), coerce(analysis, right, kind)
                return Value(f"{_ARRAY_OPERATORS[symbol]}({left.sql}, {right.sql})", BOOL)
        raise operators.missing(symbol, left.oid, right.oid)

    def array(self, node: exp.Expression, scope: Scope) -> Value:
        return self.array_of(node, scope, 0)

    def array_of(self, node: exp.Expression, scope: Scope, element: int) -> Value:
        items = node.expressions
        if len(items) == 1 and isinstance(plain(items[0]), exp.Query):
            inner = self.queries.query(items[0], scope)
            if len(inner.outputs) != 1:
                raise StatementSyntax("subquery must return only one column")
            output = settled(self.analysis, inner.outputs[0])
            if element:
                output = coerce(self.analysis, output, element, level="explicit")
            text = inner.render([output.of(operators.array_item(output))], ["v"])
            return Value(f'(SELECT json_group_array("v") FROM ({text}))', array_of(output.oid))
        nested = any(isinstance(plain(item), exp.Array) for item in items)
        if nested:
            values = [self.array_of(plain(item), scope, element) for item in items]
            target = values[0].oid
        else:
            values = [self.expressions.visit(item, scope) for item in items]
            if not values and not element:
                raise operators.untyped_array()
            scalar = element or common_type((value.oid for value in values), "ARRAY")
            level = "explicit" if element else "implicit"
            values = [coerce(self.analysis, value, scalar, level=level) for value in values]  # type: ignore[arg-type]  # a conditional of two literals
            target = array_of(scalar)
        return Value(_array([operators.array_item(value) for value in values]), target, not_null=True)

    def subscript(self, node: exp.Expression, scope: Scope) -> Value:
        indexes: list[exp.Expression] = []
        inner: exp.Expression = node
        while isinstance(inner, exp.Bracket):
            indexes[:0] = inner.expressions
            inner = inner.this
        value = self.expressions.settled(inner, scope)
        if value.oid == JSONB:
            for index in indexes:
                value = self.operate("->", value, self.expressions.visit(index, scope))
            return value
        element = oids.ELEMENTS.get(value.oid) or operators.VECTORS.get(value.oid)
        if element is None:
            raise DatatypeMismatch(f"cannot subscript type {spelled(value.oid)} because it does not support it")
        if any(isinstance(index, exp.Slice) for index in indexes):
            if len(indexes) > 1:
                raise FeatureNotSupported("slices of arrays with several dimensions are not supported")
            low = self._place(indexes[0].this, scope, "1")
            high = self._place(indexes[0].args.get("expression"), scope, "NULL")
            return Value(f"lfsql_array_slice({value.sql}, {low}, {high})", value.oid)
        places = ", ".join(self._place(index, scope, "") for index in indexes)
        if value.oid in operators.VECTORS:
            places = f"{places} + 1"  # they count from 0
        return Value(f"lfsql_array_get({value.sql}, {places})", element)

    def _place(self, node: exp.Expression | None, scope: Scope, default: str) -> str:
        if node is None:
            return default
        return checked(coerce(self.analysis, self.expressions.visit(node, scope), INT4)).sql


def _array(items: Sequence[str]) -> str:
    """An array of any length; one call takes no more than 127."""
    if len(items) <= _ITEMS_MAX:
        return f"json_array({', '.join(items)})"
    middle = len(items) // 2
    return f"lfsql_array_cat({_array(items[:middle])}, {_array(items[middle:])})"
