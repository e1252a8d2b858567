"""Questions to the DNS."""

from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

_DEADLINE = 5.0  # seconds for one question, all retries included


class DnsUnavailable(Exception):
    """No name server gave an answer that can be believed."""


class Lookup:
    """Asks the resolver at (address, port), or the system's; keeps no cache."""

    def __init__(self, resolver: tuple[str, int] | None) -> None:
        self._address = resolver

    async def texts(self, name: str) -> list[str]:
        """The TXT values at `name`, strings joined; none without such a name. Raises DnsUnavailable."""
        answer = await self._ask(name, "TXT")
        return [b"".join(data.strings).decode("utf-8", "replace") for data in answer]

    async def exchanges(self, name: str) -> list[str]:
        """The MX records, as `10 mail.one.test`. Raises DnsUnavailable."""
        answer = await self._ask(name, "MX")
        return [f"{data.preference} {data.exchange.to_text(True).lower()}" for data in answer]

    async def addresses(self, name: str) -> list[str]:
        """IPv4 and IPv6 addresses of a host. Raises DnsUnavailable."""
        return [data.address for kind in ("A", "AAAA") for data in await self._ask(name, kind)]

    async def ipv4(self, name: str) -> list[str]:
        """The A records, as block lists answer. Raises DnsUnavailable."""
        return [data.address for data in await self._ask(name, "A")]

    async def names_of(self, address: str) -> list[str]:
        """The names that the reverse zone gives an IP address (PTR). Raises DnsUnavailable."""
        name = dns.reversename.from_address(address).to_text()
        answer = await self._ask(name, "PTR")
        return [data.target.to_text(True).lower() for data in answer]

    async def values(self, name: str, type_: str) -> list[str]:
        """TXT or MX values. Raises DnsUnavailable."""
        return await (self.exchanges(name) if type_ == "MX" else self.texts(name))

    async def _ask(self, name: str, type_: str) -> list[Any]:
        try:
            return list(await self._resolver().resolve(name, type_, lifetime=_DEADLINE))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise DnsUnavailable(f"{name}: {error}") from error

    def _resolver(self) -> dns.asyncresolver.Resolver:
        if self._address is None:
            return dns.asyncresolver.Resolver()
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [self._address[0]]
        resolver.port = self._address[1]
        return resolver
