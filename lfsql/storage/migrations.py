"""Numbered SQL, each file applied once, in order, all or nothing.

The files live in the top-level `migrations/` of a checkout and in `lfsql/storage/migrations_sql` of an installed
wheel.  Two areas, `data` and `log`, for two files that two different SQLite libraries open: so the database is
known here only as a function that executes one statement.

What was applied is recorded with a digest.  A file that changed after it was applied, or a number this program
does not know, is refused: guessing would turn one node's tables into something no other node has.  Downgrades
are not offered; a copy taken before the upgrade is the way back.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

import aiosqlite
import apsw

from lfsql.errors import ConfigError

Area = Literal["data", "log"]
Execute = Callable[[str, Sequence[object]], Sequence[Sequence[object]]]
"""Runs one statement and returns all its rows."""

DIGEST_BYTES: Final = 16
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    statements: tuple[str, ...]
    digest: bytes


def directory() -> Path:
    """Where the SQL files are.  Raises ConfigError when the installation lacks them."""
    for candidate in (_HERE / "migrations_sql", _HERE.parents[1] / "migrations"):
        if candidate.is_dir():
            return candidate
    raise ConfigError("the installation is incomplete: its migrations are missing", detail=str(_HERE))


def load(area: Area, root: Path | None = None) -> tuple[Migration, ...]:
    """All migrations of an area in order; their numbers must count up from 1."""
    found = []
    for path in sorted(((root or directory()) / area).glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise ConfigError(f"{path}: a migration's name is four digits, an underscore and words")
        text = path.read_text(encoding="utf-8")
        digest = blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
        found.append(Migration(int(match[1]), match[2], split_statements(text), digest))
    numbers = [migration.number for migration in found]
    if not found or numbers != list(range(1, len(found) + 1)):
        raise ConfigError(f"the migrations of {area!r} must be numbered 1, 2, 3, ...", detail=f"found {numbers}")
    return tuple(found)


def split_statements(text: str) -> tuple[str, ...]:
    """Cut at the lines that complete a statement; SQLite itself says which do (triggers contain semicolons)."""
    statements = []
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if apsw.complete(pending):
            statements.append(pending.strip())
            pending = ""
    if pending.strip():
        raise ConfigError("a migration ends in the middle of a statement", detail=pending.strip()[:100])
    return tuple(statements)


def migrate(execute: Execute, migrations: Sequence[Migration]) -> None:
    """Apply what is missing, in one transaction.

    Raises ConfigError when the file was written by a newer program or by other migrations.
    """
    execute("BEGIN IMMEDIATE", ())
    try:
        execute(
            "CREATE TABLE IF NOT EXISTS _lfsql_migrations"
            " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL)",
            (),
        )
        applied = {row[0]: row[1] for row in execute("SELECT number, digest FROM _lfsql_migrations", ())}
        known = {migration.number: migration.digest for migration in migrations}
        for number, digest in sorted(applied.items(), key=str):
            if number not in known and not (isinstance(number, int) and number > max(known)):
                raise ConfigError(
                    f"the database has a migration {number!r}, which no version has",
                    hint="The file is damaged: see docs/guarantees.md.",
                )
            if number not in known:
                raise ConfigError(
                    f"the database was written by a newer version: it has migration {number}",
                    hint="Install that version again; an older one cannot read this file.",
                )
            if digest != known[number]:
                raise ConfigError(
                    f"migration {number} differs from the one this database was made with",
                    hint="The file is of another version of lfsql, or it is damaged: see docs/guarantees.md.",
                )
        for migration in migrations:
            if migration.number in applied:
                continue
            for statement in migration.statements:
                execute(statement, ())
            execute(
                "INSERT INTO _lfsql_migrations VALUES (?, ?, ?)",
                (migration.number, migration.name, migration.digest),
            )
        execute("COMMIT", ())
    except BaseException:
        # A full or failing disk has made SQLite end the transaction already: that error is the one to tell.
        with contextlib.suppress(apsw.Error, aiosqlite.Error):
            execute("ROLLBACK", ())
        raise
