"""Who belongs to a cluster, and what a quorum of it is.

A configuration is a value, and a node has one for as long as it runs: the one it was started with.  That all nodes
have the same, and that it changes by one vote at a time, is held outside of here: where nodes shake hands, and where
a node's directory is opened.

Three roles.  A VOTER holds the data and a vote.  A WITNESS holds the log and a vote: it may be the only holder of the
newest record, so it must be able to lead, and hands leadership on as soon as a voter has caught up.  A LEARNER holds
the data and never votes.  Rejected: a witness without the log.  A vote that cannot be weighed against a log either
loses acknowledged writes or forbids the election that would save them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from lfsql.core.ids import NodeId
from lfsql.errors import ConfigError

VOTER: Final = 0
LEARNER: Final = 1
WITNESS: Final = 2


class Member(msgspec.Struct, frozen=True, array_like=True):
    """`priority`: among equally good candidates the higher should lead.  `address` is the link's HOST:PORT."""

    node: NodeId
    role: int = VOTER
    priority: int = 0
    address: str = ""


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """Raises ConfigError when it could never elect a primary or names a node twice."""

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        names = [member.node for member in self.members]
        if len(set(names)) != len(names):
            raise ConfigError("a node is named twice in the cluster's configuration", detail=", ".join(names))
        if "" in names:
            raise ConfigError("a node in the cluster's configuration has no name")
        if not any(member.role == VOTER for member in self.members):
            raise ConfigError("a cluster needs at least one voter")

    @property
    def electors(self) -> tuple[NodeId, ...]:
        """Those whose votes and disks count: voters and witnesses."""
        return tuple(member.node for member in self.members if member.role != LEARNER)

    @property
    def quorum(self) -> int:
        """How many electors decide."""
        return len(self.electors) // 2 + 1

    def member(self, node: NodeId) -> Member | None:
        return next((member for member in self.members if member.node == node), None)

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
            if member.role != LEARNER and (member.role == VOTER, member.priority) > (own.role == VOTER, own.priority)
        )


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Configuration)


def encode_configuration(configuration: Configuration) -> bytes:
    return _encode(configuration)


def decode_configuration(encoded: bytes) -> Configuration:
    """Raises msgspec.ValidationError or DecodeError when the bytes are no configuration, ConfigError."""
    return _decoder.decode(encoded)
