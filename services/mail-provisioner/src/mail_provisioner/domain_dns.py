"""How a domain's records stand in the DNS, and how they get there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from mail_provisioner.dns import DnsUnavailable, Lookup
from mail_provisioner.dns_accounts import DnsWriters
from mail_provisioner.dns_update import ChangedMeanwhile, ZoneRefused
from mail_provisioner.domain.dns_plan import Action, Standing, Step, owned_after, step, unknown
from mail_provisioner.domain.domains import Domain, DomainState, MailUse
from mail_provisioner.domain.records import Purpose, Record, Wanted, challenge, desired, spf_terms
from mail_provisioner.settings import Settings
from postfleet.instants import now_ms

_MAX_RACES = 5

#: (name, type) -> the values there
Read = Callable[[str, str], Awaitable[Sequence[str]]]


def _further_keys(domain: Domain) -> list[tuple[str, str, str]]:
    keys = ((Purpose.DKIM_NEXT, domain.next_key), (Purpose.DKIM_OLD, domain.old_key))
    return [(p.value, key.selector, key.published_at(now_ms())) for p, key in keys if key]


class DomainDns:
    """Reads where the records can be changed, if that is possible, else through the resolver."""

    def __init__(self, lookup: Lookup, writers: DnsWriters, settings: Settings) -> None:
        self._lookup, self._writers, self._settings = lookup, writers, settings

    async def can_apply(self, domain: Domain) -> bool:
        """Whether somebody takes changes from us, even if they do not answer now."""
        try:
            return await self._writers.of(domain.name) is not None
        except (DnsUnavailable, ZoneRefused):
            return True

    def wanted(self, domain: Domain) -> Wanted:
        return Wanted(
            domain=domain.name,
            mail_host=self._settings.mail_host_of(domain.name),
            server_addresses=self._settings.spf_addresses,
            dkim_selector=domain.dkim_selector,
            dkim_public_key=domain.dkim_public_key,
            dmarc_policy=domain.dmarc_policy,
            dmarc_pct=domain.dmarc_pct,
            further_keys=_further_keys(domain),
            receives=domain.mail is MailUse.FULL,
            mta_sts=domain.mta_sts,
            tls_reports_to=self._settings.tls_reports_to,
        )

    async def steps(self, domain: Domain) -> list[Step]:
        """Every wanted record against what is published now; an unanswered one is UNKNOWN."""

        async def read(name: str, type_: str) -> Sequence[str]:
            writer = await self._writers.of(domain.name)
            if writer is None:
                return await self._lookup.values(name, type_)
            return (await writer.read(name, type_)).values

        return await self._look_at_all(domain, read)

    async def public_steps(self, domain: Domain) -> list[Step]:
        """The same as the world sees it: through the resolver."""
        return await self._look_at_all(domain, self._lookup.values)

    async def apply(self, domain: Domain) -> tuple[list[Step], Mapping[str, str]]:
        """Publish what is missing and change what is ours; also what is ours from now on.

        While the domain is not verified, only the record that verifies it. A step that the name
        server refused comes back with REFUSE and its reason. A rerun changes nothing more.
        """
        if domain.state is DomainState.VERIFIED:
            records = desired(self.wanted(domain))
        else:
            records = (challenge(domain.name, domain.token),)
        done = [await self._publish(domain, record) for record in records]
        terms = spf_terms(self.wanted(domain))
        published = {
            each.record.purpose: owned_after(
                each, domain.published.get(each.record.purpose, ""), terms
            )
            for each in done
            if each.standing is Standing.PUBLISHED
        }
        return done, published

    async def _look_at_all(self, domain: Domain, read: Read) -> list[Step]:
        async def look(record: Record) -> Step:
            try:
                found = await read(record.name, record.type)
            except (DnsUnavailable, ZoneRefused) as error:
                return unknown(record, str(error))
            return self._step(domain, record, tuple(found))

        return list(await asyncio.gather(*map(look, desired(self.wanted(domain)))))

    def _step(self, domain: Domain, record: Record, found: tuple[str, ...]) -> Step:
        ours = domain.published.get(record.purpose, "")
        return step(record, found, ours, spf_terms(self.wanted(domain)))

    async def _publish(self, domain: Domain, record: Record) -> Step:
        for _ in range(_MAX_RACES):
            try:
                writer = await self._writers.of(domain.name)
                if writer is None:
                    raise ZoneRefused("nobody takes changes of this domain's records from us")
                seen = await writer.read(record.name, record.type)
                planned = self._step(domain, record, seen.values)
                if planned.action in (Action.ADD, Action.REPLACE):
                    await writer.swap(seen, planned.before, planned.record.value)
            except ChangedMeanwhile:
                continue
            except (DnsUnavailable, ZoneRefused) as error:
                return replace(unknown(record, str(error)), action=Action.REFUSE)
            if planned.action in (Action.ADD, Action.REPLACE):
                return replace(planned, standing=Standing.PUBLISHED)
            return planned
        return replace(
            unknown(record, "somebody else keeps changing this record; try again"),
            action=Action.REFUSE,
        )
