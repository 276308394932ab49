"""Whose turn it is to use the engine: the applier's, or, of a primary, the writer's.

The writer begins only once SQLite stands where its order of records begins: at the end of what its predecessors have
logged, which the record that opened its term tells; and of what it has logged itself, when it was interrupted.  It
ends by itself when it is deposed.  Neither waits nor reads a clock, so the simulator runs this file too.
"""

from __future__ import annotations

from typing import Protocol

from lfsql.core.ids import Index, NodeId, Term


class Reigns(Protocol):
    """What is asked of the Writer, which see."""

    def resume_index(self, term: Term) -> Index: ...

    def expect_reign(self) -> None: ...

    def depose(self) -> None: ...


class Succession:
    """One node's.  Told what consensus says, by the carrier's Observer."""

    def __init__(self, node: NodeId, writer: Reigns) -> None:
        self._node = node
        self._writer = writer
        self._elected: tuple[Term, Index] | None = None
        """The term that this node leads, and the record that opened it, which is committed."""

    def became_primary(self, term: Term, index: Index) -> None:
        self._elected = (term, index)

    def stepped_down(self) -> None:
        self._elected = None
        self._writer.depose()

    def primary_changed(self, primary: NodeId, *, able: bool = True) -> None:
        """`able`: this node could serve if it is the one."""
        if primary == self._node and able:
            self._writer.expect_reign()
        else:
            self._writer.depose()

    def term_due(self, applied: Index) -> Term | None:
        """The term in which the writer is to reign now that SQLite stands at `applied`; None when it is not."""
        if self._elected is None:
            return None
        term, opened = self._elected
        return term if applied >= max(opened, self._writer.resume_index(term)) else None
