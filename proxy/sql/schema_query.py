"""The schema of a data file, read with one query on any connection to it.

One statement sees one snapshot, so the schema is whole whoever reads it.  It also works on tables that other
SQLite tools created: types then come from the declared type by SQLite's affinity rules, names of constraints from
the CREATE TABLE text, and unnamed constraints get the names PostgreSQL would give them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, Literal, cast
from zlib import crc32

from proxy.pg import oids
from proxy.sql.constraint_names import choose_name
from proxy.sql.declared import NUMERIC_COLLATION, type_of_declared
from proxy.sql.schema import Check, Column, ForeignKey, Index, Relation, Schema
from proxy.sql.table_text import TableText, parse_table

SCHEMA_QUERY: Final = """\
WITH relations (name, type, sql) AS (
  SELECT name, type, sql FROM main.sqlite_schema
  WHERE type IN ('table', 'view')
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_lfsql\\_%' ESCAPE '\\'
)
SELECT 'relation', name, type, sql, NULL, NULL, NULL, NULL, NULL, NULL FROM relations
UNION ALL
SELECT 'column', r.name, c.cid, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden, NULL
FROM relations AS r, pragma_table_xinfo(r.name, 'main') AS c
UNION ALL
SELECT 'index', r.name, i.name, i."unique", i.origin, i.partial, s.sql, x.seqno, x.cid, x.name
FROM relations AS r, pragma_index_list(r.name, 'main') AS i, pragma_index_xinfo(i.name, 'main') AS x
LEFT JOIN main.sqlite_schema AS s ON s.type = 'index' AND s.name = i.name
WHERE r.type = 'table' AND x.key
UNION ALL
SELECT 'foreign', r.name, f.id, f.seq, f."table", f."from", f."to", f.on_update, f.on_delete, NULL
FROM relations AS r, pragma_foreign_key_list(r.name, 'main') AS f WHERE r.type = 'table'
UNION ALL
SELECT 'trigger', tbl_name, name, sql, NULL, NULL, NULL, NULL, NULL, NULL
FROM main.sqlite_schema WHERE type = 'trigger'
UNION ALL
SELECT 'sidecar', table_name, column_name, pg_oid, typmod, default_text, identity, NULL, NULL, NULL
FROM main._lfsql_columns
UNION ALL
SELECT 'sequence', name, owner_table, owner_column, NULL, NULL, NULL, NULL, NULL, NULL FROM main._lfsql_sequences
"""
"""Takes no parameters.  Its rows, in any order, go to `schema_from_rows`."""

_FIRST_OID: Final = 16384
"""Numbers below are PostgreSQL's own."""
_ORIGINS: Final = ("c", "u", "pk")

_Row = tuple[Any, ...]


def relation_oid(name: str) -> int:
    """A relation's OID: stable across nodes and restarts, derived from its name (also for indexes)."""
    return _FIRST_OID + crc32(name.encode()) % (0x7FFF_FFFF - _FIRST_OID)


