"""The proxy as a process: its worker, its listener, its end.

Several workers, a process each, share the client port with SO_REUSEPORT: the kernel spreads connections over them.
A cancel request is a connection of its own and may reach another worker than the session it means; the process id in
it names the worker, to which it is passed on through a datagram socket.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final

import trio

from lfsql.config import ListenerConfig, ProxyConfig, Purpose, split_address
from lfsql.errors import AddressInUse, ConfigError, TooManyConnections
from lfsql.net.cluster_key import load_key
from lfsql.net.handshake import Identity
from lfsql.storage.heap import limit_heap
from proxy.pg import encode
from proxy.pg.errors import FATAL, error_fields
from proxy.session import Session
from proxy.worker import Worker

LOG: Final = logging.getLogger("lfsql.proxy")

BACKLOG: Final = 1_024
CANCEL_BYTES_MAX: Final = 512
FRAMES_MAX: Final = 6_000
"""Python's calls within calls.  Reading SQL recurses 25 deep for each parenthesis, so the 1,000 that Python allows by
itself end at 40 of them; calls of Python by Python take none of the C stack."""

STARTING_MAX: Final = 1_000
"""Connections that have not finished their start-up; beyond it new ones are turned away at once."""


def listen(address: str, *, shared: bool) -> socket.socket:
    """A listening socket.  Raises AddressInUse."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"listen: {address} is in use", hint="choose another port, or stop who uses it"
            ) from error
        raise ConfigError(f"listen: {address}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


async def run_proxy(
    config: ProxyConfig,
    number: int = 0,
    *,
    read_again: Callable[[], ProxyConfig] | None = None,
    board: int | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve clients until cancelled.  Reports the address once clients can connect.  Raises ConfigError.

    `read_again`: the proxy's file as it is now, for when a node is added; raises ConfigError.  `board`: see
    Acknowledged.
    """
    if config.workers > 1 and not sys.platform.startswith("linux"):
        raise ConfigError("workers: more than one needs Linux, which spreads connections over processes")
    sys.setrecursionlimit(max(sys.getrecursionlimit(), FRAMES_MAX))
    limit_heap(config.limits.heap_bytes_max)
    key = load_key(config.cluster_key_file)
    listeners: list[tuple[socket.socket, Purpose]] = []
    identity = Identity(config.cluster_id, "", "proxy")
    worker = Worker(config, identity, key, number, pass_on_cancel, read_again or (lambda: config), board)
    closing = trio.Event()
    try:
        _listen_all(config, listeners)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run)
            sessions = await nursery.start(_hold_sessions, worker, closing)
            for listener, purpose in listeners:
                nursery.start_soon(_accept, listener, purpose, worker, sessions, closing)
            if config.workers > 1:
                nursery.start_soon(_take_cancels, worker, _cancel_name(config.listen, number))
            LOG.info("listening on %s", ", ".join([config.listen, *(each.address for each in config.listeners)]))
            task_status.started(config.listen)
    finally:
        for listener, _ in listeners:
            listener.close()
        worker.catalogs.close()


def _listen_all(config: ProxyConfig, listeners: list[tuple[socket.socket, Purpose]]) -> None:
    """Add to `listeners` one by one, so that those there are can be closed when another fails."""
    wanted = (ListenerConfig(address=config.listen), *config.listeners)
    listeners.extend((listen(each.address, shared=config.workers > 1), each.purpose) for each in wanted)


async def _hold_sessions(
    worker: Worker, closing: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery] = trio.TASK_STATUS_IGNORED
) -> None:
    """The nursery of sessions.  Shielded, so that at the end each can tell its client why."""
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as sessions:
            task_status.started(sessions)
            await closing.wait()
            worker.end_sessions()


async def _accept(
    listener: socket.socket, purpose: Purpose, worker: Worker, sessions: trio.Nursery, closing: trio.Event
) -> None:
    try:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                continue  # another worker was quicker
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    LOG.error("cannot accept connections: %s", error.strerror)
                    await trio.sleep(0.1)  # accepting again at once would fail again, at full speed
                else:
                    LOG.debug("a connection was gone before it was accepted: %s", error)
                continue
            if len(sessions.child_tasks) >= worker.limits.connections_max + STARTING_MAX:
                _turn_away(sock)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sessions.start_soon(Session(worker, sock, purpose).run)
    finally:
        closing.set()


def _cancel_name(address: str, number: int) -> str:
    """Where a worker takes cancel requests that others received: a name in Linux's abstract namespace, no file."""
    return f"\0lfsql-cancel-{address}-{number}"


async def _take_cancels(worker: Worker, name: str) -> None:
    """Cancel requests that reached another worker.  Each carries its secret key, as the client sent it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(name)
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                data = sock.recv(CANCEL_BYTES_MAX)
            except BlockingIOError:
                continue
            worker.cancel(int.from_bytes(data[:4], "big"), data[4:])


def pass_on_cancel(address: str, number: int, process_id: int, key: bytes) -> None:
    """Give a cancel request to the worker that has the session."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(process_id.to_bytes(4, "big") + key, _cancel_name(address, number))
        except OSError as error:
            LOG.debug("worker %d did not take a cancel request: %s", number, error)


def _turn_away(sock: socket.socket) -> None:
    sock.setblocking(False)
    try:
        sock.send(encode.error_response(error_fields(TooManyConnections("sorry, too many clients already"), FATAL)))
    except OSError:
        LOG.debug("a connection that was turned away was gone")
    finally:
        sock.close()
