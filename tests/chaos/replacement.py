"""One member replaced by another, by an operator's commands, as far as what goes on meanwhile lets it.

Some member is removed, be it the primary, and a node that has never been is added: a learner, and a voter once it has
caught up.  A command that fails is given again, as its operator would: what became of its order may not be known.
The one that was removed is left running, and is even started again when some fault's healing does that.

Commands run beside the faults, so `advance` never waits.  Rejected: a thread of its own, which would share the
tier's processes with the faults.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import psycopg

from tests.chaos.nodes import Tier

COMMAND_S_MAX = 20.0
"""Then it is killed, and given again."""


class Replacement:
    """Of the member `old`.  `say` is told of every step."""

    def __init__(self, tier: Tier, old: str, say: Callable[[str], None]) -> None:
        self._tier = tier
        self._old = old
        self._new, self._address = tier.newcomer()
        self._say = say
        self._began = time.monotonic()
        self._command: subprocess.Popen[str] | None = None
        self._step = "not begun"
        self._steps = self._carry_out()
        say(f"begin to replace {old} by {self._new} at {self._address}")

    def __str__(self) -> str:
        return f"replacing {self._old} by {self._new}: {self._step}"

    def advance(self) -> bool:
        """Go on without waiting; whether all is done."""
        return next(self._steps, True)

    def end(self) -> None:
        """Give no more orders."""
        if self._command is not None:
            self._command.kill()
            self._command.communicate()

    def _carry_out(self) -> Iterator[bool]:
        """False each time that there is nothing to do but wait."""
        yield from self._order("remove-node", self._old, done_already=f"'{self._old}' is not a member")
        self._tier.left(self._old)
        yield from self._order("add-node", self._new, "--address", self._address)
        self._tier.joined(self._new)
        self._tier.start(self._new)
        self._step = f"{self._new} is to vote"
        while not self._votes():
            yield False
        self._say(f"{self._new} has replaced {self._old}, after {time.monotonic() - self._began:.1f} s")

    def _order(self, *arguments: str, done_already: str | None = None) -> Iterator[bool]:
        """Until the command has succeeded, or says that an earlier one did."""
        self._step = " ".join(arguments)
        command = [sys.executable, "-m", "lfsql", *arguments, "--dir", str(self._tier.directory)]
        while True:
            with tempfile.TemporaryFile("w+") as output:  # a pipe that is full would stop the command
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True)
                self._command = process
                self._tier.leash.hold(process.pid)
                end = time.monotonic() + COMMAND_S_MAX
                while process.poll() is None and time.monotonic() < end:
                    yield False
                process.kill()
                status = process.wait()
                self._command = None
                output.seek(0)
                said = " / ".join(output.read().split("\n")).strip(" /")
            self._say(f"{self._step}: {f'status {status}: ' if status else ''}{said}")
            if status == 0 or (done_already is not None and done_already in said):
                return
            yield False

    def _votes(self) -> bool:
        """Whether the new node is a voter, as the proxy sees it at once."""
        try:
            with psycopg.connect(self._tier.dsn, autocommit=True, connect_timeout=2) as connection:
                row = connection.execute(
                    "SELECT role, healthy FROM lfsql.nodes WHERE name = %s", (self._new,)
                ).fetchone()
        except psycopg.Error:
            return False
        return row is not None and row[0] in ("primary", "replica") and bool(row[1])
