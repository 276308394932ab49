"""The clock that consensus goes by, and all that is compared with its times."""

from __future__ import annotations

import time


def boot_clock() -> float:
    """Seconds since some point before the machine started; never steps back, and counts sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
