"""Whether a read may run in the event loop, and how large a value it may meet there.

The budget of an inline read is counted in SQLite's instructions, which says nothing of one that takes long.  So a
read that calls a function which is not cheap goes to a thread at once, and the others stop at a value that makes an
instruction long: then they go to a thread too.
"""

from __future__ import annotations

from typing import Final

import apsw

from lfsql.storage.known_texts import KnownTexts
from lfsql.storage.programs import examine

_ROW_BYTES_MAX: Final = 1 << 20
_VALUE_BYTES_MIN: Final = 64 << 10
ARGUMENT_BYTES_MAX: Final = 8 << 10
"""Of a read that calls functions: its time is watched, too."""


class Inlining:
    """For one connection; remembers by text.  forget() when the schema changed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.known: KnownTexts[int] = KnownTexts()

    def forget(self) -> None:
        self.known.forget()

    def value_bytes_max(self, sql: str) -> int:
        """How large a value, or a row that is sorted, the read may meet in the event loop; 0: it is for a thread."""
        return self.known.remember(sql, self._examine(sql))

    def _examine(self, sql: str) -> int:
        program = examine(self._connection, sql)
        if program is None or not program.cheap:
            return 0
        if program.functions:
            return ARGUMENT_BYTES_MAX
        return max(_ROW_BYTES_MAX // max(program.columns, 1), _VALUE_BYTES_MIN)
