"""Orders of operators, as they come over links: each runs in a task of its own and is answered by one Done."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from lfsql.core.requests import AddMember, Done, Drain, Order, RemoveMember, TransferLead
from lfsql.errors import LfsqlError, OrderRefused
from lfsql.net.handshake import COMMAND
from lfsql.node.membership import Membership
from lfsql.node.status import StatusAsker
from lfsql.node.work import fault_of

logger: Final = logging.getLogger(__name__)

ORDERS_MAX: Final = 16
LEAVE_S_MAX: Final = 10.0
"""How long a node that is drained waits for the reads that are open: those of clients that idle may never end."""


class Orders:
    """`end`: have the node stop, in order.  `leave`: tell proxies, and wait for the reads that are open."""

    def __init__(
        self,
        membership: Membership,
        nursery: trio.Nursery,
        end: Callable[[], None],
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        self._membership = membership
        self._nursery = nursery
        self._end = end
        self._leave = leave
        self._running = 0

    def take(self, asker: StatusAsker, order: Order) -> None:
        if asker.peer.role != COMMAND:
            asker.answer(Done(order.request, fault=fault_of(OrderRefused("only a command may give orders"))))
        elif self._running >= ORDERS_MAX:
            asker.answer(Done(order.request, fault=fault_of(OrderRefused(f"{ORDERS_MAX} orders are under way"))))
        else:
            self._running += 1
            self._nursery.start_soon(self._run, asker, order)

    async def _run(self, asker: StatusAsker, order: Order) -> None:
        try:
            text = await self._carry_out(order)
        except LfsqlError as error:
            logger.warning("an order was not carried out: %s", error.message)
            asker.answer(Done(order.request, fault=fault_of(error)))
        else:
            logger.info("by order: %s", text)
            asker.answer(Done(order.request, text))
        finally:
            self._running -= 1

    async def _carry_out(self, order: Order) -> str:
        membership = self._membership
        match order:
            case TransferLead():
                return await membership.transfer(order.to)
            case AddMember():
                return await membership.add(order)
            case RemoveMember():
                return await membership.remove(order.node)
            case Drain():
                return await self._drain()

    async def _drain(self) -> str:
        """Without the lead first, so that clients wait for as long as a transfer takes and not for an election."""
        text = ""
        if self._membership.leads:
            text = f"{await self._membership.transfer('')}; "
        with trio.move_on_after(LEAVE_S_MAX):
            await self._leave()
        self._end()
        return f"{text}node '{self._membership.name}' stops"