def schema_from_rows(rows: Iterable[_Row], index: int) -> Schema:
    """The schema that SCHEMA_QUERY's rows describe.  `index`: the log index of the newest schema change."""
    parts: dict[str, dict[str, list[_Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        parts[row[0]][row[1]].append(row)
    keys = {table: _primary_key(columns) for table, columns in parts["column"].items()}
    relations: dict[str, Relation] = {}
    taken: set[int] = set()
    names = sorted({*parts["relation"], *parts["sequence"]})
    for name in names:
        oid = relation_oid(name)
        while oid in taken:  # two names with one checksum: the later in order moves on
            oid += 1
        taken.add(oid)
        if name in parts["sequence"]:  # whose view has the name too
            relations[name] = _sequence(name, oid, parts["sequence"][name][0])
            continue
        _, _, kind, sql, *_ = parts["relation"][name][0]
        described = {part: parts[part][name] for part in ("column", "index", "foreign", "trigger", "sidecar")}
        relations[name] = _relation(name, oid, kind, sql or "", described, keys)
    return Schema(index, relations)


def _sequence(name: str, oid: int, row: _Row) -> Relation:
    columns = (
        Column("last_value", oids.INT8, -1, 1, "int8 integer", not_null=True),
        Column("log_cnt", oids.INT8, -1, 2, "int8 integer", not_null=True),
        Column("is_called", oids.BOOL, -1, 3, "bool integer", not_null=True),
    )
    owner = (str(row[2]), str(row[3])) if row[2] is not None else None
    return Relation(name, oid, "sequence", columns, "", owner=owner)


def _primary_key(columns: list[_Row]) -> tuple[str, ...]:
    return tuple(str(row[3]) for row in sorted(columns, key=lambda row: int(row[7] or 0)) if row[7])


def _relation(
    name: str, oid: int, kind: str, sql: str, parts: dict[str, list[_Row]], keys: dict[str, tuple[str, ...]]
) -> Relation:
    if kind == "view":
        return Relation(name, oid, "view", _columns(parts, None), sql)
    text = parse_table(sql) if not sql[:14].upper().startswith("CREATE VIRTUAL") else None
    columns = _columns(parts, text)
    used: set[str] = set()
    indexes = _indexes(name, parts["index"], text, columns, used)
    foreign = _foreign_keys(name, parts["foreign"], text, used, keys)
    checks = _checks(name, text, used)
    triggers = tuple(sorted(str(row[3]) for row in parts["trigger"]))
    return Relation(name, oid, "table", columns, sql, indexes, foreign, checks, triggers)


def _columns(parts: dict[str, list[_Row]], text: TableText | None) -> tuple[Column, ...]:
    sidecar = {row[2]: row for row in parts["sidecar"]}
    found: list[Column] = []
    for _, _, place, name, declared, not_null, default, primary_key, hidden, _ in sorted(
        parts["column"], key=lambda row: int(row[2])
    ):
        if hidden == 1:  # a virtual table's hidden column
            continue
        oid, typmod = type_of_declared(declared or "")
        identity = ""
        if name in sidecar:
            _, _, _, side_oid, side_typmod, side_default, identity, *_ = sidecar[name]
            oid, typmod, default = side_oid, side_typmod, side_default if side_default is not None else default
        written = text.column(name) if text else None
        found.append(
            Column(
                name=name,
                oid=oid,
                typmod=typmod,
                number=int(place) + 1,
                declared=declared or "",
                not_null=bool(not_null) or bool(primary_key and written and written.rowid),
                default=default,
                identity=cast(Literal["", "a", "d", "s"], identity),
                primary_key=primary_key,
                generated=hidden in (2, 3),
                null_refused=name in sidecar and bool(written and written.rowid),
                collation=written.collation if written and written.collation != NUMERIC_COLLATION else "",
            )
        )
    return tuple(found)


def _indexes(
    table: str, rows: list[_Row], text: TableText | None, columns: tuple[Column, ...], used: set[str]
) -> tuple[Index, ...]:
    grouped: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        grouped[row[2]].append(row)
    found: list[Index] = []
    primary = tuple(c.name for c in sorted(columns, key=lambda c: c.primary_key) if c.primary_key)
    has_primary = False
    for stored, keys in sorted(grouped.items()):
        _, _, _, unique, origin, partial, sql, *_ = keys[0]
        keys.sort(key=lambda row: int(row[7]))
        names = tuple(None if row[8] < 0 else str(row[9]) for row in keys)
        name = stored
        if origin == "pk":
            has_primary = True
            name = (text.primary_key_name if text else None) or choose_name(table, (), "pkey", used)
        elif origin == "u":
            plain = tuple(column for column in names if column is not None)
            name = _unique_name(text, plain) or choose_name(table, plain, "key", used)
        used.add(name)
        found.append(
            Index(name, names, bool(unique), cast(Literal["c", "u", "pk"], origin), sql, partial=bool(partial))
        )
    if primary and not has_primary:  # the rowid: SQLite needs no index for it, PostgreSQL shows one
        name = (text.primary_key_name if text else None) or choose_name(table, (), "pkey", used)
        used.add(name)
        found.append(Index(name, primary, unique=True, origin="pk", sql=None))
    return tuple(sorted(found, key=lambda index: (_ORIGINS.index(index.origin) * -1, index.name)))


def _unique_name(text: TableText | None, columns: tuple[str, ...]) -> str | None:
    for constraint in text.constraints if text else ():
        if constraint.kind == "u" and tuple(n.lower() for n in constraint.columns) == tuple(
            n.lower() for n in columns
        ):
            return constraint.name
    return None


def _foreign_keys(
    table: str, rows: list[_Row], text: TableText | None, used: set[str], primary: dict[str, tuple[str, ...]]
) -> tuple[ForeignKey, ...]:
    grouped: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        grouped[row[2]].append(row)
    # SQLite numbers foreign keys from the last to the first of the text.
    written = [c for c in reversed(text.constraints) if c.kind == "f"] if text else []
    found: list[ForeignKey] = []
    for number, keys in sorted(grouped.items(), reverse=True):
        keys.sort(key=lambda row: int(row[3]))
        columns = tuple(str(row[5]) for row in keys)
        clause = written[number] if number < len(written) else None
        name = (clause.name if clause else None) or choose_name(table, columns, "fkey", used)
        used.add(name)
        _, _, _, _, target, _, to, on_update, on_delete, _ = keys[0]
        targets = tuple(str(row[6]) for row in keys) if to is not None else primary.get(target, ())
        found.append(
            ForeignKey(
                name,
                columns,
                target,
                targets,
                on_update,
                on_delete,
                deferrable=bool(clause and clause.deferrable),
                initially_deferred=bool(clause and clause.initially_deferred),
            )
        )
    return tuple(found)


def _checks(table: str, text: TableText | None, used: set[str]) -> tuple[Check, ...]:
    found: list[Check] = []
    for constraint in text.constraints if text else ():
        if constraint.kind == "c":
            name = constraint.name or choose_name(table, (), "check", used)
            used.add(name)
            found.append(Check(name, constraint.expression))
    return tuple(found)
