"""Going on after a majority was lost for good: what is left of a cluster decides alone, and may lack what was
acknowledged.

Consensus cannot do this by itself, and must not: to it, a majority that is gone for good looks like one that is cut
off and works.  Only a person can know that the others will never come back.  So the node must be stopped, the first
call only says what would be lost, and the second must repeat a code that the first one gave; the code holds for the
log as it is.

What is written: one record after the log's end, in a new term, that names this node as the only member.  Started
again, the node elects itself and commits all that it has: records that were committed, and records of which it
cannot know, whose clients were perhaps told that their fate was unknown.  What it never received is lost.  A file
beside the log keeps what was decided, and on what grounds.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from lfsql.config import NodeConfig
from lfsql.core.effects import HardState
from lfsql.core.entry import CONFIGURATION
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.log import extend
from lfsql.core.membership import VOTER, Configuration, Member, decode_configuration, encode_configuration
from lfsql.errors import ConfigError, OrderRefused
from lfsql.node.carrying import encode_state
from lfsql.node.directory import DirectoryIdentity, data_directory
from lfsql.node.driver import refuse_damage
from lfsql.node.membership import first_configuration
from lfsql.storage import installation
from lfsql.storage.statement_log import StatementLog

_CODE_BYTES: Final = 4
_state_decoder: Final = msgspec.msgpack.Decoder(HardState)


class Recovery(msgspec.Struct, frozen=True):
    """What a recovery would do, or did.  `known_committed`: up to here a majority is known to have held the log.

    Records from there to `kept` are here, and were perhaps never acknowledged; after `kept` this node has nothing,
    and whatever was acknowledged there is lost.  `code` confirms it.
    """

    node: NodeId
    members: tuple[NodeId, ...]
    term: Term
    known_committed: Index
    kept: Index
    code: str


async def plan_recovery(config: NodeConfig) -> Recovery:
    """What `recover` would do, changing nothing.  Raises as that does."""
    with data_directory(config.data_dir, _whose(config)) as directory:
        _refuse_unfinished(directory)
        async with StatementLog(directory / "log.db") as log:
            return (await _plan(config, log))[0]


async def recover(config: NodeConfig, code: str) -> tuple[Recovery, Path]:
    """Make the node the only member of its cluster; what was done, and the file that keeps it.

    Raises DirectoryInUse while the node runs, OrderRefused when it is of no use or the code is another's,
    DataCorrupted.
    """
    with data_directory(config.data_dir, _whose(config)) as directory:
        _refuse_unfinished(directory)
        async with StatementLog(directory / "log.db") as log:
            plan, alone = await _plan(config, log)
            if code != plan.code:
                raise OrderRefused(
                    f"'{code}' does not confirm this: the log has changed, or it is another node's",
                    hint="look at what would be lost again, without --confirm",
                )
            # First the file: a recovery that nobody can read about afterwards must not happen.
            kept = _keep(directory, plan)
            record = extend(log.last, plan.term, ((CONFIGURATION, encode_configuration(alone)),))
            await log.write(record, hard_state=encode_state(HardState(plan.term, config.name, plan.known_committed)))
            return plan, kept


def _refuse_unfinished(directory: Path) -> None:
    if installation.is_begun(directory):
        raise OrderRefused(
            f"a snapshot was being put in place in {directory}, and its log does not fit it yet",
            hint="start the node once: it finishes that alone, before it needs anybody",
        )


async def _plan(config: NodeConfig, log: StatementLog) -> tuple[Recovery, Configuration]:
    refuse_damage(log)
    records = await log.configurations(log.last.index)
    current = decode_configuration(records[-1].body) if records else first_configuration(config, log)
    own = current.member(config.name)
    if own is None or not own.has_data:
        raise OrderRefused(
            f"node '{config.name}' cannot go on alone: it is {'a witness, without data' if own else 'no member'}"
        )
    if current.electors == (config.name,):
        raise OrderRefused(f"node '{config.name}' decides alone already: start it")
    state = _state_decoder.decode(log.hard_state) if log.hard_state else HardState()
    alone = Configuration((Member(config.name, VOTER, own.priority, own.address),))
    digest = blake2b(
        f"{log.incarnation} {log.last.index} {state.term}".encode() + log.last.hash, digest_size=_CODE_BYTES
    )
    plan = Recovery(
        node=config.name,
        members=tuple(member.node for member in current.members),
        term=max(state.term, log.last.term) + 1,
        known_committed=max(min(state.commit, log.last.index), log.base.index),
        kept=log.last.index,
        code=digest.hexdigest(),
    )
    return plan, alone


def _keep(directory: Path, plan: Recovery) -> Path:
    at = datetime.now(UTC)
    path = directory / f"recovered-{at:%Y%m%dT%H%M%SZ}.json"
    document = {
        "at": at.isoformat(timespec="seconds"),
        **msgspec.to_builtins(plan),
        "may_be_lost": lost_in_words(plan),
    }
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    return path


def lost_in_words(plan: Recovery) -> str:
    """What may be lost, for whoever has to decide."""
    unsure = plan.kept - plan.known_committed
    return (
        f"everything acknowledged after log index {plan.kept}: this node has nothing of it, and cannot know how much "
        "there is. "
        f"Of the last {unsure} records here (after {plan.known_committed}) it does not know whether they were "
        "acknowledged; they are kept."
    )


def _whose(config: NodeConfig) -> DirectoryIdentity:
    return DirectoryIdentity(config.cluster_id, config.name, config.members)
