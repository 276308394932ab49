"""What a node and a proxy are told when they start: two TOML files, as frozen values.

Rules this file keeps:

- A configuration value that exists is valid.  Types and single bounds are checked while decoding, relations
  between settings in `__post_init__`; both raise ConfigError, so nothing downstream re-checks.
- An unknown key is an error.  A misspelt limit that is silently ignored is found in an outage.
- Every limit has its unit in its name (`_ms`, `_bytes`, `_entries`, a plural noun) and every bound says `max`.
- Relative paths are relative to the file that names them, so a data directory can be moved as a whole.

Reading uses the standard library's tomllib through msgspec, writing `lfsql.toml_text`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from lfsql.errors import ConfigError
from lfsql.toml_text import is_table_list, toml_lines, toml_value

DAY_MS: Final = 24 * 60 * 60 * 1000
GIBIBYTE: Final = 1 << 30

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)]
MillisecondsOrNone = Annotated[int, msgspec.Meta(ge=0, le=DAY_MS)]
Bytes = Annotated[int, msgspec.Meta(ge=1024, le=GIBIBYTE)]
FrameBytes = Annotated[int, msgspec.Meta(ge=2 << 20, le=GIBIBYTE)]
LogBytes = Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 40)]
LogMilliseconds = Annotated[int, msgspec.Meta(ge=1_000, le=365 * DAY_MS)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=1000)]
Weight = Annotated[int, msgspec.Meta(ge=0, le=100)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]

MemberRole = Literal["voter", "learner", "witness"]
ReadConsistency = Literal["any", "bounded", "session", "strong"]
WhenLagging = Literal["primary", "freshest", "wait", "error"]
Purpose = Literal["auto", "read-write", "read-only"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MEMBERS_MAX: Final = 64


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node of the cluster, as every node's file lists it.

    `role`: a voter elects and may become primary; a learner has the data but no vote; a witness votes and keeps the
    log, without the data, and hands the lead on as soon as a voter can take it.  `priority`: who would be primary
    waits a little longer for each that is of higher priority, and one that is hands over to it once it is level.
    """

    name: str
    address: str
    role: MemberRole = "voter"
    priority: Priority = 100


class NodeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a node spends at most.  See docs/configuration.md for when to change which."""

    links_max: Count = 256
    """Connections of proxies and commands; those of other nodes have room of their own."""
    handshake_ms_max: Milliseconds = 5_000
    """How long a connection may take to authenticate."""
    frame_bytes_max: FrameBytes = 72 << 20
    """One message on the link."""
    link_queue_bytes_max: Bytes = 144 << 20
    """Messages that wait to be sent to one peer or proxy; beyond it the link is closed or the asker waits."""
    write_queue_units_max: Count = 10_000
    """Units that wait for the writer; beyond it a unit is refused with 53400."""
    batch_units_max: Count = 512
    """Units that share one append and one fsync."""
    batch_bytes_max: Bytes = 8 << 20
    """Log bytes that share one append, unless a single unit is larger."""
    unit_bytes_max: Bytes = 64 << 20
    """Statements and parameters, or changeset, of one unit."""
    append_bytes_max: Bytes = 4 << 20
    """Log bytes in one message to a replica, unless a single record is larger."""
    inflight_appends_max: Count = 16
    """Messages to one replica that it has not yet acknowledged."""
    log_cache_bytes_max: Bytes = 64 << 20
    """Newest log records kept in memory, for replicas slightly behind."""
    log_bytes_max: LogBytes = 1 << 30
    """The statement log: beyond it the oldest records go, and whoever lacks them gets a snapshot."""
    log_age_ms_max: LogMilliseconds = DAY_MS
    """Records older than this go, when no replica on its way needs them."""
    apply_entries_max: Count = 1_024
    """Log records that a replica applies in one transaction."""
    read_threads_max: Count = 8
    """Reads over the link that run at the same time."""
    open_reads_max: Count = 1_024
    """Reads over the link that are partly sent."""
    chunk_rows_max: Count = 1_000
    """Rows in one answer."""
    chunk_bytes_max: Bytes = 1 << 20
    """Bytes of rows of a read that is answered at once, beyond which it becomes a cursor's."""
    transaction_idle_ms_max: Milliseconds = 60_000
    """The longest idle time that a client may ask for while its transaction holds the writer."""
    heap_bytes_max: Bytes = 1 << 30
    """What SQLite may take in memory, all statements together; beyond it one fails with 53200."""
    replica_lag_ms_max: MillisecondsOrNone = 10_000
    """How late a voter's data may become before the primary slows writes to what it applies; 0: it never does."""
    client_records_max: Count = 100_000
    """Clients that the primary keeps in mind; what others sent last it looks up in the database."""


class NodeFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a node does to itself so that a test sees what happens then.  Nothing unless its file asks for it."""

    apply_delay_ms_max: MillisecondsOrNone = 0
    """As a replica it holds back each transaction of committed records for a random time up to this."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """What the random times are drawn from, together with the node's name."""


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """node.toml: one node.

    `peers` lists the members that the cluster begins with, this node included, with the same names and roles on all
    of them; afterwards the log says who belongs, and this is where to look for them first.  `joins`: the cluster is
    there already, and this node waits until `lfsql add-node` has made it a member. `heartbeat_ms` is how often the
    primary speaks when it has nothing to say; a replica that heard nothing for a time drawn between the two
    election timeouts asks for an election.  `content_check_interval_ms`: how often all compare what their databases
    hold, when this node is primary.
    """

    name: str
    cluster_id: str
    listen: str
    peers: tuple[Member, ...]
    cluster_key_file: str
    data_dir: str = "."
    joins: bool = False
    heartbeat_ms: Milliseconds = 150
    election_timeout_ms_min: Milliseconds = 450
    election_timeout_ms_max: Milliseconds = 850
    content_check_interval_ms: MillisecondsOrNone = 3_600_000
    limits: NodeLimits = msgspec.field(default_factory=NodeLimits)
    faults: NodeFaults = msgspec.field(default_factory=NodeFaults)

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        _check_name("cluster_id", self.cluster_id)
        _check_address("listen", self.listen)
        _check_members("peers", ((peer.name, peer.address) for peer in self.peers))
        if self.name not in {peer.name for peer in self.peers}:
            raise ConfigError(f"peers: this node, '{self.name}', is not among them")
        if not any(peer.role == "voter" for peer in self.peers):
            raise ConfigError("peers: expected at least one with role 'voter'")
        if self.joins and not any(peer.role == "voter" for peer in self.peers if peer.name != self.name):
            raise ConfigError("peers: expected a voter of the cluster that this node joins")
        if self.heartbeat_ms * 3 > self.election_timeout_ms_min:
            raise ConfigError(
                f"election_timeout_ms_min: expected at least three heartbeats ({self.heartbeat_ms * 3}), "
                f"got {self.election_timeout_ms_min}"
            )
        if self.election_timeout_ms_min >= self.election_timeout_ms_max:
            raise ConfigError(
                f"election_timeout_ms_max: expected more than election_timeout_ms_min "
                f"({self.election_timeout_ms_min}), got {self.election_timeout_ms_max}"
            )
        limits = self.limits
        _check_order(
            "limits",
            limits,
            "chunk_bytes_max < frame_bytes_max",
            "append_bytes_max < frame_bytes_max",
            "unit_bytes_max < frame_bytes_max",
            "frame_bytes_max <= link_queue_bytes_max",
            "batch_bytes_max <= log_cache_bytes_max",
        )

    @property
    def me(self) -> Member:
        """This node's own line of `peers`."""
        return next(peer for peer in self.peers if peer.name == self.name)

    @property
    def members(self) -> dict[str, str]:
        """The role of each member that the cluster begins with: what all nodes must agree on before any may count
        votes.  Empty for a node that joins later."""
        founders = [] if self.joins else sorted(self.peers, key=lambda peer: peer.name)
        return {peer.name: peer.role for peer in founders}


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node, as a proxy knows it.

    `data_dir`: the node's data directory when it is on this host; its database is then read in the proxy's own
    process.  Empty: reads go over the link.  `weight`: its share of reads, beside the other replicas'; 0: none while
    another can be read.  `zone`: as in `[balancing]`.  `max_sessions`: reads and transactions of one worker at the
    same time; 0: no limit.
    """

    name: str
    address: str
    data_dir: str = ""
    weight: Weight = 1
    zone: str = ""
    max_sessions: CountOrNone = 0


class Balancing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a proxy chooses among the copies that may serve a read.  See docs/configuration.md."""

    zone: str = ""
    """Where this proxy is: nodes of the same zone are preferred.  Empty: all are equally near."""
    warm_up_ms: MillisecondsOrNone = 5_000
    """A node that comes, or comes back, has its whole share after so long."""
    unanswered_ms_max: Milliseconds = 100
    """A read over a link waits so long before its node is asked whether it lives, and as long for that answer."""
    failures_max: Count = 3
    """Reads in a row that fail for the node's own fault, before it is ejected."""
    ejection_ms_min: Milliseconds = 1_000
    """A node is out for so long at first, and twice as long each further time."""
    ejection_ms_max: Milliseconds = 30_000
    """The longest that a node is out before it is probed."""
    ejected_percent_max: Percent = 50
    """Of the nodes that can be read, the primary counted, no more are out for being ejected."""

    def __post_init__(self) -> None:
        if self.ejection_ms_min > self.ejection_ms_max:
            raise ConfigError(
                f"balancing.ejection_ms_min: expected at most balancing.ejection_ms_max ({self.ejection_ms_max}), "
                f"got {self.ejection_ms_min}"
            )


class ProxyDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a new session's `lfsql.` settings are; a client may change each for itself."""

    read_consistency: ReadConsistency = "session"
    causality: Literal["session", "proxy"] = "session"
    max_lag_ms: MillisecondsOrNone = 1_000
    max_lag_entries: CountOrNone = 10_000
    when_lagging: WhenLagging = "primary"
    failover_wait_ms: MillisecondsOrNone = 10_000
    statement_timeout_ms: MillisecondsOrNone = 0
    idle_in_transaction_session_timeout_ms: MillisecondsOrNone = 10_000


class UserDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the settings of one user's new sessions are, by the keys of ProxyDefaults; None: as everybody's."""

    read_consistency: ReadConsistency | None = None
    causality: Literal["session", "proxy"] | None = None
    max_lag_ms: MillisecondsOrNone | None = None
    max_lag_entries: CountOrNone | None = None
    when_lagging: WhenLagging | None = None
    failover_wait_ms: MillisecondsOrNone | None = None
    statement_timeout_ms: MillisecondsOrNone | None = None
    idle_in_transaction_session_timeout_ms: MillisecondsOrNone | None = None


class ProxyLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one proxy worker spends at most.  See docs/configuration.md for when to change which."""

    connections_max: Count = 5_000
    """Client connections of one worker; beyond it a client gets 53300."""
    startup_ms_max: Milliseconds = 10_000
    """How long a client may take from connecting to being authenticated."""
    message_bytes_max: Bytes = 64 << 20
    """One message of a client."""
    heap_bytes_max: Bytes = 1 << 30
    """What SQLite may take in memory, all reads of one worker together; beyond it one fails with 53200."""
    prepared_statements_max: Count = 10_000
    """Named statements of one session."""
    portals_max: Count = 1_000
    """Open portals and cursors of one session."""
    session_bytes_max: Bytes = 256 << 20
    """Prepared statements, portals and rows kept for cursors, of one session."""
    notification_bytes_max: Bytes = 16 << 20
    """Notifications that wait for one client to take them; beyond it its session is ended."""
    plan_cache_entries_max: Count = 5_000
    """Plans kept, by text and by shape."""
    plan_cache_bytes_max: Bytes = 64 << 20
    """Statement text kept as keys of plans; a longer text is planned each time."""
    inline_steps_max: Count = 20_000
    """SQLite virtual machine steps that a read may take in the event loop, before it moves to a thread."""
    inline_rows_max: Count = 500
    """Rows that a read may give in the event loop, before it moves to a thread."""
    snapshot_age_ms_max: Milliseconds = 1
    """How long one read snapshot is shared by following reads."""
    read_threads_max: Count = 4
    """Long reads that run at the same time."""
    frame_bytes_max: FrameBytes = 72 << 20
    """One message on the link to a node."""
    node_requests_max: Count = 10_000
    """Requests to one node that wait for their answer."""


class ListenerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One more address for clients.

    `read-write`: its sessions are at the primary, reads too.  `read-only`: they cannot write, and find what a client
    finds at a PostgreSQL that stands by (`in_hot_standby`, `pg_is_in_recovery()`).  `auto`: as at `listen`.
    """

    address: str
    purpose: Purpose = "auto"


class ProxyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """proxy.toml: one proxy.

    `workers` processes share `listen`, and what `listeners` name beside it.  `databases` are the names a client may
    connect to; all name the one database there is."""

    cluster_id: str
    cluster_key_file: str
    nodes: tuple[Upstream, ...]
    listen: str = "127.0.0.1:5433"
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    databases: tuple[str, ...] = ("lfsql",)
    listeners: tuple[ListenerConfig, ...] = ()
    balancing: Balancing = msgspec.field(default_factory=Balancing)
    defaults: ProxyDefaults = msgspec.field(default_factory=ProxyDefaults)
    users: dict[str, UserDefaults] = msgspec.field(default_factory=dict)
    limits: ProxyLimits = msgspec.field(default_factory=ProxyLimits)

    def __post_init__(self) -> None:
        _check_name("cluster_id", self.cluster_id)
        _check_local("listen", self.listen)
        for place, listener in enumerate(self.listeners):
            _check_local(f"listeners[{place}].address", listener.address)
        addresses = [self.listen, *(listener.address for listener in self.listeners)]
        if len(set(addresses)) != len(addresses):
            raise ConfigError("listeners: an address is listed twice", detail=", ".join(addresses))
        _check_members("nodes", ((node.name, node.address) for node in self.nodes))
        if not self.databases:
            raise ConfigError("databases: expected at least one name")
        for name in self.databases:
            if not name or len(name.encode()) > 63 or "\0" in name:
                raise ConfigError(f"databases: expected names of 1 to 63 bytes, got {name!r}")
        if len(set(self.databases)) != len(self.databases):
            raise ConfigError("databases: a name is listed twice")
        for name in self.users:
            if not name or len(name.encode()) > 63 or "\0" in name:
                raise ConfigError(f"users: expected names of 1 to 63 bytes, got {name!r}")
        _check_order("limits", self.limits, "message_bytes_max < frame_bytes_max")


AnyConfig = TypeVar("AnyConfig", NodeConfig, ProxyConfig)


def read(path: str | Path, kind: type[AnyConfig]) -> AnyConfig:
    """The file at `path` as it is, relative paths left relative.  Raises ConfigError naming the file and the key."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return msgspec.toml.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error


def load_node(path: str | Path) -> NodeConfig:
    """node.toml at `path`, its paths made absolute.  Raises ConfigError naming the file and the key."""
    base, config = Path(path).resolve().parent, read(path, NodeConfig)
    return msgspec.structs.replace(
        config, data_dir=str(base / config.data_dir), cluster_key_file=str(base / config.cluster_key_file)
    )


def load_proxy(path: str | Path) -> ProxyConfig:
    """proxy.toml at `path`, its paths made absolute.  Raises ConfigError naming the file and the key."""
    base, config = Path(path).resolve().parent, read(path, ProxyConfig)
    nodes = tuple(
        msgspec.structs.replace(node, data_dir=str(base / node.data_dir)) if node.data_dir else node
        for node in config.nodes
    )
    return msgspec.structs.replace(config, nodes=nodes, cluster_key_file=str(base / config.cluster_key_file))


