"""Faults of this program, its disk, its installation, and of the cluster."""

from __future__ import annotations

from lfsql.errors.root import LfsqlError

# -- Faults of this program, its disk, or its installation -------------------------------------------------


class InvariantBroken(LfsqlError):
    """A condition the program relies on does not hold: a bug or damaged data.  Never caught to go on."""

    sqlstate = "XX000"


class DataCorrupted(LfsqlError):
    """A file's content contradicts its checksum or its hash chain."""

    sqlstate = "XX001"


class Diverged(LfsqlError):
    """Applying an entry had another effect here than the primary recorded."""

    sqlstate = "XX001"


class DiskFailed(LfsqlError):
    """The disk refused a read, a write or an fsync.  Never retried: the process stops and replays."""

    sqlstate = "58030"


class DiskFull(LfsqlError):
    sqlstate = "53100"


class ConfigError(LfsqlError):
    """A configuration file or a data directory cannot be used; the message names file and key."""

    sqlstate = "F0000"


class DirectoryInUse(ConfigError):
    """Another process holds the data directory's lock."""

    sqlstate = "F0001"


class WrongCluster(ConfigError):
    """The data directory, or the peer, belongs to another cluster."""


class AddressInUse(ConfigError):
    """A listener's port is taken."""


# -- Faults of the cluster, seen from a client -------------------------------------------------------------


class ClusterError(LfsqlError):
    """The root of these; none is raised as such."""


class NotPrimary(ClusterError):
    """The node asked cannot commit.  `primary` names the one that can, '' when unknown."""

    sqlstate = "57P03"
    retryable = True

    def __init__(self, message: str = "this node is not the primary", *, primary: str = "") -> None:
        super().__init__(message, hint=f"the primary is {primary}" if primary else "")
        self.primary = primary


class NoPrimary(ClusterError):
    """No primary was elected within the time a write may wait.

    Not 57P01: nobody shuts down, and the session that is told so lives on.
    """

    sqlstate = "57P03"
    retryable = True


class ShuttingDown(ClusterError):
    """The server ends.  What was under way may have been done."""

    sqlstate = "57P01"


class LinkLost(ClusterError):
    """The connection to a node broke before its answer came: what it was asked may have been done."""

    sqlstate = "08006"


class LinkRefused(LfsqlError):
    """The handshake failed: key, cluster, version, fingerprint, members or log differ; the message says which."""

    sqlstate = "08004"


class OrderRefused(ClusterError):
    """What an operator ordered cannot be done as things are; nothing was.  The message says why."""

    sqlstate = "55006"


class OutcomeUnknown(ClusterError):
    """The primary went away between sending a write and hearing its fate; the log knows."""

    sqlstate = "08007"


class TooStale(ClusterError):
    """Every replica is further behind than the lag limits allow.

    Of class 55 and not 57P0x, which tell pools and drivers that the connection is gone: one read is refused.
    """

    sqlstate = "55000"
    retryable = True


class StalePlan(ClusterError):
    """The schema changed between planning a statement and executing it; plan again."""

    sqlstate = "72000"
    retryable = True


class SnapshotGone(ClusterError):
    """A node that was fetching a snapshot asks for one that its source has no longer; it asks for another."""

    sqlstate = "72000"
    retryable = True


class TooManyConnections(ClusterError):
    sqlstate = "53300"
    retryable = True


class QueueFull(ClusterError):
    """A bounded queue is at its limit; nothing was done."""

    sqlstate = "53400"
    retryable = True


class NotificationsLost(ClusterError):
    """A session that listens cannot be told all, and is ended: it would take silence for no news."""

    sqlstate = "53000"


class OutOfMemory(ClusterError):
    """All that SQLite may take is taken, by this statement or by others at the time; it is undone."""

    sqlstate = "53200"


class SerializationFailure(ClusterError):
    """The transaction must be run again from its start."""

    sqlstate = "40001"
    retryable = True
