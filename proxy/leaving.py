"""The end of a session: it gives up all that it holds, whatever fails on the way.

Nothing here may raise.  It runs when the session's own errors have been dealt with, so what came out would end the
sessions of all others; and a step that failed must not keep the next ones from being taken.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from proxy.transaction import close_all_portals, close_snapshot

if TYPE_CHECKING:
    from proxy.express_writes import Asked
    from proxy.state import SessionState
    from proxy.worker import Worker

LOG: Final = logging.getLogger("lfsql.proxy")


async def leave(worker: Worker, process_id: int, state: SessionState | None, asked: Asked | None) -> None:
    """`state` is None of a session that never began, `asked` what was under way without a task."""

    async def drop() -> None:
        if asked is not None:
            asked.drop()

    async def forget() -> None:
        worker.forget(process_id, state)

    async def stop_listening() -> None:
        if state is not None and state.listener is not None:
            state.listener.leave()

    steps: list[Callable[[], Awaitable[None]]] = [drop, forget, stop_listening]
    if state is not None:
        left = state
        steps += [lambda: close_all_portals(left), lambda: close_snapshot(left)]
    for step in steps:
        try:
            await step()
        except Exception as error:  # the session is over: there is nobody else to tell
            LOG.error("a session could not give up all it held", exc_info=error)
