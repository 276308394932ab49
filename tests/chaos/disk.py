"""A small disk for one node, in memory, that can be filled up and emptied again."""

from __future__ import annotations

import errno
from pathlib import Path

from tests.chaos.network import run

_STEP_BYTES = 1 << 16


class SmallDisk:
    """Mounted at `path`.  Raises NotPermitted."""

    def __init__(self, path: Path, size_mib: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(path)])
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Until nothing more fits, not even a byte."""
        step = _STEP_BYTES
        with self._ballast.open("ab", buffering=0) as file:
            while step:
                try:
                    file.write(b"\0" * step)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        run(["umount", str(self.path)])
