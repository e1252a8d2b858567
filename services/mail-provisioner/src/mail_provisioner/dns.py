"""Questions to the DNS."""

import dns.asyncresolver
import dns.exception
import dns.resolver

_DEADLINE = 5.0  # seconds for one question, all retries included


class DnsUnavailable(Exception):
    """No name server gave an answer that can be believed."""


class Lookup:
    """Asks the resolver at (address, port), or the system's; keeps no cache."""

    def __init__(self, resolver: tuple[str, int] | None) -> None:
        self._address = resolver

    async def texts(self, name: str) -> list[str]:
        """The TXT values at `name`, strings joined; none without such a name. Raises DnsUnavailable."""
        try:
            answer = await self._resolver().resolve(name, "TXT", lifetime=_DEADLINE)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise DnsUnavailable(f"{name}: {error}") from error
        return [b"".join(data.strings).decode("utf-8", "replace") for data in answer]

    def _resolver(self) -> dns.asyncresolver.Resolver:
        if self._address is None:
            return dns.asyncresolver.Resolver()
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [self._address[0]]
        resolver.port = self._address[1]
        return resolver
