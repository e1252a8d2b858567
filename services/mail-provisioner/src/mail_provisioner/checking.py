"""Looks at a domain and its mail server as the world sees them."""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dns.reversename

from mail_provisioner.dns import DnsUnavailable, Lookup
from mail_provisioner.domain import checks, mta_sts, spf
from mail_provisioner.domain.checks import Check, CheckState, SpfCost
from mail_provisioner.domain.dns_plan import Step
from mail_provisioner.domain.domains import Domain
from mail_provisioner.domain.records import Purpose
from mail_provisioner.domain_dns import DomainDns
from mail_provisioner.policy_fetch import PolicyNotServed, fetch_policy
from mail_provisioner.settings import Settings
from postfleet.instants import now

_GREETING_WAIT = 10.0  # seconds to connect and be greeted; postscreen makes strangers wait 6
_MAX_INCLUDES = 20  # more records than any valid SPF can reach


@dataclass(frozen=True, slots=True)
class Look:
    checks: tuple[Check, ...]
    steps: tuple[Step, ...]  # how the records stand


class Checks:
    def __init__(
        self, lookup: Lookup, records_of: DomainDns, settings: Settings, tls: ssl.SSLContext
    ) -> None:
        self._lookup, self._records_of = lookup, records_of
        self._settings, self._tls = settings, tls

    async def look(self, domain: Domain) -> Look:
        """Every check; one that cannot be made is UNKNOWN, and none raises."""
        steps = await self._records_of.public_steps(domain)
        by_purpose = {step.record.purpose: step for step in steps}
        host = self._settings.mail_host_of(domain.name)
        found = [
            checks.record(name, by_purpose[name])
            for name in (Purpose.MX.value, Purpose.DKIM.value)
            if name in by_purpose
        ]
        found.append(checks.dmarc(by_purpose[Purpose.DMARC.value]))
        if Purpose.TLS_RPT in by_purpose:
            found.append(checks.record("tls_rpt", by_purpose[Purpose.TLS_RPT.value]))
        if Purpose.MTA_STS in by_purpose:
            found.append(await self._mta_sts(domain, host, by_purpose[Purpose.MTA_STS.value]))
        found += await asyncio.gather(
            self._spf(domain.name, by_purpose[Purpose.SPF.value]),
            self._reverse(host),
            self._block_lists(host),
            self._outbound(),
            self._certificate(host),
        )
        order: tuple[str, ...] = (
            "outbound_25",
            "ptr",
            "dnsbl",
            "mx",
            "spf",
            "dkim",
            "dmarc",
            "tls",
        )
        order = (*order, "tls_rpt", "mta_sts")
        return Look(tuple(sorted(found, key=lambda c: order.index(c.name))), tuple(steps))

    # -- DNS -------------------------------------------------------------------------------------

    async def _spf(self, domain: str, step: Step) -> Check:
        cost = SpfCost()
        if len(step.found) == 1:
            try:
                cost = await self._cost(step.found[0], domain, [domain])
            except DnsUnavailable as error:
                return checks.judged("spf", CheckState.UNKNOWN, str(error))
        return checks.sender_policy(step, cost)

    async def _cost(self, record: str, domain: str, path: Sequence[str]) -> SpfCost:
        lookups, void, problems = 0, 0, list[str]()
        for term in spf.lookup_terms(record):
            lookups += 1
            target = term.target or domain
            if term.is_macro or len(path) > _MAX_INCLUDES:
                continue  # depends on the message, or the limit is exceeded anyway
            if term.mechanism not in ("include", "redirect"):
                void += not await self._exists(term, target)
            elif target in path:
                problems.append(f"{term.text} leads in a circle")
            else:
                inner = spf.records_in(await self._lookup.texts(target))
                if len(inner) != 1:
                    problems.append(f"{term.text}: {len(inner)} SPF records there, one is needed")
                    continue
                cost = await self._cost(inner[0], target, [*path, target])
                lookups, void = lookups + cost.lookups, void + cost.void
                problems += cost.problems
        return SpfCost(lookups, void, tuple(problems))

    async def _exists(self, term: spf.Term, target: str) -> bool:
        if term.mechanism == "mx":
            return bool(await self._lookup.exchanges(target))
        return term.mechanism == "ptr" or bool(await self._lookup.addresses(target))

    async def _addresses(self, host: str) -> list[str]:
        """From where mail is sent: as set, else where the mail server's name leads."""
        return list(self._settings.spf_addresses) or await self._lookup.addresses(host)

    async def _reverse(self, host: str) -> Check:
        try:
            forward = await self._lookup.addresses(host)
            addresses = list(self._settings.spf_addresses) or forward
            names = {address: await self._lookup.names_of(address) for address in addresses}
        except DnsUnavailable as error:
            return checks.judged("ptr", CheckState.UNKNOWN, str(error), host)
        return checks.reverse_names(host, names, forward)

    async def _block_lists(self, host: str) -> Check:
        try:
            addresses = await self._addresses(host)
        except DnsUnavailable as error:
            return checks.judged("dnsbl", CheckState.UNKNOWN, str(error))
        zones = self._settings.block_lists
        questions = [(address, zone) for address in addresses for zone in zones]
        codes = await asyncio.gather(*(self._listed(a, zone) for a, zone in questions))
        return checks.block_lists(dict(zip(questions, codes, strict=True)))

    async def _listed(self, address: str, zone: str) -> list[str] | None:
        try:
            return await self._lookup.ipv4(f"{_reversed(address)}.{zone}")
        except DnsUnavailable:
            return None

    async def _mta_sts(self, domain: Domain, host: str, step: Step) -> Check:
        at = mta_sts.host_of(domain.name)
        expected, served = mta_sts.policy(domain.mta_sts, host), ""
        try:
            addresses = await self._lookup.addresses(at)
            if not addresses:
                raise PolicyNotServed(f"{at} has no address")
            served = await fetch_policy(at, addresses[0], self._settings.mta_sts_port, self._tls)
        except DnsUnavailable as error:
            return checks.judged("mta_sts", CheckState.UNKNOWN, str(error))
        except PolicyNotServed as error:
            return checks.judged("mta_sts", CheckState.BAD, str(error), expected)
        return checks.mta_sts_policy(step, expected, served)

    # -- connections -----------------------------------------------------------------------------

    async def _outbound(self) -> Check:
        servers = self._settings.probes
        greetings = await asyncio.gather(*(_greeting(host, port) for host, port in servers))
        names = [f"{host}:{port}" for host, port in servers]
        return checks.outbound(dict(zip(names, greetings, strict=True)))

    async def _certificate(self, host: str) -> Check:
        settings = self._settings
        server = settings.mail_host or host
        try:
            async with asyncio.timeout(_GREETING_WAIT):
                found = await _peer_certificate(server, settings.submission_port, self._tls, host)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            what = str(error) or type(error).__name__
            problem = f"no TLS with {server}:{settings.submission_port}: {what}"
            return checks.certificate(host, None, problem, now())
        seconds = ssl.cert_time_to_seconds(str(found["notAfter"]))
        return checks.certificate(host, datetime.fromtimestamp(seconds, UTC), "", now())


