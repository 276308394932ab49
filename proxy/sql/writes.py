"""INSERT, UPDATE and DELETE.

Values go to their columns by PostgreSQL's assignment casts.  SQLite has no DEFAULT inside VALUES, no USING in
DELETE, no constraint names in ON CONFLICT, and RETURNING there sees the target under its own name only: each is
rewritten here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from lfsql.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    GeneratedAlways,
    InsufficientPrivilege,
    InvariantBroken,
    StatementSyntax,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.grammar import parse_expression
from proxy.sql.infer import column_name, identifier_name
from proxy.sql.queries import Queries
from proxy.sql.quoting import quote
from proxy.sql.schema import Column, Relation
from proxy.sql.scope import Field, Scope, Source, relation_source
from proxy.sql.value import Analysis, Value, null_key

OWN_COLUMNS_ONLY: Final = "RETURNING gives the columns of the changed table only"
ROW_EXPECTED: Final = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression"


@dataclass(slots=True)
class Written:
    """A translated INSERT, UPDATE or DELETE; no outputs without RETURNING."""

    sql: str
    outputs: list[Value]
    names: list[str]


class Writes:
    def __init__(self, analysis: Analysis, queries: Queries) -> None:
        self.analysis = analysis
        self.queries = queries
        self.expressions = queries.expressions

    def _target(self, table: exp.Expression, scope: Scope) -> tuple[Relation, str]:
        """The relation and its alias.  Raises WrongObjectType and InsufficientPrivilege."""
        if not isinstance(table, exp.Table):
            raise StatementSyntax("a table is expected")
        found, database = self.queries.relation(table, Scope())
        if not isinstance(found, Relation):
            raise WrongObjectType(f'relation "{found.name}" cannot be the target of a modifying statement')
        if database:
            raise InsufficientPrivilege(f"permission denied for table {found.name}")
        if found.kind == "sequence":
            raise WrongObjectType(f'cannot change sequence "{found.name}"')
        alias = table.args.get("alias")
        return found, identifier_name(alias.this) if alias is not None else found.name

    def _prefix(self, node: exp.Expression, scope: Scope) -> str:
        clause = node.args.get("with_")
        return "" if clause is None else f"{self.queries.with_clause(clause, scope)} "

    def _column(self, relation: Relation, column: str) -> Column:
        found = relation.column(column)
        if found is None:
            raise UndefinedColumn(f'column "{column}" of relation "{relation.name}" does not exist')
        return found

    def _assigned(self, value: Value, relation: Relation, column: Column) -> str:
        """A value for a column.  Integer overflow is the column's own CHECK to find."""
        if column.null_refused and value.null:
            return null_key(relation.name, column.name)
        if value.unchecked and value.oid == column.oid and not column.primary_key:
            return value.sql
        converted = coerce(self.analysis, value, column.oid, column.typmod, level="assignment", column=column.name)
        sql = checked(converted).sql
        if column.null_refused and not value.not_null:
            return f"ifnull({sql}, {null_key(relation.name, column.name)})"
        return sql

    def default_of(self, relation: Relation, column: Column) -> str:
        """SQL of a column's default, for DEFAULT among other values."""
        if column.identity and column.default is None:
            return "NULL"  # the rowid's own numbering
        if column.default is None:
            return null_key(relation.name, column.name) if column.null_refused else "NULL"
        if column.primary_key and column.default.startswith("nextval(") and column.declared.upper() == "INTEGER":
            return "NULL"
        value = self.expressions.visit(parse_expression(column.default), Scope(columns_allowed=False))
        return self._assigned(value, relation, column)

    def _left_out(self, relation: Relation, given: Sequence[Column]) -> Column | None:
        """The key, when it is not given and SQLite would number what PostgreSQL does not."""
        for column in relation.columns:
            if column.null_refused and not column.drawn and column not in given:
                return column
        return None

    # -- RETURNING ------------------------------------------------------------------------------------------

    def _returning(
        self, node: exp.Expression, relation: Relation, alias: str, scope: Scope, *, joined: bool = False
    ) -> Written | None:
        """`joined`: the statement names other relations, whose columns PostgreSQL would give, and SQLite does not."""
        clause = node.args.get("returning")
        if clause is None:
            return None
        source, _ = relation_source(relation, relation.name)
        own = Source(alias, [Field(each.name, each.value, alias) for each in source.fields], relation=relation)
        inner = Scope(outer=scope.outer, tables=scope.tables, sources=[own], shown=list(own.fields))
        inner.aggregates_forbidden = "RETURNING"
        outputs: list[Value] = []
        names: list[str] = []
        for target in clause.expressions:
            plain = target.this if isinstance(target, exp.Alias) else target
            if isinstance(plain, exp.Star) or (isinstance(plain, exp.Column) and isinstance(plain.this, exp.Star)):
                qualifier = identifier_name(plain.args.get("table")) if isinstance(plain, exp.Column) else ""
                if qualifier != alias and (qualifier or joined):
                    raise FeatureNotSupported(OWN_COLUMNS_ONLY)
                outputs += [each.value for each in own.fields]
                names += [each.name for each in own.fields]
                continue
            try:
                outputs.append(self.expressions.visit(plain, inner))
            except (UndefinedColumn, UndefinedTable) as error:
                if joined:
                    raise FeatureNotSupported(OWN_COLUMNS_ONLY, detail=error.message) from error
                raise
            names.append(
                identifier_name(target.args["alias"]) if isinstance(target, exp.Alias) else column_name(plain)
            )
        finals = [checked(settled(self.analysis, output)) for output in outputs]
        texts = ", ".join(f"{final.sql} AS {quote(each)}" for final, each in zip(finals, names, strict=True))
        return Written(f" RETURNING {texts}", finals, names)

    def _finish(self, text: str, returning: Written | None) -> Written:
        if returning is None:
            return Written(text, [], [])
        return Written(text + returning.sql, returning.outputs, returning.names)

    # -- INSERT ---------------------------------------------------------------------------------------------

    def insert(self, node: exp.Insert) -> Written:
        scope = Scope()
        prefix = self._prefix(node, scope)
        target = node.this
        given: list[str] | None = None
        if isinstance(target, exp.Schema):
            given = [identifier_name(each) for each in target.expressions]
            target = target.this
        relation, alias = self._target(target, scope)
        columns = [self._column(relation, each) for each in given] if given is not None else list(relation.columns)
        if len({column.name for column in columns}) < len(columns):
            twice = next(c.name for c in columns if sum(c.name == other.name for other in columns) > 1)
            raise DuplicateColumn(f'column "{twice}" specified more than once')
        head = f"{prefix}INSERT INTO {quote(relation.name)}"
        if alias != relation.name:
            head += f" AS {quote(alias)}"
        body = self._insert_body(node, relation, columns, scope, explicit=given is not None)
        conflict = self._conflict(node, relation, alias, scope)
        return self._finish(f"{head} {body}{conflict}", self._returning(node, relation, alias, scope))

    def _insert_body(
        self, node: exp.Insert, relation: Relation, columns: list[Column], scope: Scope, *, explicit: bool
    ) -> str:
        source = node.expression
        overriding = str(node.args.get("overriding") or "").upper()
        if node.args.get("default") or source is None:
            key = self._left_out(relation, ())
            return f"({quote(key.name)}) VALUES ({self.default_of(relation, key)})" if key else "DEFAULT VALUES"
        if isinstance(source, exp.Values) and not any(source.args.get(k) for k in ("order", "limit", "offset")):
            return self._insert_rows(source, relation, columns, scope, explicit=explicit, overriding=overriding)
        query = self.queries.query(source, scope)
        count = len(query.outputs)
        columns = self._fitting(columns, count, explicit=explicit)
        for column in columns:
            self._refuse_generated(column, overriding)
        finals = [
            Value(self._assigned(output, relation, column), column.oid, column.typmod)
            if output.sql
            else Value("", column.oid, column.typmod)
            for output, column in zip(query.outputs, columns, strict=True)
        ]
        text = query.render(finals)
        key = self._left_out(relation, columns)
        if key is not None:
            columns = [*columns, key]
            text = f"SELECT *, {self.default_of(relation, key)} FROM ({text}) WHERE true"
        elif node.args.get("conflict") is not None:
            # Without WHERE, SQLite reads ON of ON CONFLICT as a join's.
            text = f"SELECT * FROM ({text}) WHERE true"
        listed = ", ".join(quote(column.name) for column in columns)
        return f"({listed}) {text}"

    def _fitting(self, columns: list[Column], count: int, *, explicit: bool) -> list[Column]:
        if count > len(columns):
            raise StatementSyntax("INSERT has more expressions than target columns")
        if explicit and count < len(columns):
            raise StatementSyntax("INSERT has more target columns than expressions")
        return columns[:count]

    def _refuse_generated(self, column: Column, overriding: str) -> None:
        if column.generated:
            raise GeneratedAlways(
                f'cannot insert a non-DEFAULT value into column "{column.name}"',
                detail=f'Column "{column.name}" is a generated column.',
            )
        if column.identity == "a" and "SYSTEM" not in overriding:
            raise GeneratedAlways(
                f'cannot insert a non-DEFAULT value into column "{column.name}"',
                detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
                hint="Use OVERRIDING SYSTEM VALUE to override.",
            )

    def _insert_rows(
        self,
        source: exp.Values,
        relation: Relation,
        columns: list[Column],
        scope: Scope,
        *,
        explicit: bool,
        overriding: str,
    ) -> str:
        rows = [list(each.expressions) if isinstance(each, exp.Tuple) else [each] for each in source.expressions]
        if len({len(row) for row in rows}) > 1:
            raise StatementSyntax("VALUES lists must all be the same length")
        columns = self._fitting(columns, len(rows[0]), explicit=explicit)
        defaults = [[_is_default(member) for member in row] for row in rows]
        kept = [at for at in range(len(columns)) if not all(row[at] for row in defaults)]
        key = self._left_out(relation, [columns[at] for at in kept])
        if not kept and key is None:
            if len(rows) == 1:
                return "DEFAULT VALUES"
            kept = [next(at for at, column in enumerate(columns) if not column.generated)]
        inner = Scope(outer=None, tables=scope.tables, aggregates_forbidden="VALUES")
        texts = []
        for row, marks in zip(rows, defaults, strict=True):
            members = []
            for at in kept:
                if marks[at]:
                    members.append(self.default_of(relation, columns[at]))
                    continue
                self._refuse_generated(columns[at], overriding)
                members.append(self._assigned(self.expressions.visit(row[at], inner), relation, columns[at]))
            if key is not None:
                members.append(self.default_of(relation, key))
            texts.append(f"({', '.join(members)})")
        written = [columns[at] for at in kept] + ([key] if key is not None else [])
        listed = ", ".join(quote(column.name) for column in written)
        return f"({listed}) VALUES {', '.join(texts)}"

    def _conflict(self, node: exp.Insert, relation: Relation, alias: str, scope: Scope) -> str:
        conflict = node.args.get("conflict")
        if conflict is None:
            return ""
        text = " ON CONFLICT"
        constraint = conflict.args.get("constraint")
        keys = conflict.args.get("conflict_keys") or []
        if constraint is not None:
            listed = ", ".join(
                quote(column) for column in self._constraint_columns(relation, identifier_name(constraint))
            )
            text += f" ({listed})"
        elif keys:
            text += f" ({', '.join(self._conflict_key(key, relation) for key in keys)})"
            where = conflict.args.get("index_predicate")
            if where is not None:
                inner = self._target_scope(relation, relation.name, scope)
                text += f" WHERE {self.expressions.condition(where.this, inner, 'WHERE')}"
        action = str(conflict.args.get("action") or "").upper()
        if "NOTHING" in action:
            return f"{text} DO NOTHING"
        if constraint is None and not keys:
            raise StatementSyntax(
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                hint="For example, ON CONFLICT (column_name).",
            )
        inner = self._target_scope(relation, alias, scope)
        excluded, _ = relation_source(relation, "excluded")
        inner.sources.append(excluded)
        sets = self._assignments(conflict.expressions, relation, inner, scope)
        text += f" DO UPDATE SET {sets}"
        where = conflict.args.get("where")
        if where is not None:
            text += f" WHERE {self.expressions.condition(where.this, inner, 'WHERE')}"
        return text

    def _conflict_key(self, key: exp.Expression, relation: Relation) -> str:
        while isinstance(key, (exp.Ordered, exp.Paren)):
            key = key.this
        if isinstance(key, (exp.Column, exp.Identifier)):
            column = identifier_name(key.this if isinstance(key, exp.Column) else key)
            return quote(self._key_column(relation, column).name)
        inner = self._target_scope(relation, relation.name, Scope())
        return self.expressions.settled(key, inner).sql

    def _key_column(self, relation: Relation, column: str) -> Column:
        found = relation.column(column)
        if found is None:
            raise UndefinedColumn(f'column "{column}" does not exist')
        return found

    def _constraint_columns(self, relation: Relation, constraint: str) -> tuple[str, ...]:
        """The columns of a unique constraint by its PostgreSQL name."""
        key = [column for column in relation.columns if column.primary_key]
        if key and constraint == f"{relation.name}_pkey":
            return tuple(column.name for column in sorted(key, key=lambda each: each.primary_key))
        for index in relation.indexes:
            columns = tuple(column for column in index.columns if column is not None)
            if not index.unique or len(columns) < len(index.columns):
                continue
            given = f"{relation.name}_{'_'.join(columns)}_key"
            if constraint == index.name or (index.origin == "u" and constraint == given):
                return columns
        raise UndefinedObject(f'constraint "{constraint}" for table "{relation.name}" does not exist')

    # -- UPDATE ---------------------------------------------------------------------------------------------

    def _target_scope(self, relation: Relation, alias: str, scope: Scope) -> Scope:
        source, _ = relation_source(relation, alias)
        return Scope(
            outer=scope.outer,
            tables=scope.tables,
            sources=[source],
            shown=list(source.fields),
            aggregates_forbidden="UPDATE",
        )

    def _assignments(self, sets: Sequence[exp.Expression], relation: Relation, inner: Scope, scope: Scope) -> str:
        texts = []
        seen: set[str] = set()
        for each in sets:
            if not isinstance(each, exp.EQ):
                raise StatementSyntax("SET takes column = value")
            left, right = each.this, each.expression
            if isinstance(left, exp.Tuple):
                columns = [self._set_column(member, relation) for member in left.expressions]
            elif isinstance(left, exp.Paren):
                columns = [self._set_column(left.this, relation)]
            else:
                columns = [self._set_column(left, relation)]
            for column in columns:
                if column.name in seen:
                    raise StatementSyntax(f'multiple assignments to same column "{column.name}"')
                seen.add(column.name)
            if len(columns) == 1 and columns[0].generated and _is_default(right):
                continue  # it is what it always is
            if isinstance(left, exp.Tuple):
                texts.append(self._set_several(relation, columns, right, inner))
                continue
            if isinstance(left, exp.Paren) and isinstance(right, exp.Paren):
                raise FeatureNotSupported(ROW_EXPECTED)
            texts.append(f"{quote(columns[0].name)} = {self._set_value(relation, columns[0], right, inner)}")
        if not texts:  # SQLite wants something to be set
            kept = quote(next(column.name for column in relation.columns if not column.generated))
            return f"{kept} = {kept}"
        return ", ".join(texts)

    def _set_column(self, node: exp.Expression, relation: Relation) -> Column:
        if isinstance(node, exp.Column) and node.args.get("table") is None:
            return self._column(relation, identifier_name(node.this))
        if isinstance(node, exp.Identifier):
            return self._column(relation, identifier_name(node))
        if isinstance(node, exp.Column):
            raise UndefinedColumn(
                f'column "{identifier_name(node.args.get("table"))}" of relation "{relation.name}" does not exist'
            )
        raise FeatureNotSupported("assigning to a part of a column is not supported")

    def _set_value(self, relation: Relation, column: Column, node: exp.Expression, inner: Scope) -> str:
        if column.generated:
            raise GeneratedAlways(
                f'column "{column.name}" can only be updated to DEFAULT',
                detail=f'Column "{column.name}" is a generated column.',
            )
        if _is_default(node):
            if column.identity == "a" or column.identity == "d":
                raise FeatureNotSupported("SET of an identity column to DEFAULT is not supported")
            return self.default_of(relation, column)
        if column.identity == "a":
            raise GeneratedAlways(
                f'column "{column.name}" can only be updated to DEFAULT',
                detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
            )
        return self._assigned(self.expressions.visit(node, inner), relation, column)

    def _set_several(self, relation: Relation, columns: Sequence[Column], node: exp.Expression, inner: Scope) -> str:
        if isinstance(node, exp.Anonymous) and str(node.this).lower() == "row":
            node = exp.Tuple(expressions=node.expressions)
        if isinstance(node, exp.Tuple):
            if len(node.expressions) != len(columns):
                raise StatementSyntax("number of columns does not match number of values")
            pairs = zip(columns, node.expressions, strict=True)
            return ", ".join(
                f"{quote(column.name)} = {self._set_value(relation, column, each, inner)}" for column, each in pairs
            )
        if not isinstance(node, (exp.Subquery, exp.Select)):
            raise FeatureNotSupported(ROW_EXPECTED)
        query = self.queries.query(node, inner)
        if len(query.outputs) != len(columns):
            raise StatementSyntax("number of columns does not match number of values")
        finals = [
            Value(self._assigned(output, relation, column), column.oid)
            for output, column in zip(query.outputs, columns, strict=True)
        ]
        return f"({', '.join(quote(column.name) for column in columns)}) = ({query.render(finals)})"

    def update(self, node: exp.Update) -> Written:
        scope = Scope()
        prefix = self._prefix(node, scope)
        relation, alias = self._target(node.this, scope)
        inner = self._target_scope(relation, alias, scope)
        source = node.args.get("from_")
        from_text = ""
        if source is not None:
            own = list(inner.shown)
            from_text = self.queries.from_clause.build(source, [], inner)
            inner.shown = own + inner.shown
            inner.aggregates_forbidden = "UPDATE"
        inner.windows_allowed = False
        sets = self._assignments(node.expressions, relation, inner, scope)
        where = node.args.get("where")
        text = f"{prefix}UPDATE {quote(relation.name)}"
        if alias != relation.name:
            text += f" AS {quote(alias)}"
        text += f" SET {sets}{from_text}"
        if where is not None:
            inner.aggregates_forbidden = "WHERE"
            text += f" WHERE {self.expressions.condition(where.this, inner, 'WHERE')}"
        return self._finish(text, self._returning(node, relation, alias, scope, joined=source is not None))

    # -- DELETE ---------------------------------------------------------------------------------------------

    def delete(self, node: exp.Delete) -> Written:
        scope = Scope()
        prefix = self._prefix(node, scope)
        relation, alias = self._target(node.this, scope)
        where, using = node.args.get("where"), node.args.get("using")
        inner = self._target_scope(relation, alias, scope)
        if not using:
            text = f"{prefix}DELETE FROM {quote(relation.name)}"
            if alias != relation.name:
                text += f" AS {quote(alias)}"
            if where is not None:
                inner.aggregates_forbidden = "WHERE"
                text += f" WHERE {self.expressions.condition(where.this, inner, 'WHERE')}"
            return self._finish(text, self._returning(node, relation, alias, scope))
        own = list(inner.shown)
        others = ""
        for item in using:
            others += ", " + self.queries.from_clause.build(item, [], inner).removeprefix(" FROM ")
            own += inner.shown
        inner.shown = own
        inner.aggregates_forbidden = "WHERE"
        source, item_text = relation_source(relation, alias)
        if "rowid" not in source.rowid:
            raise InvariantBroken("a table has no row number")
        test = f" WHERE {self.expressions.condition(where.this, inner, 'WHERE')}" if where is not None else ""
        row = source.rowid.rsplit(".", 1)[-1]
        text = (
            f"{prefix}DELETE FROM {quote(relation.name)} WHERE {row} IN"
            f" (SELECT {source.rowid} FROM {item_text}{others}{test})"
        )
        return self._finish(text, self._returning(node, relation, alias, scope, joined=True))


def _is_default(node: exp.Expression) -> bool:
    if isinstance(node, exp.Var):
        return node.name.upper() == "DEFAULT"
    return (
        isinstance(node, exp.Column)
        and node.args.get("table") is None
        and isinstance(node.this, exp.Identifier)
        and not node.this.quoted
        and node.name.upper() == "DEFAULT"
    )
