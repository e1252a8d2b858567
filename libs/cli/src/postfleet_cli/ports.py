"""Ports of this machine: which are taken, which are free."""

import errno
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from postfleet_cli.exits import ExitCode, Refused

HOST = "127.0.0.1"
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _HIGHEST = 20_000, 32_767
#: Meant for somebody who may not listen yet: a free port must not be given twice.
_spoken_for: set[int] = set()


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port we shall listen on, and the option that chooses another."""

    port: int
    what: str
    option: str


def check(uses: Iterable[PortUse]) -> None:
    """Raises Refused with a line for each port that cannot be had."""
    lines, seen = [], dict[int, PortUse]()
    for use in uses:
        if other := seen.get(use.port):
            lines.append(
                f"{use.option} and {other.option} name the same port {use.port}: change one of them"
            )
        elif reason := _obstacle(use.port):
            lines.append(
                f"port {use.port} for {use.what} {reason}. Choose another with {use.option} PORT"
            )
        seen[use.port] = use
        _spoken_for.add(use.port)
    if lines:
        raise Refused(ExitCode.UNAVAILABLE, *lines)


def free(count: int) -> list[int]:
    """Ports below those that the kernel gives to outgoing connections: a restarted child finds its
    own still free. Never one that was given or checked before."""
    top = _HIGHEST
    if _OUTGOING.exists():
        top = min(top, int(_OUTGOING.read_text().split()[0]) - 1)
    candidates = list(range(_LOWEST, top + 1)) if top > _LOWEST else list(range(40_000, 60_000))
    random.shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if port not in _spoken_for and _obstacle(port) is None:
            found.append(port)
    _spoken_for.update(found)
    return found


def _obstacle(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return (
                "is in use" if error.errno == errno.EADDRINUSE else f"is refused: {error.strerror}"
            )
    return None


def is_free(port: int) -> bool:
    """Whether we could listen there now."""
    return _obstacle(port) is None
