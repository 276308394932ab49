"""The systems that are compared, each as it is meant to be used for this, each on loopback and in one directory.

PostgreSQL keeps its standard durability (fsync, synchronous_commit) and streams to one replica without waiting for
it.  Pgpool-II balances reads over both.  PgBouncer stands before the primary; in session mode, because Debian's
version has no prepared statements in transaction mode.  lfsql runs three nodes and waits for its quorum.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import USER, Server, descendants, own, program, run
from lfsql.testing.cluster import free_port, running_tier

CLIENTS_MAX = 1_200
POOL_CHILDREN = 100


@dataclass(frozen=True)
class System:
    """`processes`: all that belong to it now.  `front`: those that hold clients' connections."""

    name: str
    port: int
    database: str
    processes: Callable[[], list[int]]
    front: Callable[[], list[int]]

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={self.database}"


NAMES = ("postgresql", "pgpool", "pgbouncer", "lfsql")


@contextmanager
def running(directory: Path, names: tuple[str, ...]) -> Iterator[list[System]]:
    """The named systems, ready; nothing of them runs after the block."""
    with ExitStack() as stack:
        systems: list[System] = []
        if set(names) & {"postgresql", "pgpool", "pgbouncer"}:
            primary, replica, postgresql = _postgresql(directory, stack)
            systems.append(postgresql)
            if "pgpool" in names:
                systems.append(_pgpool(directory, stack, primary, replica))
            if "pgbouncer" in names:
                systems.append(_pgbouncer(directory, stack, primary))
        if "lfsql" in names:
            systems.append(_lfsql(directory, stack))
        yield [system for system in systems if system.name in names]


def _postgresql(directory: Path, stack: ExitStack) -> tuple[int, int, System]:
    base = own(directory / "postgresql")
    log = directory / "postgresql.log"
    ports = free_port(), free_port()
    run([program("initdb"), "-D", str(base / "primary"), "-U", USER, "--locale=C", "-E", "UTF8", "-A", "trust"], log)
    settings = [
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={base}",
        f"max_connections={CLIENTS_MAX}",
        "shared_buffers=256MB",
        "max_wal_senders=4",
    ]
    options = [part for setting in settings for part in ("-c", setting)]
    servers = []
    for name, port in zip(("primary", "replica"), ports, strict=True):
        if name == "replica":
            source = ["-h", "127.0.0.1", "-p", str(ports[0]), "-U", USER]
            run([program("pg_basebackup"), "-D", str(base / "replica"), "-R", "-X", "stream", *source], log)
        command = [program("postgres"), "-D", str(base / name), "-p", str(port), *options]
        server = Server(command, directory / f"postgresql-{name}.log", signal.SIGINT, {})
        stack.callback(server.stop)
        servers.append(server)
        server.wait_answer(f"host=127.0.0.1 port={port} user={USER} dbname=postgres")
    servers[0].wait_answer(
        f"host=127.0.0.1 port={ports[0]} user={USER} dbname=postgres",
        "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
    )

    def processes() -> list[int]:
        return [pid for server in servers for pid in descendants(server.process.pid)]

    return (
        *ports,
        System("postgresql", ports[0], "postgres", processes, lambda: descendants(servers[0].process.pid)),
    )


def _pgpool(directory: Path, stack: ExitStack, primary: int, replica: int) -> System:
    base = own(directory / "pgpool")
    port = free_port()
    settings = {
        "listen_addresses": "'127.0.0.1'",
        "port": port,
        "socket_dir": f"'{base}'",
        "pcp_listen_addresses": "''",
        "pcp_port": free_port(),
        "pcp_socket_dir": f"'{base}'",
        "wd_ipc_socket_dir": f"'{base}'",
        "pid_file_name": f"'{base}/pgpool.pid'",
        "logdir": f"'{base}'",
        "backend_clustering_mode": "'streaming_replication'",
        "backend_hostname0": "'127.0.0.1'",
        "backend_port0": primary,
        "backend_weight0": 1,
        "backend_flag0": "'DISALLOW_TO_FAILOVER'",
        "backend_hostname1": "'127.0.0.1'",
        "backend_port1": replica,
        "backend_weight1": 1,
        "backend_flag1": "'DISALLOW_TO_FAILOVER'",
        "sr_check_period": 10,
        "sr_check_user": f"'{USER}'",
        "sr_check_database": "'postgres'",
        "num_init_children": POOL_CHILDREN,
        "max_pool": 1,
        "connection_cache": "on",
        "load_balance_mode": "on",
        "enable_pool_hba": "off",
        "pool_passwd": "''",
        "memory_cache_enabled": "off",
    }
    file = base / "pgpool.conf"
    file.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    for empty in ("pcp.conf", "pool_hba.conf"):
        (base / empty).write_text("")
    for path in base.iterdir():
        path.chmod(0o644)
    base.chmod(0o755)
    command = [
        program("pgpool"),
        "-n",
        "-f",
        str(file),
        "-F",
        str(base / "pcp.conf"),
        "-a",
        str(base / "pool_hba.conf"),
    ]
    server = Server(command, directory / "pgpool.log", signal.SIGINT, {})
    stack.callback(server.stop)
    server.wait_answer(f"host=127.0.0.1 port={port} user={USER} dbname=postgres")

    def processes() -> list[int]:
        return descendants(server.process.pid)

    return System("pgpool", port, "postgres", processes, processes)


def _pgbouncer(directory: Path, stack: ExitStack, primary: int) -> System:
    base = own(directory / "pgbouncer")
    port = free_port()
    file = base / "pgbouncer.ini"
    file.write_text(
        f"""[databases]
postgres = host=127.0.0.1 port={primary} dbname=postgres user={USER}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = {POOL_CHILDREN}
max_client_conn = {CLIENTS_MAX}
"""
    )
    file.chmod(0o644)
    base.chmod(0o755)
    server = Server([program("pgbouncer"), str(file)], directory / "pgbouncer.log", signal.SIGINT, {})
    stack.callback(server.stop)
    server.wait_answer(f"host=127.0.0.1 port={port} user={USER} dbname=postgres")

    def processes() -> list[int]:
        return descendants(server.process.pid)

    return System("pgbouncer", port, "postgres", processes, processes)


def _lfsql(directory: Path, stack: ExitStack) -> System:
    tier = stack.enter_context(running_tier(directory / "lfsql"))

    def front() -> list[int]:
        return [proxy["pid"] for proxy in tier.status()["proxies"]]

    return System("lfsql", tier.port, "lfsql", lambda: descendants(tier.process.pid), front)
