"""MX lookups: cached, bounded, and never waited for. Who is not known yet is asked for meanwhile."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import dns.asyncresolver
import dns.exception
import dns.resolver
import idna

from dispatcher.domain.destinations import DOMAINS, destination_of
from postfleet.addresses import domain_of

log = logging.getLogger(__name__)

_MOST_KNOWN = 50_000  # domains
_MOST_WAITING = 2_000
_AT_ONCE = 8
_GOOD_SECONDS = 24 * 3600.0
_BAD_SECONDS = 600.0  # no MX, or no DNS
_TIMEOUT_SECONDS = 3.0


class Exchangers:
    """`nameservers`: addresses to ask (`None`: the system's); `port` for a name server of one's own.

    Without DNS every domain is a destination by itself.
    """

    def __init__(
        self, *, enabled: bool = True, nameservers: tuple[str, ...] | None = None, port: int = 53
    ) -> None:
        self._enabled, self._nameservers, self._port = enabled, nameservers, port
        self._known: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._waiting: set[str] = set()
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def of(self, domain: str) -> tuple[str, ...]:
        """MX hosts, most preferred first; () while they are not known."""
        found = self._known.get(domain)
        if found is None or found[0] < time.monotonic():
            self._ask(domain)
        return found[1] if found else ()

    def destinations(self, addresses: Iterable[str]) -> Mapping[str, str]:
        """address -> destination."""
        return {address: self.destination(address) for address in addresses}

    def destination(self, address: str) -> str:
        domain = domain_of(address).lower()
        return destination_of(address, () if domain in DOMAINS else self.of(domain))

    def _ask(self, domain: str) -> None:
        if self._enabled and domain not in self._waiting and len(self._waiting) < _MOST_WAITING:
            self._waiting.add(domain)
            self._queue.put_nowait(domain)

    async def run(self) -> None:
        """Runs for ever: looks up what was asked for, a few at a time."""
        resolver = self._resolver()
        if resolver is None:
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work(resolver))

    def _resolver(self) -> dns.asyncresolver.Resolver | None:
        if not self._enabled:
            return None
        try:
            resolver = dns.asyncresolver.Resolver(configure=self._nameservers is None)
        except dns.resolver.NoResolverConfiguration as error:
            log.warning("destinations are domains, without their MX: %s", error)
            self._enabled = False
            return None
        if self._nameservers is not None:
            resolver.nameservers = list(self._nameservers)
            resolver.port = self._port
        resolver.lifetime = resolver.timeout = _TIMEOUT_SECONDS
        return resolver

    async def _work(self, resolver: dns.asyncresolver.Resolver) -> None:
        while True:
            domain = await self._queue.get()
            try:
                hosts = await _look_up(resolver, domain)
            except (dns.exception.DNSException, OSError, UnicodeError) as error:
                log.debug("no MX of %s: %r", domain, error)
                hosts = ()
            self._keep(domain, hosts)

    def _keep(self, domain: str, hosts: tuple[str, ...]) -> None:
        self._waiting.discard(domain)
        seconds = _GOOD_SECONDS if hosts else _BAD_SECONDS
        if not hosts and (before := self._known.get(domain)):
            hosts = before[1]  # what was known is better than nothing
        self._known[domain] = (time.monotonic() + seconds, hosts)
        self._known.move_to_end(domain)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


async def _look_up(resolver: dns.asyncresolver.Resolver, domain: str) -> tuple[str, ...]:
    name = domain if domain.isascii() else idna.encode(domain.lower()).decode()
    answer = await resolver.resolve(name, "MX")
    found = sorted((record.preference, record.exchange.to_text().rstrip(".")) for record in answer)
    return tuple(host for _, host in found)
