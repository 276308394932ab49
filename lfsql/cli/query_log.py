"""The statements in the log of a PostgreSQL server, as text: who ran them, and at which line.

What the server says itself is told from what a client sent by where it stands: after the line's prefix and severity.
A parameter's value that looks like a log line stays a parameter's value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

_SEVERITY: Final = (
    r"DEBUG[1-5]?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE"
)
_LINE: Final = re.compile(rf"(?P<prefix>.*?)\b(?P<severity>{_SEVERITY}):\s+(?P<message>.*)", re.DOTALL)
_STATEMENT: Final = re.compile(
    r"(?:duration: [\d.]+ ms\s+)?(?:(?P<simple>statement)|execute (?!fetch from )[^:]*): (?P<text>.*)", re.DOTALL
)
"""As log_statement and log_min_duration_statement write it.  A further fetch from a portal is no new statement."""
_PROCESS: Final = re.compile(r"\[(\d+)(?:-\d+)?\]")
"""%p of the default log_line_prefix; without it, all are taken for one session's."""


class Logged(NamedTuple):
    """`line` counts from 1.  `session` is the process id, '' when it is not told."""

    event: Literal["text", "statement", "end"]
    """A text of any number of statements, a single one of the extended protocol, or the end of the session."""
    session: str
    text: str
    line: int


def logged(text: str) -> Iterator[Logged]:
    """In the log's order.  Continuation lines begin with a tab."""
    entry: list[str] = []
    began = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("\t") and entry:
            entry.append(line[1:])
            continue
        yield from _read("\n".join(entry), began)
        entry, began = [line], number
    yield from _read("\n".join(entry), began)


def _read(entry: str, line: int) -> Iterator[Logged]:
    found = _LINE.match(entry)
    if found is None or found["severity"] != "LOG":
        return
    process = _PROCESS.search(found["prefix"])
    session = process[1] if process is not None else ""
    if found["message"].startswith("disconnection: "):
        yield Logged("end", session, "", line)
    elif (statement := _STATEMENT.match(found["message"])) is not None:
        yield Logged("text" if statement["simple"] else "statement", session, statement["text"], line)
