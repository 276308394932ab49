"""A node's data directory: whose it is, and that only one process uses it.

The lock is the kernel's (flock), so it goes with the process however that ends; a file with a process number in it
would outlive a crash and lie about a number that is somebody else's by then.

`identity.json` says which node of which cluster the files belong to.  Starting n2's configuration on n1's directory
would give one node two votes; the file makes that an error message.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lfsql.core.ids import NodeId
from lfsql.errors import ConfigError, DirectoryInUse, WrongCluster


class DirectoryIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cluster_id: str
    node: NodeId


@contextmanager
def data_directory(path: str | Path, cluster_id: str, node: NodeId) -> Iterator[Path]:
    """Hold the directory, made when it is not there, for one node.

    Raises DirectoryInUse, WrongCluster (another cluster's or another node's), ConfigError.
    """
    directory = Path(path)
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
        _identify(directory / "identity.json", DirectoryIdentity(cluster_id, node))
        yield directory
    finally:
        os.close(lock)


def _identify(path: Path, identity: DirectoryIdentity) -> None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=DirectoryIdentity)
    except FileNotFoundError:
        _write(path, identity)
        return
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"data_dir: {path} is damaged: {error}") from error
    if found.cluster_id != identity.cluster_id:
        raise WrongCluster(
            f"data_dir: {path.parent} belongs to cluster '{found.cluster_id}', not to '{identity.cluster_id}'"
        )
    if found.node != identity.node:
        raise WrongCluster(f"data_dir: {path.parent} belongs to node '{found.node}', not to '{identity.node}'")


def _write(path: Path, identity: DirectoryIdentity) -> None:
    databases = [name for name in ("data.db", "log.db") if (path.parent / name).exists()]
    if databases:
        raise WrongCluster(f"data_dir: {path.parent} holds {' and '.join(databases)} and does not say whose they are")
    try:
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(identity) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be written: {error.strerror}") from error
