"""A network of the test's own, with a place for each node, whose paths can be cut, one way or both.

Each node lives in a network namespace, joined by a bridge in the one of the test, where proxy and clients are.  What
is cut is lost without a word, as in a network: the sender's neighbour table holds an address that nobody has.  All of
it vanishes with the last process that uses it; nothing of it has a name in the machine.

Needs root on Linux, with util-linux and iproute2; where that is not given, `make_network` says so.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence

PREFIX = "10.77.0"
_NEW_NETWORK = 0x40000000
_NEW_MOUNTS = 0x00020000
_HUB = 100
_NOBODY = "02:00:00:00:ff:ff"
_libc = ctypes.CDLL(None, use_errno=True)


class NotPermitted(Exception):
    """This machine does not let the test do it; the message says what."""


def unshare(flags: int) -> None:
    """Take the process out of its namespaces; for processes with one thread.  Raises NotPermitted."""
    if not hasattr(_libc, "unshare") or _libc.unshare(flags) != 0:
        raise NotPermitted(f"unshare: {os.strerror(ctypes.get_errno())}")


def own_mounts() -> None:
    """From now on what this process mounts is its own, and gone when it ends.  Raises NotPermitted."""
    unshare(_NEW_MOUNTS)
    run(["mount", "--make-rprivate", "/"])


def run(command: Sequence[str], namespace: int | None = None) -> None:
    """Raises NotPermitted with what the command said."""
    prefix, descriptors = inside(namespace)
    if shutil.which(command[0]) is None:
        raise NotPermitted(f"{command[0]} is not installed")
    done = subprocess.run(
        [*prefix, *command],
        capture_output=True,
        text=True,
        check=False,
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise NotPermitted(f"{' '.join(command)}: {done.stderr.strip()}")


def inside(namespace: int | None) -> tuple[list[str], tuple[int, ...]]:
    """What to put before a command that is to run in a namespace, and the descriptor that it needs for that."""
    if namespace is None:
        return [], ()
    return ["nsenter", f"--net=/proc/self/fd/{namespace}", "--"], (namespace,)


class Network:
    """Places 1..n with addresses; the process that makes it is in the hub, from which all are reached.

    Raises NotPermitted.  Must be made before the process has threads.
    """

    def __init__(self, places: int) -> None:
        unshare(_NEW_NETWORK)
        hub = os.open("/proc/self/ns/net", os.O_RDONLY)
        run(["ip", "link", "set", "lo", "up"])
        run(["ip", "link", "add", "hub", "address", _hardware(_HUB), "type", "bridge"])
        run(["ip", "address", "add", f"{PREFIX}.{_HUB}/24", "dev", "hub"])
        run(["ip", "link", "set", "hub", "up"])
        self.namespaces = {_HUB: hub}
        for place in range(1, places + 1):
            unshare(_NEW_NETWORK)
            self.namespaces[place] = os.open("/proc/self/ns/net", os.O_RDONLY)
            peer = ["peer", "name", f"port{place}", "netns", f"/proc/{os.getpid()}/fd/{hub}"]
            run(["ip", "link", "set", "lo", "up"])
            run(["ip", "link", "add", "hub", "address", _hardware(place), "type", "veth", *peer])
            run(["ip", "address", "add", f"{PREFIX}.{place}/24", "dev", "hub"])
            run(["ip", "link", "set", "hub", "up"])
            if _libc.setns(hub, 0) != 0:
                raise NotPermitted(f"setns: {os.strerror(ctypes.get_errno())}")
            run(["ip", "link", "set", f"port{place}", "master", "hub", "up"])

    @property
    def hub(self) -> int:
        """The place of proxy and clients."""
        return _HUB

    def address(self, place: int) -> str:
        return f"{PREFIX}.{place}"

    def cut(self, sender: int, receiver: int) -> None:
        """What the one sends no longer reaches the other; the way back is not touched."""
        self._set_neighbour(sender, receiver, _NOBODY)

    def join(self, sender: int, receiver: int) -> None:
        self._set_neighbour(sender, receiver, _hardware(receiver))

    def join_all(self) -> None:
        for sender in self.namespaces:
            for receiver in self.namespaces:
                if sender != receiver:
                    self.join(sender, receiver)

    def _set_neighbour(self, sender: int, receiver: int, hardware: str) -> None:
        address = ["ip", "neighbour", "replace", self.address(receiver), "lladdr", hardware]
        run([*address, "nud", "permanent", "dev", "hub"], self.namespaces[sender])


def _hardware(place: int) -> str:
    return f"02:00:00:00:00:{place:02x}"
