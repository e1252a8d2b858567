"""Ports for servers that a test starts itself."""

import random
import socket
from pathlib import Path

_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 20_000  # below lie the ports that people give to services by hand
_handed_out: set[int] = set()
_dice = random.SystemRandom()  # other test processes draw too, and tests seed the common one


def free_ports(count: int) -> list[int]:
    """Return `count` ports of 127.0.0.1 that nobody listens on, never the same one twice.

    They lie below the range from which the kernel takes ports for outgoing connections: a server
    that is killed and started again finds its port still free.
    """
    top = int(_RANGE_FILE.read_text().split()[0]) if _RANGE_FILE.exists() else 32_768
    candidates = range(_LOWEST, top) if top - _LOWEST > 1000 else range(_LOWEST, 65_536)
    found: list[int] = []
    while len(found) < count:
        port = _dice.choice(candidates)
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            found.append(port)
    return found


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