def _reversed(address: str) -> str:
    """192.0.2.1 as 1.2.0.192, without the reverse zone's own name."""
    labels = dns.reversename.from_address(address).labels
    return b".".join(labels[: 4 if ipaddress.ip_address(address).version == 4 else 32]).decode()


async def _greeting(host: str, port: int) -> str:
    """The first line of a mail server, or "" if there is none in time."""
    try:
        async with asyncio.timeout(_GREETING_WAIT):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return (await reader.readline()).decode("ascii", "replace").strip()[:200]
            finally:
                await _close(writer)
    except (OSError, TimeoutError, ValueError):
        return ""


async def _peer_certificate(
    host: str, port: int, tls: ssl.SSLContext, name: str
) -> Mapping[str, object]:
    """What the server shows after STARTTLS, if it is trusted. Raises OSError, ValueError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        await _reply(reader)
        for command in (b"EHLO postfleet.invalid\r\n", b"STARTTLS\r\n"):
            writer.write(command)
            await _reply(reader)
        await writer.start_tls(tls, server_hostname=name)
        found: Mapping[str, object] = writer.get_extra_info("peercert")
        return found
    finally:
        await _close(writer)


async def _reply(reader: asyncio.StreamReader) -> None:
    while True:
        line = await reader.readuntil(b"\n")
        if line[:1] != b"2":
            raise ValueError(f"the server answered {line.decode('ascii', 'replace').strip()}")
        if line[3:4] != b"-":
            return


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
