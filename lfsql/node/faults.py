"""What a node does to itself when its file asks for it, so that tests can see what stands in front of it.

A replica that is late is rare where tests run, and what goes wrong then goes wrong in the proxy.  So lateness is
made: in the node, where it is like any other slow disk to all that look at it.

Rejected: an environment variable, which a process inherits without anybody having meant it; a signal, or a command
over the link, which would be an attack's way in; stopping the process from outside (SIGSTOP), which stops its signs
of life too, so that proxies take it for dead rather than late.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from lfsql.config import NodeConfig

logger: Final = logging.getLogger(__name__)


def apply_delay(config: NodeConfig) -> Callable[[], float] | None:
    """How many seconds to hold back the next transaction of committed records, drawn anew by each call; None for no
    such fault."""
    delay_ms_max = config.faults.apply_delay_ms_max
    if not delay_ms_max:
        return None
    logger.warning("faults.apply_delay_ms_max: committed records are held back for up to %d ms", delay_ms_max)
    numbers = itertools.count()

    def delay_s() -> float:
        drawn = blake2b(f"{config.faults.seed} {config.name} {next(numbers)}".encode(), digest_size=8).digest()
        return delay_ms_max / 1000 * int.from_bytes(drawn, "big") / (1 << 64)

    return delay_s
