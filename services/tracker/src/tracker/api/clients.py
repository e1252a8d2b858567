"""Who asks: the client's address behind proxies that we trust, and how much it may ask.

An `X-Forwarded-For` is believed only from a trusted proxy, and only its entries up to the first that
is no trusted proxy itself, read from the right: what stands left of it, anybody may have written.
"""

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address

from postfleet.reachable import Network

_REMEMBERED = 50_000  # clients
Headers = Iterable[tuple[bytes, bytes]]


class Clients:
    """A bucket of tokens for each client: `burst` at once, then `per_second`."""

    def __init__(self, trusted: Sequence[Network], per_second: float, burst: int) -> None:
        self._trusted = tuple(trusted)
        self._rate, self._burst = per_second, burst
        self._buckets: dict[str, tuple[float, float]] = {}
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)

    def of(self, peer: tuple[str, int] | None, headers: Headers) -> str:
        """The client's address; "" where there is none."""
        named = [value for name, value in headers if name == b"x-forwarded-for"]
        return self.behind(peer, b",".join(named).decode("latin-1"))

    def behind(self, peer: tuple[str, int] | None, forwarded_for: str) -> str:
        """The same, from all that stands in X-Forwarded-For."""
        client = peer[0] if peer else ""
        if not forwarded_for or not self._trusts(client):
            return client
        for entry in reversed(forwarded_for.split(",")):
            address = entry.strip()
            if not address:
                continue
            client = address
            if not self._trusts(address):
                break
        return client

    def may(self, client: str) -> bool:
        """Take a token; False when the client has none left."""
        now = time.monotonic()
        left, at = self._buckets.get(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        if left < 1.0:
            return False
        if len(self._buckets) >= _REMEMBERED and client not in self._buckets:
            self._buckets.clear()  # a flood from everywhere is not one client's
        self._buckets[client] = (left - 1.0, now)
        return True

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)