def split_address(address: str) -> tuple[str, int]:
    """('::1', 5433) of '[::1]:5433'.  Raises ValueError when it is not host:port."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address is written in brackets, as in '[::1]:5433'")
    if not colon or not host or host != host.strip():
        raise ValueError("expected 'host:port'")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("expected a port from 1 to 65535 after the last ':'")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def to_toml(config: NodeConfig | ProxyConfig) -> str:
    """The file that reads back as `config`: settings, then tables, in the order they are declared above.

    A limit or default that has its standard value is left out: it then follows later versions.
    """
    plain = msgspec.to_builtins(config)
    kind = type(config)
    for section, standard in _standard_tables(kind).items():
        given = plain.pop(section)
        changed = {key: value for key, value in given.items() if value != standard[key]}
        if changed:
            plain[section] = changed
    lines: list[str] = []
    for key, value in plain.items():
        if not isinstance(value, dict) and not is_table_list(value):
            lines.append(f"{key} = {toml_value(value)}")
    for key, value in plain.items():
        if key == "users":
            for name, given in value.items():
                settings = {setting: chosen for setting, chosen in given.items() if chosen is not None}
                lines += ["", f"[users.{toml_value(name)}]", *toml_lines(settings)]
        elif isinstance(value, dict):
            lines += ["", f"[{key}]", *toml_lines(value)]
        elif is_table_list(value):
            for row in value:
                lines += ["", f"[[{key}]]", *toml_lines(row)]
    return "\n".join(lines) + "\n"


def _explain(message: str) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.limits.links_max`" with the key first and without its marks."""
    fault, _, place = message.partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", fault)
    if missing is not None:
        parent = f"{key}." if key else ""
        kind = "is missing" if missing[1] == "missing required" else "is no setting"
        return f"{parent}{missing[2]}: {kind}"
    fault = fault[:1].lower() + fault[1:].replace("`", "")
    return f"{key}: {fault}" if key else fault


def _check_name(key: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{key}: expected a lower-case letter, then up to 62 of a-z 0-9 _ -, got {json.dumps(name)[:80]}"
        )


def _check_address(key: str, address: str) -> tuple[str, int]:
    try:
        return split_address(address)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}, got {json.dumps(address)[:80]}") from error


def _check_local(key: str, address: str) -> None:
    host, _ = _check_address(key, address)
    if not is_loopback(host):
        raise ConfigError(
            f"{key}: '{address}' is reachable from other hosts, and clients are trusted without a password",
            hint="listen on 127.0.0.1, ::1 or localhost",
        )


def _check_members(key: str, members: Iterable[tuple[str, str]]) -> None:
    names: set[str] = set()
    addresses: set[str] = set()
    for position, (name, address) in enumerate(members):
        _check_name(f"{key}[{position}].name", name)
        _check_address(f"{key}[{position}].address", address)
        if name in names:
            raise ConfigError(f"{key}[{position}].name: '{name}' is listed twice")
        if address in addresses:
            raise ConfigError(f"{key}[{position}].address: '{address}' is listed twice")
        names.add(name)
        addresses.add(address)
    if not 1 <= len(names) <= _MEMBERS_MAX:
        raise ConfigError(f"{key}: expected 1 to {_MEMBERS_MAX} nodes, got {len(names)}")


def _check_order(section: str, limits: NodeLimits | ProxyLimits, *relations: str) -> None:
    for relation in relations:
        small, sign, large = relation.split()
        low, high = getattr(limits, small), getattr(limits, large)
        if low > high or (sign == "<" and low == high):
            word = "less than" if sign == "<" else "at most"
            raise ConfigError(f"{section}.{small}: expected {word} {section}.{large} ({high}), got {low}")


def _standard_tables(kind: type[NodeConfig] | type[ProxyConfig]) -> dict[str, dict[str, Any]]:
    if kind is NodeConfig:
        return {"limits": msgspec.to_builtins(NodeLimits()), "faults": msgspec.to_builtins(NodeFaults())}
    standard = {"balancing": Balancing(), "defaults": ProxyDefaults(), "limits": ProxyLimits()}
    return {section: msgspec.to_builtins(values) for section, values in standard.items()}
