"""Random statements over the tables of `classified`, from a grammar of SELECT and of all that can hide in one.

They are made for one question: is what looks like a read one?  So whatever writes, locks or draws numbers may come up
wherever the grammar has a place for it, and comments, strings and names are full of verbs that are none.  Names and
types fit, so most of what is made can be planned; what cannot is refused, which is an answer too.

A grammar in Python and not in text, as each place must know which columns are there: an expression is given the
alias under which `a` (a number) and `b` (a text) can be named, '' where none is in sight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import hypothesis.strategies as st

from proxy.sql.planner import Dialect

DEPTH_MAX = 3
Draw = Callable[[st.SearchStrategy[str]], str]

NUMBERS = ("1", "2", "-3", "0", "1 + 1", "length('DELETE')")
TEXTS = ("'x'", "'INSERT INTO t VALUES (1)'", "'it''s'", "'-- ; DELETE FROM t'", "upper('update')", "NULL")
EXPRESSIONS = ("literal", "column", "column", "column", "call", "draw", "query", "case", "coalesce", "exists")
CALLS = (
    "(random() * 10)::int", "extract(year FROM now())::int", "length(set_config('application_name', 'x', true))",
    "length(current_setting('TimeZone'))",
)  # fmt: skip
SQLITE_CALLS = (
    "random()", "length(datetime('now'))", "json_array_length('[1]')", "changes()", "last_insert_rowid()",
)  # fmt: skip
DRAWS = (
    "nextval('s')", "setval('s', 5)", "setval('s', 7, false)", "\"nextval\"('s')", "NextVal/* ( */('s')",
)  # fmt: skip
LOCKS = (
    "FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE SKIP LOCKED", "FOR KEY SHARE NOWAIT", "for/**/update",
    "FOR READ ONLY",
)  # fmt: skip
COMMENTS = (
    " ", " ", " ", "  ", "\n", " /* FOR UPDATE */ ", " -- DELETE FROM t;\n", "/**/", " /* nextval('s') */ ",
    " /*lfsql*/ ", " /* lfsql: route=replica */ ",
)  # fmt: skip
NAMES = ("x", '"select"', '"delete"', "y1", '"for update"', "replace")
PRAGMAS = (
    "PRAGMA table_info(t)", "PRAGMA user_version", "PRAGMA user_version = 3", "PRAGMA journal_mode",
    "PRAGMA optimize", "PRAGMA integrity_check", "PRAGMA foreign_keys = OFF", "PRAGMA main.application_id = 1",
    "PRAGMA wal_checkpoint", "SELECT * FROM pragma_user_version", "SELECT * FROM pragma_optimize",
    "EXPLAIN DELETE FROM t", "EXPLAIN QUERY PLAN INSERT INTO t (a) VALUES (77)", "ANALYZE", "REINDEX", "VACUUM",
    "VACUUM INTO 'nowhere.db'",
)  # fmt: skip


class Grammar:
    """One draw of a statement."""

    def __init__(self, draw: Draw, dialect: Dialect) -> None:
        self._draw = draw
        self._sqlite = dialect == "sqlite"

    def one_of(self, choices: Sequence[str]) -> str:
        return self._draw(st.sampled_from(choices))

    def chance(self, in_ten: int) -> bool:
        return self.one_of("0123456789") < str(in_ten)

    def join(self, *words: str) -> str:
        """Words with white space, or comments, in between."""
        said = [word for word in words if word]
        return "".join(word + self.one_of(COMMENTS) for word in said[:-1]) + said[-1]

    # -- Expressions

    def number(self, alias: str, depth: int) -> str:
        kind = self.one_of(EXPRESSIONS) if depth else "literal"
        if kind == "call":
            return self.one_of(SQLITE_CALLS if self._sqlite else CALLS)
        if kind == "draw" and self.chance(3):
            return self.one_of(DRAWS)
        if kind == "query":
            return f"(SELECT {self.number('z', depth - 1)} FROM {self.source('z', depth - 1)} LIMIT 1{self.lock(2)})"
        if kind == "case":
            return f"CASE WHEN {self.condition(alias, depth - 1)} THEN {self.number(alias, depth - 1)} ELSE 0 END"
        if kind == "coalesce":
            return f"coalesce({self.number(alias, depth - 1)}, {self.number(alias, depth - 1)})"
        if kind == "exists":
            return f"(CASE WHEN EXISTS ({self.query(depth - 1, values=False)}) THEN 1 ELSE 2 END)"
        return f"{alias}.a" if kind == "column" and alias else self.one_of(NUMBERS)

    def text(self, alias: str) -> str:
        return f"{alias}.b" if alias and self.chance(5) else self.one_of(TEXTS)

    def condition(self, alias: str, depth: int) -> str:
        if depth and self.chance(3):
            return f"{self.number(alias, depth - 1)} IN ({self.query(depth - 1, columns=1, values=False)})"
        sign = self.one_of(("=", "<>", "<", ">="))
        return f"{self.number(alias, depth)} {sign} {self.number(alias, depth)}"

    # -- Queries

    def source(self, alias: str, depth: int) -> str:
        if depth and self.chance(3):
            return f"({self.query(depth - 1, names=True)}) AS {alias}"
        if not self._sqlite and depth and self.chance(1):
            return f"(SELECT n AS a, 'n' AS b FROM generate_series(1, {self.number('', depth - 1)}) AS n) AS {alias}"
        return f"{self.one_of(('t', 'v', 'main.t' if self._sqlite else 'public.t'))} AS {alias}"

    def lock(self, in_ten: int) -> str:
        return f" {self.one_of(LOCKS)}" if not self._sqlite and self.chance(in_ten) and self.chance(5) else ""

    def select(self, depth: int, columns: int = 2, *, names: bool = False) -> str:
        alias = self.one_of(("p", "q"))
        first = self.number(alias, depth)
        targets = f"{first} AS a, {self.text(alias)} AS b" if names or columns == 2 else first
        return self.join(
            "SELECT",
            targets,
            "FROM",
            self.source(alias, depth),
            f"WHERE {self.condition(alias, depth)}" if self.chance(5) else "",
            f"ORDER BY {alias}.a + {self.number(alias, depth)}" if self.chance(2) else "",
            f"LIMIT {self.number('', depth)}" if self.chance(2) else "",
            self.lock(1).strip(),
        )

    def query(self, depth: int, columns: int = 2, *, names: bool = False, values: bool = True) -> str:
        kind = self.one_of(["select", "select", "select", "with", "union", "values"])
        if kind == "with" and depth:
            return self.join(self.prefix(depth - 1), self.select(depth - 1, columns, names=names))
        if kind == "union" and depth:
            one, other = self.plain(depth - 1, columns), self.plain(depth - 1, columns)
            return self.join(one, self.one_of(("UNION", "UNION ALL", "INTERSECT", "EXCEPT")), other)
        if kind == "values" and values and not names:
            return f"VALUES ({self.number('', depth)}{', ' + self.text('') if columns == 2 else ''})"
        return self.select(depth, columns, names=names)

    def plain(self, depth: int, columns: int) -> str:
        """An arm of a set operation."""
        second = f", {self.text('p')} AS b" if columns == 2 else ""
        return f"SELECT {self.number('p', depth)} AS a{second} FROM {self.source('p', depth)}"

    def prefix(self, depth: int) -> str:
        """WITH and one table, which may be a change."""
        body = self.change(depth) if self.chance(1) else self.query(depth, names=True)
        name = self.one_of(NAMES)
        columns = " (a, b)" if self.chance(3) else ""
        return self.join("WITH", f"{name}{columns}", "AS", f"({body})")

    # -- Changes

    def returning(self) -> str:
        return "RETURNING a, b" if self.chance(5) else ""

    def change(self, depth: int) -> str:
        kind = self.one_of(("insert", "update", "delete"))
        if kind == "insert":
            verb = self.one_of(("REPLACE", "INSERT OR IGNORE", "INSERT")) if self._sqlite else "INSERT"
            rows = f"VALUES (41, {self.text('')})" if self.chance(5) else self.select(depth)
            conflict = "ON CONFLICT DO NOTHING" if verb == "INSERT" and rows[0] == "V" and self.chance(3) else ""
            return self.join(verb, "INTO t (a, b)", rows, conflict, self.returning())
        where = f"WHERE {self.condition('t', depth)}"
        if kind == "update":
            return self.join("UPDATE t", f"SET b = {self.text('t')}", where, self.returning())
        return self.join("DELETE", "FROM t", where, self.returning())

    # -- Statements

    def statement(self) -> str:
        kind = self.one_of(("query", "query", "query", "query", "query", "prefixed", "change", "wrapped"))
        depth = DEPTH_MAX
        if kind == "query":
            found = self.query(depth)
            if not self._sqlite and self.chance(2):
                found = self.one_of(("({})", "SELECT * FROM ({}) AS o", "({}) UNION ALL TABLE v")).format(found)
        elif kind == "prefixed":
            found = self.join(self.prefix(depth), self.one_of((self.change(depth), self.select(depth))))
        elif kind == "change":
            found = self.change(depth)
        elif self._sqlite:
            found = self.one_of(PRAGMAS)
        else:
            found = self.one_of(
                ("EXPLAIN {}", "EXPLAIN ANALYZE {}", "EXPLAIN (ANALYZE, VERBOSE) {}", "COPY ({}) TO STDOUT",
                 "CREATE TABLE made AS {}", "DECLARE c CURSOR FOR {}", "SELECT a, b INTO made FROM ({}) AS m")
            ).format(self.one_of((self.query(depth), self.change(depth))))  # fmt: skip
        return self.one_of(COMMENTS) + found + self.one_of(("", ";", " -- FOR UPDATE", " /* ; DELETE FROM t */"))


@st.composite
def statements(draw: Draw, dialect: Dialect) -> str:
    return Grammar(draw, dialect).statement()
