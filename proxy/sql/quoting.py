"""Names and strings as SQL text; both dialects write them the same way."""

from __future__ import annotations


def quote(name: str) -> str:
    """An identifier, always quoted: a name must never turn into a keyword of the other dialect."""
    return '"' + name.replace('"', '""') + '"'


def string(content: str) -> str:
    """A string literal.  PostgreSQL's text holds no zero character, which SQLite could not quote."""
    return "'" + content.replace("'", "''") + "'"
