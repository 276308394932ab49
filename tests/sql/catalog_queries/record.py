"""Record what a real PostgreSQL 15 answers to the queries of this folder: `python record.py *.sql`.

Needs an empty database lfsql of a user lfsql (created --locale=C --encoding=UTF8), reached by libpq's usual
variables, into which `../catalog_fixture.sql` was loaded.  Beside each .sql file it writes a .json: for each query
the columns' names and types and the rows as text.  OIDs of created objects come out as "<oid>", since they are
numbered otherwise here; in a query '{oid track}' stands for a relation's.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import psycopg

FIRST_OID = 16384
ROWS_MAX = 60
"""Longer answers list PostgreSQL's own functions and catalogs; of those only the columns are kept."""
OID_TYPES = {22, 26, 30, 1028}


def queries(path: Path) -> dict[str, tuple[str, list[str | None]]]:
    """Name -> (text, parameters) of each query of a file."""
    found: dict[str, tuple[str, list[str | None]]] = {}
    for part in re.split(r"^-- name: ", path.read_text(), flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        parameters: list[str | None] = []
        if body.startswith("-- parameters: "):
            line, _, body = body.partition("\n")
            parameters = json.loads(line.removeprefix("-- parameters: "))
        found[name] = (body.strip().removesuffix(";"), parameters)
    return found


def masked(oid: int, text: str | None) -> str | None:
    """OIDs above the built-in ones are no two servers' same."""
    if text is None or oid not in OID_TYPES:
        return text
    return re.sub(r"\d+", lambda match: "<oid>" if int(match.group()) >= FIRST_OID else match.group(), text)


def main() -> None:
    with psycopg.connect(autocommit=True) as connection:
        for path in map(Path, sys.argv[1:]):
            answers = {}
            for name, (text, parameters) in queries(path).items():
                known = re.sub(r"\{oid (\w+)\}", lambda match: _oid(connection, match.group(1)), text)
                given = [None if value is None else value.encode() for value in parameters]
                answer = connection.pgconn.exec_params(known.encode(), given)
                if answer.error_message:
                    raise RuntimeError(f"{path.name}: {name}: {answer.error_message.decode()}")
                types = [answer.ftype(at) for at in range(answer.nfields)]
                rows = []
                for row in range(answer.ntuples):
                    values = [answer.get_value(row, at) for at in range(answer.nfields)]
                    texts = [None if value is None else value.decode() for value in values]
                    rows.append([masked(oid, value) for oid, value in zip(types, texts, strict=True)])
                names = [(answer.fname(at) or b"").decode() for at in range(answer.nfields)]
                columns = list(zip(names, types, strict=True))
                answers[name] = {"columns": columns, "rows": rows if len(rows) <= ROWS_MAX else None}
            lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
            path.with_suffix(".json").write_text(f"{{\n{lines}\n}}\n")


def _oid(connection: psycopg.Connection[tuple[int]], name: str) -> str:
    row = connection.execute("SELECT oid FROM pg_class WHERE relname = %s", (name,)).fetchone()
    if row is None:
        raise LookupError(name)
    return str(row[0])


if __name__ == "__main__":
    main()
