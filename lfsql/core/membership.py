"""Who belongs to a cluster, and what a quorum of it is.

A configuration is a value in the log: the newest record of kind CONFIGURATION is in force as soon as it is appended,
on every node that has it, and no longer once it is cut off.  Waiting for its commit would need two rules for who
counts while it is on its way.  Before the first such record the configuration is what the node was started with.

One change at a time, of at most one vote: any majority before and any after it have a node in common, so no moment of
it has two primaries.  Rejected: joint consensus, which changes many at once.  It needs two quorums for everything,
and nobody replaces three nodes in one second.

Three roles.  A VOTER holds the data and a vote.  A WITNESS holds the log and a vote: it may be the only holder of the
newest record, so it must be able to lead, and hands leadership on as soon as a voter has caught up.  A LEARNER holds
the data and never votes.  Rejected: a witness without the log.  A vote that cannot be weighed against a log either
loses acknowledged writes or forbids the election that would save them.

Every new member comes as a LEARNER: a vote that has no log yet would count towards the quorum and could not help it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

import msgspec

from lfsql.core.entry import CONFIGURATION, Record
from lfsql.core.ids import Index, NodeId
from lfsql.errors import ConfigError

VOTER: Final = 0
LEARNER: Final = 1
WITNESS: Final = 2

MEMBERS_MAX: Final = 64


class Member(msgspec.Struct, frozen=True, array_like=True):
    """`priority`: among equally good candidates the higher should lead.  `address` is the link's HOST:PORT.

    `becomes`: what a learner is to be once it has caught up; LEARNER for one that stays what it is.
    """

    node: NodeId
    role: int = VOTER
    priority: int = 0
    address: str = ""
    becomes: int = LEARNER

    @property
    def is_elector(self) -> bool:
        return self.role != LEARNER

    @property
    def has_data(self) -> bool:
        """It keeps the database, not the log alone."""
        return WITNESS not in (self.role, self.becomes)


class Configuration(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """Raises ConfigError when it could never elect a primary, names a node twice, or names too many."""

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        names = [member.node for member in self.members]
        if len(set(names)) != len(names):
            raise ConfigError("a node is named twice in the cluster's configuration", detail=", ".join(names))
        if "" in names:
            raise ConfigError("a node in the cluster's configuration has no name")
        if not any(member.role == VOTER for member in self.members):
            raise ConfigError("a cluster needs at least one voter")
        if len(names) > MEMBERS_MAX:
            raise ConfigError(f"a cluster has at most {MEMBERS_MAX} members")

    @cached_property
    def electors(self) -> tuple[NodeId, ...]:
        """Those whose votes and disks count: voters and witnesses."""
        return tuple(member.node for member in self.members if member.is_elector)

    @cached_property
    def quorum(self) -> int:
        """How many electors decide."""
        return len(self.electors) // 2 + 1

    def member(self, node: NodeId) -> Member | None:
        return next((member for member in self.members if member.node == node), None)

    def elects(self, node: NodeId) -> bool:
        """Whether it is one of the electors."""
        return node in self.electors

    def reached(self, value_of: Callable[[NodeId], float]) -> float:
        """The largest value that a quorum has reached, given each elector's."""
        return sorted(map(value_of, self.electors), reverse=True)[self.quorum - 1]

    def rank(self, node: NodeId) -> int:
        """How many electors should stand for election before `node`: of higher priority, and for a witness
        all voters.
        """
        own = self.member(node)
        if own is None:
            return len(self.electors)
        return sum(
            1
            for member in self.members
            if member.is_elector and (member.role == VOTER, member.priority) > (own.role == VOTER, own.priority)
        )

    def with_member(self, member: Member) -> Configuration:
        """With `member` as given, in the place of the one of its name when there is one."""
        if self.member(member.node) is None:
            return Configuration((*self.members, member))
        return Configuration(tuple(member if other.node == member.node else other for other in self.members))

    def without(self, node: NodeId) -> Configuration:
        return Configuration(tuple(member for member in self.members if member.node != node))


def encode_configuration(configuration: Configuration) -> bytes:
    """The body of a record of kind CONFIGURATION."""
    return msgspec.msgpack.encode(configuration)


def decode_configuration(body: bytes) -> Configuration:
    """Raises ValueError (msgspec's and our own among them) when the body is none that could be in a log."""
    try:
        return msgspec.msgpack.decode(body, type=Configuration)
    except (msgspec.MsgspecError, ConfigError) as error:
        raise ValueError(f"not a configuration: {error}") from error


def change_fault(before: Configuration, after: Configuration) -> str:
    """Why the one may not follow the other; '' when it may."""
    if before == after:
        return "it would change nothing"
    votes = sorted(set(before.electors) ^ set(after.electors))
    if len(votes) > 1:
        return f"the votes of {' and '.join(votes)} would come or go at once"
    for member in after.members:
        known = before.member(member.node)
        if known is None and member.is_elector:
            return f"node '{member.node}' must come as a learner and catch up first"
        if known is not None and known.has_data != member.has_data:
            return f"node '{member.node}' cannot turn from one with data into a witness, nor back"
    return ""


class ConfigurationHistory:
    """Which configuration is in force at which index of a log.

    `first` is in force where the log begins, or what is left of it; `later` came with records, by their index.
    """

    def __init__(self, first: Configuration, later: Iterable[tuple[Index, Configuration]] = ()) -> None:
        self._entries: list[tuple[Index, Configuration]] = [(0, first), *later]

    @property
    def current(self) -> Configuration:
        return self._entries[-1][1]

    @property
    def index(self) -> Index:
        """Of the record that brought the current one; 0 when none did that is known here."""
        return self._entries[-1][0]

    def at(self, index: Index) -> Configuration:
        """What is in force when the log ends at `index`; of an index before all that is known, the oldest known."""
        return next((found for at, found in reversed(self._entries) if at <= index), self._entries[0][1])

    def index_at(self, index: Index) -> Index:
        """Of the record that brought what is in force at `index`; 0 when none did that is known here."""
        return next((at for at, _ in reversed(self._entries) if at <= index), 0)

    def since(self, index: Index) -> Iterator[Configuration]:
        """What is in force at `index`, and all that came after it."""
        for number, (_, configuration) in enumerate(self._entries):
            if number + 1 == len(self._entries) or self._entries[number + 1][0] > index:
                yield configuration

    def append(self, records: Sequence[Record]) -> None:
        """Raises ValueError when one of kind CONFIGURATION holds none."""
        for record in records:
            if record.kind == CONFIGURATION:
                self._entries.append((record.index, decode_configuration(record.body)))

    def truncate(self, first: Index) -> None:
        """The log is cut from `first` on."""
        while self._entries[-1][0] >= first and len(self._entries) > 1:
            self._entries.pop()

    def compact(self, index: Index) -> None:
        """Nothing before `index` is asked for any more."""
        while len(self._entries) > 1 and self._entries[1][0] <= index:
            del self._entries[0]
