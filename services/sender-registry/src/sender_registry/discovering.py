"""Finding the servers of an address: provider, DNS, autoconfig, in the order of their cost."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from postfleet.addresses import canonical, domain_of
from sender_registry.connecting import Reach
from sender_registry.domain import presets
from sender_registry.domain.discovery import (
    SERVICES,
    Found,
    Srv,
    from_autoconfig,
    from_preset,
    from_srv,
)
from sender_registry.fetching import FetchFailed, Request, fetch

log = logging.getLogger(__name__)

_DNS_SECONDS = 3.0  # a look-up; there are five at most
_WELL_KNOWN = (
    "https://autoconfig.{domain}/mail/config-v1.1.xml",
    "https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
)


@dataclass(frozen=True, slots=True)
class Discovery:
    """`dns_server` is "" for the system's; `ispdb_url` "" asks no database."""

    reach: Reach
    dns_server: str = ""
    ispdb_url: str = ""

    async def find(self, address: str) -> Found:
        """What is known; a Found without `smtp` where nobody tells."""
        domain = domain_of(canonical(address))
        if kind := presets.by_domain(domain):
            return from_preset(kind, address, "domain")
        steps: tuple[Callable[[str, str], Awaitable[Found | None]], ...] = (
            self._by_mx,
            self._by_srv,
            self._by_autoconfig,
        )
        for step in steps:
            if found := await step(domain, address):
                return found
        problem = await self._problem(domain)
        return Found("nobody", presets.InboxType.CUSTOM_SMTP, problem=problem)

    async def _problem(self, domain: str) -> str:
        """Why nobody tells, if that is the domain's own trouble."""
        try:
            await self._resolve(domain, "MX")
        except dns.resolver.NXDOMAIN:
            return f"the domain {domain} does not exist: is it spelt right?"
        except dns.resolver.NoAnswer:
            return ""
        except dns.exception.DNSException:
            return f"the name servers of {domain} do not answer: try again later"
        return ""

    async def _by_mx(self, domain: str, address: str) -> Found | None:
        records = await self._ask(domain, "MX")
        kind = presets.by_mx([record.exchange.to_text() for record in records])
        return from_preset(kind, address, "mx") if kind else None

    async def _by_srv(self, domain: str, address: str) -> Found | None:
        records: dict[str, list[Srv]] = {}
        for service in SERVICES:
            records[service] = [
                Srv(r.priority, r.weight, r.port, r.target.to_text(omit_final_dot=True).strip("."))
                for r in await self._ask(f"{service}._tcp.{domain}", "SRV")
            ]
        return from_srv(records, address)

    async def _by_autoconfig(self, domain: str, address: str) -> Found | None:
        urls = [url.format(domain=domain) for url in _WELL_KNOWN]
        if self.ispdb_url:
            urls.append(f"{self.ispdb_url.rstrip('/')}/{domain}")
        for url in urls:
            try:
                answer = await fetch(Request(url), self.reach)
            except FetchFailed as failure:
                log.debug("no autoconfig: %s", failure)
                continue
            if answer.status == 200 and (
                found := from_autoconfig(answer.body, address, "autoconfig")
            ):
                return found
        return None

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            return list(await self._resolve(name, kind))
        except dns.exception.DNSException as error:
            log.debug("no %s of %s: %s", kind, name, type(error).__name__)
            return []

    async def _resolve(self, name: str, kind: str) -> Any:
        """Raises DNSException."""
        resolver = dns.asyncresolver.Resolver(configure=not self.dns_server)
        if self.dns_server:
            host, _, port = self.dns_server.rpartition(":")
            resolver.nameservers, resolver.port = [host], int(port)
        kind_of = dns.rdatatype.from_text(kind)
        return await resolver.resolve(name, kind_of, lifetime=_DNS_SECONDS)
