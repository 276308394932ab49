"""Who belongs to the cluster, from one node's side: whom to dial, whom to refuse, and what operators order.

The log says who belongs; `peers` in node.toml only says it for as long as the log does not.  Orders are carried out
by the primary alone, each as one record of the log, and answered once it is committed.  A learner that has caught
up gets its vote from the primary, whoever that is by then: a command that was to do it could be killed half-way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Final

import trio

from lfsql.config import NodeConfig, split_address
from lfsql.core.effects import CHANGING, NOT_PRIMARY, ProposalRefused, Proposed, Restored, Transfer
from lfsql.core.entry import CONFIGURATION
from lfsql.core.ids import Index, NodeId
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Configuration, Member, decode_configuration
from lfsql.core.requests import AddMember, Belongs
from lfsql.errors import ConfigError, DataCorrupted, NotPrimary, OrderRefused, OutcomeUnknown
from lfsql.node.driver import Driver
from lfsql.node.member_changes import TakeAnswer
from lfsql.node.progress import Progress
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

ROLES: Final = {"voter": VOTER, "learner": LEARNER, "witness": WITNESS}
_NAMES: Final = {role: name for name, role in ROLES.items()}
_COMMIT_S_MAX: Final = 10.0
_LOOK_S: Final = 0.1


def role_name(member: Member) -> str:
    return _NAMES[member.role]


def first_configuration(config: NodeConfig, log: StatementLog) -> Configuration:
    """The members where the log on disk begins: what it says itself, or those that the cluster begins with."""
    if log.base_configuration:
        try:
            return decode_configuration(log.base_configuration)
        except ValueError as error:
            raise DataCorrupted(f"log.db: the members where it begins cannot be read: {error}") from error
    return Configuration(
        tuple(
            Member(peer.name, ROLES[peer.role], peer.priority, peer.address)
            for peer in config.peers
            if not (config.joins and peer.name == config.name)
        )
    )


def log_names_members(log: StatementLog, restored: Restored) -> bool:
    """Whether the log says who belongs, so that what node.toml says of it does not matter any more."""
    return bool(
        log.base_configuration
        or restored.configurations
        or any(record.kind == CONFIGURATION for record in restored.records)
    )


class Membership:
    """`met`: the names under which nodes were met.  `log_members`: see MemberChanges.ask().  `change` gives the event
    of the next change of anything that is told to the node.  `serving`: this node takes writes.  `end`: have it stop.
    """

    def __init__(
        self,
        config: NodeConfig,
        driver: Driver,
        progress: Progress,
        log_members: Callable[[Configuration, TakeAnswer], None],
        *,
        met: Container[NodeId],
        connected: Callable[[NodeId], bool],
        serving: Callable[[], bool],
        change: Callable[[], trio.Event],
        end: Callable[[], None],
    ) -> None:
        self._config = config
        self._name = config.name
        self._driver = driver
        self._progress = progress
        self._log_members = log_members
        self._met = met
        self._connected = connected
        self._serving = serving
        self._change = change
        self._end = end
        self._known = {peer.name: peer.address for peer in config.peers}
        consensus = driver.consensus
        self._committed = consensus.configuration_at(consensus.committed)
        self._belonged = self._committed.member(self._name) is not None
        self._told: tuple[Configuration, tuple[Belongs, ...]] | None = None
        if consensus.configuration.member(self._name) is None:
            logger.warning(
                "node '%s' is not a member of the cluster: it waits until `lfsql add-node` makes it one", self._name
            )

    @property
    def name(self) -> NodeId:
        return self._name

    @property
    def has_data(self) -> bool:
        """This node keeps the database; a witness does not."""
        return self._config.me.role != "witness"

    @property
    def leads(self) -> bool:
        """This node is primary, and ready for work."""
        return self._driver.consensus.ready

    # -- What others need to know ----------------------------------------------------------------------------

    @property
    def current(self) -> Configuration:
        return self._driver.consensus.configuration

    def addresses(self) -> Mapping[NodeId, str]:
        """Where the other members are: as this node's own file says, else as the log does."""
        return {
            member.node: self._known.get(member.node, member.address)
            for member in self.current.members
            if member.node != self._name
        }

    def refusal(self, node: NodeId) -> str:
        """Why a node that is no member may not speak; '' when it may be one that this node does not know of yet."""
        consensus = self._driver.consensus
        if self.current.member(node) is not None:
            return ""
        if consensus.has_left(node):
            return f"node '{node}' was removed from the cluster"
        if consensus.ready:
            return f"node '{node}' is not a member of the cluster: it was removed, or is yet to be added"
        return ""

    def told(self) -> tuple[Index, tuple[Belongs, ...]]:
        """The members as proxies need to know them, and the record that says so."""
        current = self.current
        if self._told is None or self._told[0] is not current:
            members = tuple(
                Belongs(member.node, self._known.get(member.node, member.address), member.has_data)
                for member in current.members
            )
            self._told = (current, members)
        consensus = self._driver.consensus
        return consensus.configuration_index_at(consensus.last.index), self._told[1]

    # -- What consensus says ---------------------------------------------------------------------------------

    def committed(self) -> None:
        """More is committed: when that takes this node out of the cluster, its work is done."""
        consensus = self._driver.consensus
        current = consensus.configuration_at(consensus.committed)
        if current is self._committed:
            return
        self._committed = current
        if current.member(self._name) is not None:
            self._belonged = True
        elif self._belonged:
            self._belonged = False
            logger.warning("node '%s' was removed from the cluster and stops", self._name)
            self._end()

    async def promote(self) -> None:
        """While this node leads, give learners that are to become more what they are to be, once they have caught up.

        Nothing tells when one has: it is looked at now and then, while there is such a learner.
        """
        while True:
            change = self._change()
            due = self._due() if self._serving() else ()
            for member in due:
                if self._driver.consensus.is_level(member.node):
                    grown = Member(member.node, member.becomes, member.priority, member.address)
                    self._log_members(self.current.with_member(grown), partial(_say_grown, grown))
                    break
            with trio.move_on_after(_LOOK_S if due else float("inf")):
                await change.wait()

    def _due(self) -> tuple[Member, ...]:
        return tuple(
            member for member in self.current.members if member.role == LEARNER and member.becomes != LEARNER
        )

    # -- Orders ----------------------------------------------------------------------------------------------

    async def add(self, order: AddMember) -> str:
        """What was done, in words.  Raises NotPrimary, OrderRefused, OutcomeUnknown; so do those below."""
        role = ROLES.get(order.role)
        if role is None:
            raise OrderRefused(f"'{order.role}' is no role of a node: voter, learner, witness")
        try:
            split_address(order.address)
        except ValueError as error:
            raise OrderRefused(f"'{order.address}' is no address of a node: {error}") from error
        if order.node in self._met and self.current.member(order.node) is None:
            raise OrderRefused(
                f"a node of the name '{order.node}' was there before: the others would refuse a new one's log",
                hint="add the node under a name that none has had, with an empty data directory",
            )
        known: Member | None = None
        member = Member(order.node)

        def with_it() -> Configuration:
            nonlocal known, member
            known = self.current.member(order.node)
            now, later = (LEARNER, role) if known is None or known.role == LEARNER else (role, LEARNER)
            member = Member(order.node, now, order.priority, order.address, later)
            return self.current.with_member(member)

        await self._log(with_it)
        if known is not None and known.role == member.role:
            where = f"{order.address}, priority {order.priority}"
            return f"node '{order.node}' is a {_NAMES[member.role]} as before, at {where}"
        if member.becomes != LEARNER:
            return f"node '{order.node}' is a member now: a learner, and a {order.role} once it has caught up"
        return f"node '{order.node}' is a member now: a {order.role}"

    async def remove(self, node: NodeId) -> str:
        if self.current.member(node) is None:
            raise OrderRefused(f"node '{node}' is not a member of the cluster")
        await self._log(lambda: self.current.without(node))
        return f"node '{node}' is no longer a member of the cluster"

    async def _log(self, make: Callable[[], Configuration]) -> None:
        """Have the members be what `make` says, and wait until that is committed.

        `make` is asked again for as long as an earlier change is on its way: it must go by the members then.
        """
        asked = False
        with trio.move_on_after(_COMMIT_S_MAX):
            while True:
                if not self._serving():
                    raise NotPrimary(primary=self._other_primary())
                try:
                    wanted = make()
                except ConfigError as error:
                    raise OrderRefused(error.message) from error
                change = self._change()
                asked = True
                answer = await self._propose(wanted)
                if isinstance(answer, Proposed):
                    await self._progress.wait_for(answer.last)
                    if not self._is_logged(answer.last, wanted):
                        raise NotPrimary(primary=self._other_primary())
                    return
                asked = False
                if answer.reason == NOT_PRIMARY:
                    raise NotPrimary(primary=self._other_primary())
                if answer.reason != CHANGING:
                    raise OrderRefused(f"the members cannot be changed so: {answer.reason}")
                with trio.move_on_after(_LOOK_S):
                    await change.wait()
        if not asked:
            raise OrderRefused(f"the members cannot be changed so: {CHANGING}, for {_COMMIT_S_MAX:.0f} s now")
        raise OutcomeUnknown(
            f"the change was not committed within {_COMMIT_S_MAX:.0f} s, and may be yet",
            hint="see `lfsql status` for who is a member",
        )

    async def _propose(self, wanted: Configuration) -> Proposed | ProposalRefused:
        answers: list[Proposed | ProposalRefused] = []
        answered = trio.Event()

        def take(answer: Proposed | ProposalRefused) -> None:
            answers.append(answer)
            answered.set()

        self._log_members(wanted, take)
        await answered.wait()
        return answers[0]

    def _is_logged(self, index: Index, wanted: Configuration) -> bool:
        """Whether the record at `index`, which is committed, is the one that was proposed.  Who lost the lead since
        has another primary's in its place, and its own will never be committed.
        """
        consensus = self._driver.consensus
        return consensus.configuration_index_at(index) == index and consensus.configuration_at(index) == wanted

    async def transfer(self, to: NodeId) -> str:
        consensus = self._driver.consensus
        if not consensus.ready:
            raise NotPrimary(primary=self._other_primary())
        to = to or self.successor()
        if to == self._name:
            return f"node '{to}' is the primary already"
        member = self.current.member(to)
        if not to or member is None or member.role != VOTER or not self._connected(to):
            raise OrderRefused(
                f"node '{to}' cannot take the lead: it is no voter, or cannot be reached" if to else _NOBODY
            )
        began = trio.current_time()
        await self.hand_over(to)
        primary = consensus.primary
        if primary in ("", self._name):
            raise OrderRefused(f"node '{to}' did not take the lead in time; node '{self._name}' serves on")
        return f"node '{primary}' is the primary now, after {(trio.current_time() - began) * 1000:.0f} ms"

    async def hand_over(self, to: NodeId) -> None:
        """Have `to` lead; returns when another does, or it came to nothing."""
        consensus = self._driver.consensus
        change = self._change()
        self._driver.step(Transfer(to))
        while consensus.transferring_to or not consensus.primary:
            await change.wait()
            change = self._change()

    def successor(self) -> NodeId:
        """The voter that can take the lead soonest; '' when none can be reached."""
        voters = [
            member.node
            for member in self.current.members
            if member.role == VOTER and member.node != self._name and self._connected(member.node)
        ]
        consensus = self._driver.consensus
        return max(voters, key=lambda node: (consensus.is_fit(node), consensus.matched(node)), default="")

    def _other_primary(self) -> NodeId:
        primary = self._driver.consensus.primary
        return "" if primary == self._name else primary


def _say_grown(member: Member, answer: Proposed | ProposalRefused) -> None:
    """Refused, it is tried again: mostly another change is on its way."""
    if isinstance(answer, Proposed):
        logger.info("node '%s' has caught up: it becomes a %s", member.node, _NAMES[member.role])


_NOBODY: Final = "there is no other voter that can be reached"
