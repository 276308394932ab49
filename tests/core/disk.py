"""A disk that keeps only what was fsynced: a crash loses the writes under way, or all after some of them."""

from __future__ import annotations

from collections import deque
from random import Random

from lfsql.core.effects import HardState, Persist, Restored
from lfsql.core.entry import CONFIGURATION, Record
from lfsql.core.ids import Index, Position
from lfsql.core.log import position_of
from lfsql.core.membership import Configuration, decode_configuration


class SimulatedDisk:
    """`records` holds what is on the platter; `writing` what would be lost."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.base = Position()
        self.base_configuration: tuple[tuple[Index, Configuration], ...] = ()
        self.records: list[Record] = []
        self.applied: Index = 0
        self.writing: deque[Persist] = deque()

    @property
    def last(self) -> Position:
        return position_of(self.records[-1]) if self.records else self.base

    def fsync(self, number: int) -> list[Persist]:
        """Complete the writes up to `number`, oldest first."""
        done = []
        while self.writing and self.writing[0].number <= number:
            done.append(self.writing.popleft())
            self._write(done[-1])
        return done

    def _write(self, persist: Persist) -> None:
        if persist.hard_state is not None:
            assert persist.hard_state.term >= self.hard_state.term
            self.hard_state = persist.hard_state
        if persist.truncate_from is not None:
            assert persist.truncate_from > self.applied
            del self.records[persist.truncate_from - self.base.index - 1 :]
        for record in persist.records:
            assert record.index == self.last.index + 1
            self.records.append(record)

    def crash(self, random: Random) -> None:
        """Some writes may have reached the platter although nobody was told."""
        for _ in range(random.randrange(len(self.writing) + 1)):
            self._write(self.writing.popleft())
        self.writing.clear()

    def record(self, index: Index) -> Record | None:
        offset = index - self.base.index - 1
        return self.records[offset] if 0 <= offset < len(self.records) else None

    def logical(self) -> list[Record]:
        """The log as it will be when all writes are done."""
        log = list(self.records)
        for persist in self.writing:
            if persist.truncate_from is not None:
                del log[persist.truncate_from - self.base.index - 1 :]
            log.extend(persist.records)
        return log

    @property
    def logical_last(self) -> Position:
        """Nothing is cut without being continued, so the newest write with records tells."""
        newest = next((persist.records[-1] for persist in reversed(self.writing) if persist.records), None)
        return position_of(newest) if newest is not None else self.last

    def compact(self, index: Index) -> None:
        """Drop all records up to `index`, which must be on disk."""
        count = index - self.base.index
        if count > 0:
            self.base_configuration = self._configurations(count)[-1:]
            self.base = position_of(self.records[count - 1])
            del self.records[:count]

    def _configurations(self, count: int) -> tuple[tuple[Index, Configuration], ...]:
        """Those in force from the base on, as the first `count` records brought them."""
        brought = [record for record in self.records[:count] if record.kind == CONFIGURATION]
        return (*self.base_configuration, *((record.index, decode_configuration(record.body)) for record in brought))

    def restore(self, random: Random) -> Restored:
        """What a node reads at start: the tail from somewhere before the commit index on."""
        commit = max(self.hard_state.commit, self.applied, self.base.index)
        assert commit <= self.last.index
        skip = random.randrange(commit - self.base.index + 1)
        floor = position_of(self.records[skip - 1]) if skip else self.base
        configurations = self._configurations(skip)
        return Restored(self.hard_state, self.base, floor, tuple(self.records[skip:]), commit, configurations)
