"""Expressions: each node of the parsed tree to SQLite text with its PostgreSQL type.

Bottom-up, one visit a node, types and text together: what `a / b` must be written as depends on what a and b
are.  sqlglot's own generator is not used, because its silence is the danger: a node without a method here is an
error (0A000), never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidColumnReference,
    StatementSyntax,
    UndefinedSchema,
)
from proxy.pg import oids
from proxy.pg.oids import (
    BOOL,
    DATE,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
)
from proxy.sql import operators
from proxy.sql.calls import Calls
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.infer import common_type, identifier_name, spelled, type_of
from proxy.sql.predicates import Predicates, chain, plain
from proxy.sql.quoting import string
from proxy.sql.scope import Scope
from proxy.sql.structures import Structures
from proxy.sql.value import CHAIN_MAX, FALSE, NULL, TRUE, Analysis, Value, number_constant

if TYPE_CHECKING:
    from proxy.sql.queries import Queries

_BINARY: Final[dict[type[exp.Expression], str]] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.Pow: "^",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "#",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.DPipe: "||",
    exp.Like: "~~",
    exp.ILike: "~~*",
    exp.RegexpLike: "~",
    exp.RegexpILike: "~*",
}
_WORDS: Final[dict[type[exp.Expression], str]] = {
    exp.CurrentDate: "current_date",
    exp.CurrentTime: "current_time",
    exp.CurrentTimestamp: "current_timestamp",
    exp.Localtime: "localtime",
    exp.Localtimestamp: "localtimestamp",
    exp.CurrentUser: "current_user",
    exp.CurrentRole: "current_role",
    exp.SessionUser: "session_user",
    exp.CurrentCatalog: "current_catalog",
    exp.CurrentSchema: "current_schema",
}
_PATTERNS: Final = {"~~": "like", "~~*": "ilike", "~": "regex", "~*": "iregex"}
_NEGATED_PATTERNS: Final = {"!~~": "like", "!~~*": "ilike", "!~": "regex", "!~*": "iregex"}
_SESSION_WORDS: Final = frozenset(("user", "current_role", "session_user", "current_user", "current_catalog"))


class Expressions:
    """Translates expressions within scopes.  `queries` translates the subqueries they hold."""

    def __init__(self, analysis: Analysis, queries: Queries) -> None:
        self.analysis = analysis
        self.queries = queries
        self.calls = Calls(analysis, self)
        self.predicates = Predicates(analysis, self)
        self.structures = Structures(analysis, self)
        self._visitors: dict[type[exp.Expression], Callable[[exp.Expression, Scope], Value]] = {
            exp.Literal: self._literal,
            exp.ByteString: self._string,
            exp.RawString: self._string,
            exp.National: self._string,
            exp.Concat: self._adjacent_strings,
            exp.Boolean: self._boolean,
            exp.Null: lambda node, scope: NULL,
            exp.Parameter: self._parameter,
            exp.Column: self._column,
            exp.Identifier: self._identifier,
            exp.Paren: lambda node, scope: self.visit(node.this, scope),
            exp.Cast: self._cast,
            exp.Interval: self._interval,
            exp.Collate: self._collate,
            exp.Neg: self._negative,
            exp.Not: self.predicates.not_,
            exp.And: self.predicates.logic,
            exp.Or: self.predicates.logic,
            exp.Is: self.predicates.is_,
            exp.NullSafeEQ: self.predicates.distinct_from,
            exp.NullSafeNEQ: self.predicates.distinct_from,
            exp.Between: self.predicates.between,
            exp.In: self.predicates.in_,
            exp.Escape: self.predicates.escape,
            exp.SimilarTo: self.predicates.similar,
            exp.Operator: self._operator,
            exp.BitwiseNot: self._bitwise_not,
            exp.Case: self._case,
            exp.Exists: self._exists,
            exp.Subquery: self._scalar_subquery,
            exp.Array: self.structures.array,
            exp.Bracket: self.structures.subscript,
            exp.AtTimeZone: self._at_time_zone,
            exp.Extract: self._extract,
            exp.Substring: self._substring,
            exp.StrPosition: self._position,
            exp.Overlay: self._overlay,
            exp.Trim: self._trim,
            exp.Anonymous: self.calls.call,
            exp.Dot: self._dot,
            exp.Filter: self.calls.call,
            exp.Window: self.calls.call,
            exp.WithinGroup: self.calls.call,
            exp.CurrentDate: self._moment,
            exp.CurrentTime: self._moment,
            exp.CurrentTimestamp: self._moment,
            exp.Localtime: self._moment,
            exp.Localtimestamp: self._moment,
            exp.CurrentUser: self._session_word,
            exp.CurrentRole: self._session_word,
            exp.SessionUser: self._session_word,
            exp.CurrentCatalog: self._session_word,
            exp.CurrentSchema: self._session_word,
            exp.Tuple: self.predicates.row,
            exp.Star: self._star,
            exp.Sqrt: lambda node, scope: self.calls.apply("sqrt", [self.visit(node.this, scope)]),
            exp.Cbrt: lambda node, scope: self.calls.apply("cbrt", [self.visit(node.this, scope)]),
        }
        for kind in _BINARY:
            self._visitors[kind] = self._binary

    def visit(self, node: exp.Expression, scope: Scope) -> Value:
        """Raises FeatureNotSupported for what has no translation, and every error of names and types."""
        visitor = self._visitors.get(type(node))
        if visitor is None:
            raise FeatureNotSupported(f"{type(node).__name__} expressions are not supported")
        mark = len(scope.references)
        value = visitor(node, scope)
        if value.sql in scope.grouped:
            del scope.references[mark:]
        return value

    def settled(self, node: exp.Expression, scope: Scope, oid: int = TEXT) -> Value:
        return settled(self.analysis, self.visit(node, scope), oid)

    def condition(self, node: exp.Expression, scope: Scope, clause: str) -> str:
        """SQL of a boolean.  Raises DatatypeMismatch naming the clause."""
        value = self.visit(node, scope)
        if not value.unknown and value.oid != BOOL:
            raise DatatypeMismatch(f"argument of {clause} must be type boolean, not type {spelled(value.oid)}")
        return coerce(self.analysis, value, BOOL).sql

    # -- Leaves ---------------------------------------------------------------------------------------------

    def _literal(self, node: exp.Expression, scope: Scope) -> Value:
        if node.args.get("is_string"):
            return self._string(node, scope)
        return number_constant(node.name)

    def _string(self, node: exp.Expression, scope: Scope) -> Value:
        text = str(node.this)
        return Value(string(text), UNKNOWN, text=text, simple=True, not_null=True)

    def _adjacent_strings(self, node: exp.Expression, scope: Scope) -> Value:
        text = "".join(str(each.this) for each in node.expressions)
        return Value(string(text), UNKNOWN, text=text, simple=True, not_null=True)

    def _boolean(self, node: exp.Expression, scope: Scope) -> Value:
        return TRUE if node.this else FALSE

    def _parameter(self, node: exp.Expression, scope: Scope) -> Value:
        return self.analysis.variable(int(node.this.name))

    def _column(self, node: exp.Expression, scope: Scope) -> Value:
        if isinstance(node.this, exp.Star):
            return self._star(node, scope)
        column = identifier_name(node.this)
        qualifier = identifier_name(node.args.get("table"))
        if not qualifier and isinstance(node.this, exp.Identifier) and not node.this.quoted:
            if column in _SESSION_WORDS:
                return self.calls.session("current_user" if column == "user" else column, [])
            if column == "default":
                raise StatementSyntax("DEFAULT is not allowed in this context")
        if not scope.columns_allowed:
            raise InvalidColumnReference("cannot use column reference in this expression")
        return scope.resolve(column, qualifier)

    def _identifier(self, node: exp.Expression, scope: Scope) -> Value:
        return scope.resolve(identifier_name(node))

    def _star(self, node: exp.Expression, scope: Scope) -> Value:
        raise StatementSyntax("* is not allowed in this context")

    def _dot(self, node: exp.Expression, scope: Scope) -> Value:
        qualifier, inner = node.this, node.expression
        if isinstance(inner, (exp.Anonymous, exp.Window, exp.Filter)) and isinstance(qualifier, exp.Identifier):
            schema = identifier_name(qualifier)
            if schema not in ("pg_catalog", "public"):
                raise UndefinedSchema(f'schema "{schema}" does not exist')
            return self.visit(inner, scope)
        raise FeatureNotSupported("field selection from a composite value is not supported")

    # -- Types ----------------------------------------------------------------------------------------------

    def _cast(self, node: exp.Expression, scope: Scope) -> Value:
        oid, typmod = type_of(node.args["to"])
        inner = node.this
        if isinstance(inner, exp.Array) and oid in oids.ELEMENTS:
            return self.structures.array_of(inner, scope, oids.ELEMENTS[oid])
        value = self.visit(inner, scope)
        return self.cast(value, oid, typmod)

    def cast(self, value: Value, oid: int, typmod: int = -1) -> Value:
        if oid == oids.REGCLASS and value.text is not None and value.unknown:
            relation = self.queries.relation_named(value.text)
            if relation is not None:
                return Value(str(relation.oid), oid, simple=True, not_null=True)
        result = coerce(self.analysis, value, oid, typmod, level="explicit")
        if oid == value.oid and typmod in (-1, value.typmod) and value.text is None:
            return result
        return Value(
            result.sql,
            oid,
            typmod,
            text=result.text if oid in (INT4, INT8) else None,
            simple=result.simple,
            not_null=result.not_null,
        )

    def _interval(self, node: exp.Expression, scope: Scope) -> Value:
        unit = node.args["unit"].name
        text = str(node.this.this)
        last = unit.split(" TO ")[-1].lower()
        spelled_out = f"{text} {last}" if text.strip().lstrip("+-").replace(".", "", 1).isdigit() else text
        value = coerce(self.analysis, Value(string(spelled_out), UNKNOWN, text=spelled_out, simple=True), INTERVAL)
        return value if last == "second" else value.of(f"lfsql_interval_trunc('{last}', {value.sql})")

    def _collate(self, node: exp.Expression, scope: Scope) -> Value:
        collation = node.expression.name.lower()
        if collation not in ("c", "posix", "default", "ucs_basic"):
            raise FeatureNotSupported(f'collation "{node.expression.name}" is not supported; text sorts as in "C"')
        return self.visit(node.this, scope)

    # -- Operators ------------------------------------------------------------------------------------------

    def _binary(self, node: exp.Expression, scope: Scope) -> Value:
        symbol = _BINARY[type(node)]
        if symbol == "||":
            operands = chain(node)
            if len(operands) > CHAIN_MAX:
                return operators.concatenate_all(self.analysis, [self.visit(each, scope) for each in operands])
        right = node.expression
        if isinstance(right, (exp.Any, exp.All)):
            return self.predicates.quantified(symbol, node.this, right.this, scope, every=isinstance(right, exp.All))
        if isinstance(right, exp.Anonymous) and str(right.this).lower() in ("all", "some", "any"):
            every = str(right.this).lower() == "all"
            return self.predicates.quantified(symbol, node.this, right.expressions[0], scope, every=every)
        negate = bool(node.args.get("negate"))
        if symbol in operators.COMPARISONS and isinstance(plain(node.this), (exp.Tuple, exp.Anonymous)):
            row = self.predicates.row_comparison(symbol, node.this, right, scope)
            if row is not None:
                return row
        value = self.operate(symbol, self.visit(node.this, scope), self.visit(right, scope))
        return Value(f"(NOT {value.sql})", BOOL) if negate else value

    def operate(self, symbol: str, left: Value, right: Value) -> Value:
        """A binary operator by its symbol.  Raises UndefinedFunction when these types have none."""
        analysis = self.analysis
        symbol = "<>" if symbol == "!=" else symbol
        if symbol in operators.COMPARISONS:
            return operators.compare(analysis, symbol, left, right)
        if symbol in operators.ARITHMETIC:
            return operators.arithmetic(analysis, symbol, left, right)
        if symbol == "||":
            return operators.concatenate(analysis, left, right)
        if symbol in _PATTERNS:
            return operators.pattern_match(analysis, _PATTERNS[symbol], left, right)
        if symbol in _NEGATED_PATTERNS:
            matched = operators.pattern_match(analysis, _NEGATED_PATTERNS[symbol], left, right)
            return Value(f"(NOT {matched.sql})", BOOL)
        if symbol in ("&", "|", "#", "<<", ">>"):
            return operators.bitwise(analysis, symbol, left, right)
        if symbol == "^@":
            return self.calls.apply("starts_with", [left, right])
        return self.structures.operate(symbol, left, right)

    def _operator(self, node: exp.Expression, scope: Scope) -> Value:
        symbol = str(node.args["operator"]).split(".")[-1].strip()
        right = node.expression
        if isinstance(right, exp.Any):
            return self.predicates.quantified(symbol, node.this, right.this, scope, every=False)
        return self.operate(symbol, self.visit(node.this, scope), self.visit(right, scope))

    def _negative(self, node: exp.Expression, scope: Scope) -> Value:
        return operators.negative(self.analysis, self.visit(node.this, scope))

    def _bitwise_not(self, node: exp.Expression, scope: Scope) -> Value:
        value = self.settled(node.this, scope, INT4)
        if value.oid not in (INT2, INT4, INT8):
            raise operators.missing("~", None, value.oid)
        return Value(f"(~{checked(value).sql})", value.oid)

    # -- Conditionals ---------------------------------------------------------------------------------------

    def unified(self, values: Sequence[Value], what: str) -> tuple[list[Value], int, int]:
        """Values in their common type, with the type and the typmod they share."""
        target = common_type((value.oid for value in values), what)
        converted = [checked(coerce(self.analysis, value, target)) for value in values]
        same = len({value.typmod for value in values}) == 1 and all(value.oid == target for value in values)
        return converted, target, values[0].typmod if same else -1

    def _case(self, node: exp.Expression, scope: Scope) -> Value:
        subject = node.this
        branches = node.args["ifs"]
        default = node.args.get("default")
        results = [self.visit(each.args["true"], scope) for each in branches]
        results.append(self.visit(default, scope) if default is not None else NULL)
        # PostgreSQL looks at the default first when it settles the type; the order matters for messages only.
        converted, target, typmod = self.unified(results, "CASE")
        text = "CASE"
        for each, result in zip(branches, converted, strict=False):
            if subject is not None:
                test = operators.compare(
                    self.analysis, "=", self.visit(subject, scope), self.visit(each.this, scope)
                ).sql
            else:
                test = self.condition(each.this, scope, "CASE/WHEN")
            text += f" WHEN {test} THEN {result.sql}"
        if default is not None:
            text += f" ELSE {converted[-1].sql}"
        return Value(f"({text} END)", target, typmod)

    # -- Subqueries -----------------------------------------------------------------------------------------

    def _exists(self, node: exp.Expression, scope: Scope) -> Value:
        inner = self.queries.query(node.this, scope)
        outputs = [settled(self.analysis, output) for output in inner.outputs]
        return Value(f"EXISTS ({inner.render(outputs)})", BOOL, not_null=True)

    def _scalar_subquery(self, node: exp.Expression, scope: Scope) -> Value:
        inner = self.queries.query(node, scope)
        if len(inner.outputs) != 1:
            raise StatementSyntax("subquery must return only one column")
        output = checked(settled(self.analysis, inner.outputs[0]))
        return Value(f"({inner.render([output])})", output.oid, output.typmod)

    # -- Functions with a syntax of their own ---------------------------------------------------------------

    def _at_time_zone(self, node: exp.Expression, scope: Scope) -> Value:
        zone = self.visit(node.args["zone"], scope)
        moment = self.visit(node.this, scope)
        if moment.unknown:
            moment = coerce(self.analysis, moment, TIMESTAMPTZ)
        return self.calls.apply("timezone", [zone, moment])

    def _extract(self, node: exp.Expression, scope: Scope) -> Value:
        part = string(node.this.name.lower())
        field = Value(part, TEXT, simple=True)
        return self.calls.apply("extract", [field, self.visit(node.expression, scope)])

    def _substring(self, node: exp.Expression, scope: Scope) -> Value:
        arguments = [self.visit(node.this, scope)]
        start, length = node.args.get("start"), node.args.get("length")
        if start is None and length is not None:
            arguments.append(number_constant("1"))
        elif start is not None:
            arguments.append(self.visit(start, scope))
        if length is not None:
            arguments.append(self.visit(length, scope))
        return self.calls.apply("substring", arguments)

    def _position(self, node: exp.Expression, scope: Scope) -> Value:
        return self.calls.apply("position", [self.visit(node.args["substr"], scope), self.visit(node.this, scope)])

    def _overlay(self, node: exp.Expression, scope: Scope) -> Value:
        parts = [node.this, node.expression, node.args["from_"], node.args.get("for_")]
        return self.calls.apply("overlay", [self.visit(part, scope) for part in parts if part is not None])

    def _trim(self, node: exp.Expression, scope: Scope) -> Value:
        side = str(node.args.get("position") or "BOTH").upper()
        arguments = [self.visit(node.this, scope)]
        if node.expression is not None:
            arguments.append(self.visit(node.expression, scope))
        return self.calls.apply({"LEADING": "ltrim", "TRAILING": "rtrim"}.get(side, "btrim"), arguments)

    def _moment(self, node: exp.Expression, scope: Scope) -> Value:
        """current_date and its kin.  They change from call to call of a statement, never within one."""
        return self.moment(_WORDS[type(node)])

    def moment(self, word: str, precision: int = -1) -> Value:
        target = {
            "current_date": DATE,
            "current_time": TIMETZ,
            "current_timestamp": TIMESTAMPTZ,
            "localtime": TIME,
            "localtimestamp": TIMESTAMP,
        }[word]
        self.analysis.volatile = True
        now = Value("lfsql_now()", TIMESTAMPTZ, not_null=True)
        if target == TIMETZ:
            return Value(f"lfsql_timetz({now.sql}, {self.analysis.time_zone()})", TIMETZ, not_null=True)
        return coerce(self.analysis, now, target, precision, level="explicit")

    def _session_word(self, node: exp.Expression, scope: Scope) -> Value:
        return self.calls.session(_WORDS[type(node)], [])
