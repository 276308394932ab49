"""`lfsql verify` of a running cluster: one check of all nodes, in a hurry, and what each was found to hold.

Only the primary can do it: it is the one that knows a position at which all can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from lfsql.core.contents import Comparison
from lfsql.core.ids import NodeId
from lfsql.core.membership import Member
from lfsql.core.messages import ContentChecked
from lfsql.core.requests import DIFFERS, EQUAL, NO_DATA, SILENT, UNDECIDED, Held, Verified, VerifyRequest
from lfsql.errors import NotPrimary
from lfsql.node.asking import AskerLink
from lfsql.node.content_checks import ContentChecks
from lfsql.node.driver import Driver
from lfsql.node.membership import Membership
from lfsql.node.work import fault_of


class Verification:
    """One node's.  `connected`: whether another node can be asked."""

    def __init__(
        self,
        checks: ContentChecks,
        membership: Membership,
        connected: Callable[[NodeId], bool],
        driver: Driver,
        nursery: trio.Nursery,
    ) -> None:
        self._checks = checks
        self._membership = membership
        self._connected = connected
        self._driver = driver
        self._nursery = nursery

    def take(self, asker: AskerLink, question: VerifyRequest) -> None:
        """Answer with a Verified, from a task."""
        if self._membership.leads:
            self._nursery.start_soon(self._run, asker, question)
        else:
            name = self._driver.consensus.primary
            primary = name if name != self._membership.name else ""
            asker.answer(Verified(question.request, fault=fault_of(NotPrimary(primary=primary))))

    async def _run(self, asker: AskerLink, question: VerifyRequest) -> None:
        checks = self._checks
        before = checks.own
        checks.start(with_log=True, hurry=True)
        with trio.move_on_after(question.wait_ms_max / 1000):
            while checks.own is before or not self._all_answered():
                await checks.wait_changed()
        own = checks.own
        if own is None or own is before:
            asker.answer(Verified(question.request))
            return
        found = checks.comparison()
        lines = tuple(self._line(member, own, found) for member in self._membership.current.members)
        asker.answer(Verified(question.request, own.position.index, lines))

    def _all_answered(self) -> bool:
        checks = self._checks
        return all(
            checks.answer_of(member.node) is not None
            for member in self._membership.current.members
            if member.has_data and (member.node == self._membership.name or self._connected(member.node))
        )

    def _line(self, member: Member, own: ContentChecked, found: Comparison) -> Held:
        answer = own if member.node == self._membership.name else self._checks.answer_of(member.node)
        if answer is None:
            return Held(member.node, SILENT if member.has_data else NO_DATA)
        state = DIFFERS if member.node in found.differing else EQUAL if found.decided else UNDECIDED
        return Held(member.node, state, answer.content.hex(), answer.fault, answer.log_base, answer.log_fault)
