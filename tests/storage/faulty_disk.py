"""A disk under SQLite that fails when told, and that can lose its power: a VFS beneath the engine's own.

What was written and not fsynced is there or not after a power loss, each write for itself, in any order, and one may
be torn at a sector.  Files that were made stay made.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR_BYTES = 512
_SYSTEM = apsw.vfs_names()[0]
_numbers = itertools.count(1)

Write = tuple[int, bytes | None]
"""(offset, data), or (size, None): cut to that size."""


class FaultyDisk(apsw.VFS):
    """The default VFS as long as it is registered.  `before` is called with the name of each operation that changes
    something, before it is carried out, and may raise."""

    def __init__(self) -> None:
        self._name = f"lfsql-faulty-disk-{next(_numbers)}"
        super().__init__(self._name, _SYSTEM, makedefault=True)
        self.before: Callable[[str], None] = lambda _operation: None
        self._durable: dict[str, bytearray] = defaultdict(bytearray)
        self._pending: dict[str, list[Write]] = defaultdict(list)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _File(self, path, name, flags)

    def xDelete(self, filename: str, sync_directory: bool) -> None:  # noqa: N802 - SQLite's name
        self.before("delete")
        self._durable.pop(filename, None)
        self._pending.pop(filename, None)
        super().xDelete(filename, sync_directory)

    def write(self, path: str, write: Write) -> None:
        self._pending[path].append(write)

    def sync(self, path: str) -> None:
        for write in self._pending.pop(path, []):
            _apply(self._durable[path], write)

    def after_power_loss(self, directory: Path, random: Random) -> None:
        """Put what a restart would find into another directory."""
        for path in {*self._durable, *self._pending}:
            content = self._durable[path].copy()
            for offset, data in self._pending.get(path, []):
                fate = random.random()
                if fate < 0.4:
                    _apply(content, (offset, data))
                elif fate < 0.6 and data is not None:
                    _apply(content, (offset, data[: random.randrange(0, len(data) + 1, SECTOR_BYTES)]))
            (directory / Path(path).name).write_bytes(content)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, path: str, name: Any, flags: list[int]) -> None:
        super().__init__(_SYSTEM, name, flags)
        self._disk = disk
        self._path = path

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before("write")
        super().xWrite(data, offset)
        self._disk.write(self._path, (offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before("truncate")
        super().xTruncate(newsize)
        self._disk.write(self._path, (newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before("sync")
        super().xSync(flags)
        self._disk.sync(self._path)


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """Files opened in the block are on it, those of engines too."""
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.unregister()
        apsw.set_default_vfs(_SYSTEM)


def _apply(content: bytearray, write: Write) -> None:
    offset, data = write
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data
