"""A node's data directory: whose it is, and that only one process uses it.

The lock is the kernel's (flock), so it goes with the process however that ends; a file with a process number in it
would outlive a crash and lie about a number that is somebody else's by then.

`identity.json` says which node of which cluster the files belong to, and who the cluster's members are.  Starting
n2's configuration on n1's directory would give one node two votes; the file makes that an error message.

As long as the log names no members, those that the node was first started with are kept to.  Majorities of two lists
need not have a node in common, so nodes whose lists were edited one after another could form two clusters that both
acknowledge writes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from lfsql.core.ids import NodeId
from lfsql.errors import ConfigError, DirectoryInUse, WrongCluster
from lfsql.storage.durable_file import write_file

IDENTITY: Final = "identity.json"
_LOST_HINT: Final = (
    f"put {IDENTITY} back; without it nobody can tell that these files are this node's: `lfsql remove-node`, then "
    "add it under a new name"
)


class DirectoryIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`members`: the role of each member that the cluster begins with; empty for a node that joins later."""

    cluster_id: str
    node: NodeId
    members: dict[NodeId, str] = {}


@contextmanager
def data_directory(path: str | Path, identity: DirectoryIdentity) -> Iterator[Path]:
    """Hold the directory, made when it is not there, for one node.

    Raises DirectoryInUse, WrongCluster (another cluster's or another node's), ConfigError.
    """
    with _locked(Path(path)) as directory:
        _identify(directory / IDENTITY, identity)
        yield directory


def check_members(directory: Path, identity: DirectoryIdentity) -> None:
    """For a node whose log names no members yet.  Raises ConfigError when it is to begin with others than before."""
    found = _identify(directory / IDENTITY, identity)
    if found.members != identity.members:
        raise ConfigError(
            f"peers: the members have changed: {difference(found.members, identity.members)}",
            hint="put them back as they were: members come and go by `lfsql add-node` and `lfsql remove-node`",
        )


def difference(before: dict[NodeId, str], after: dict[NodeId, str]) -> str:
    """What changed from one list of members to the other, in words."""
    came = [f"'{name}' ({role}) came" for name, role in sorted(after.items()) if name not in before]
    went = [f"'{name}' ({role}) went" for name, role in sorted(before.items()) if name not in after]
    both = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    turned = [f"'{name}' turned from {before[name]} to {after[name]}" for name in both]
    return ", ".join(came + went + turned)


@contextmanager
def stopped_directory(path: Path) -> Iterator[DirectoryIdentity]:
    """Keep nodes from starting in an existing directory, for somebody who looks at it.

    Raises DirectoryInUse, ConfigError when it is no node's.
    """
    if not (path / IDENTITY).exists():
        raise ConfigError(f"{path} is no node's data directory", hint=_LOST_HINT)
    with _locked(path) as directory:
        try:
            identity = msgspec.json.decode((directory / IDENTITY).read_bytes(), type=DirectoryIdentity)
        except OSError as error:
            raise ConfigError(f"data_dir: {path / IDENTITY} cannot be read: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise ConfigError(f"data_dir: {path / IDENTITY} is damaged: {error}", hint=_LOST_HINT) from error
        yield identity


@contextmanager
def _locked(directory: Path) -> Iterator[Path]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"data_dir: {directory} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(
                f"data_dir: {directory} is in use by another process", hint="is this node running already?"
            ) from None
        yield directory
    finally:
        os.close(lock)


def _identify(path: Path, identity: DirectoryIdentity) -> DirectoryIdentity:
    """Whose the directory is, with its members; written when it was nobody's."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=DirectoryIdentity)
    except FileNotFoundError:
        databases = [name for name in ("data.db", "log.db") if (path.parent / name).exists()]
        if databases:
            raise WrongCluster(
                f"data_dir: {path.parent} holds {' and '.join(databases)} and does not say whose they are",
                hint=_LOST_HINT,
            ) from None
        _write(path, identity)
        return identity
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"data_dir: {path} is damaged: {error}", hint=_LOST_HINT) from error
    if found.cluster_id != identity.cluster_id:
        raise WrongCluster(
            f"data_dir: {path.parent} belongs to cluster '{found.cluster_id}', not to '{identity.cluster_id}'"
        )
    if found.node != identity.node:
        raise WrongCluster(f"data_dir: {path.parent} belongs to node '{found.node}', not to '{identity.node}'")
    if not found.members:
        _write(path, identity)
        return identity
    return found


def _write(path: Path, identity: DirectoryIdentity) -> None:
    try:
        write_file(path, msgspec.json.encode(identity) + b"\n")
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be written: {error.strerror}") from error
