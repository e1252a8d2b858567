"""Zones at DNS providers (Cloudflare, DigitalOcean, Route 53), through octoDNS as a library.

A change reads the whole zone, replaces one value of one record set, and applies that set's change
alone: whatever else octoDNS would tidy up is left as it is. No zone is ever made. octoDNS is
synchronous and keeps what it read, so each visit has a provider of its own, in a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import dns.rdata
import dns.rdataset
import octodns_cloudflare
import octodns_digitalocean
from octodns.provider import ProviderException
from octodns.provider.base import BaseProvider
from octodns.record import Record
from octodns.record.exception import RecordException
from octodns.zone import DuplicateRecordException, SubzoneRecordException, Zone

from mail_provisioner.dns import DnsUnavailable
from mail_provisioner.dns_apis import PROVIDERS, Account
from mail_provisioner.dns_texts import text_of, txt
from mail_provisioner.dns_update import ChangedMeanwhile, RecordSet, ZoneRefused

_ZONES_KEPT: Final = 60.0  # seconds that a list of zones is believed
_ZONE_KEPT: Final = 2.0  # seconds that a zone is believed by readers; a change looks again
_NEW_TTL: Final = 3600

#: which credentials a provider needs
CREDENTIALS: Final[Mapping[str, tuple[str, ...]]] = {
    "cloudflare": ("token",),
    "digitalocean": ("token",),
    "route53": ("access_key_id", "secret_access_key"),
}


_DENIALS: Final = (
    octodns_cloudflare.CloudflareAuthenticationError,
    octodns_digitalocean.DigitalOceanClientUnauthorized,
)


#: what octoDNS lets through when a provider does not answer, or answers nonsense
_FAILURES: Final = (
    ProviderException,
    RecordException,
    DuplicateRecordException,
    SubzoneRecordException,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)


class CredentialsRefused(ZoneRefused):
    """The provider does not let us in."""


class ProviderMissing(Exception):
    """The provider's package is not installed; the text names it."""


class ProviderZones:
    """Reads and changes record sets in the zones of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._zones: tuple[str, ...] = ()
        self._known_until = 0.0
        self._read: dict[str, tuple[float, Zone]] = {}  # zone -> until when it is believed, and it
        self._listing, self._one_at_a_time = asyncio.Lock(), asyncio.Lock()

    async def zones(self) -> tuple[str, ...]:
        """Names without the final dot. Raises DnsUnavailable, ZoneRefused, ProviderMissing."""
        async with self._listing:
            if time.monotonic() > self._known_until:
                names = await self._visit(lambda provider: tuple(provider.list_zones()))
                self._zones = tuple(name.rstrip(".").lower() for name in names)
                self._known_until = time.monotonic() + _ZONES_KEPT
            return self._zones

    async def holds(self, name: str) -> bool:
        """Whether a name is in one of the zones. Raises as `zones`."""
        return bool(_zone_of(name, await self.zones()))

    async def read(self, name: str, type_: str) -> RecordSet:
        """What the provider has, or had two seconds ago. Raises DnsUnavailable, ZoneRefused."""
        zone = await self._insist_on_zone(name)
        async with self._listing:  # a domain's records are asked for at once: one reads for all
            until, known = self._read.get(zone, (0.0, None))
            if known is None or time.monotonic() > until:
                known = await self._visit(lambda provider: _populated(provider, zone))
                self._read[zone] = time.monotonic() + _ZONE_KEPT, known
        return _record_set(name, type_, _current(known, name, type_))

    async def swap(self, seen: RecordSet, before: str, after: str) -> None:
        """Put `after` in the place of `before` (either may be ""), and touch nothing else.

        Raises ChangedMeanwhile, ZoneRefused, DnsUnavailable.
        """
        zone = await self._insist_on_zone(seen.name)
        try:
            await self._visit(lambda provider: _swap(provider, zone, seen, before, after))
        finally:
            self._read.pop(zone, None)

    async def _insist_on_zone(self, name: str) -> str:
        zone = _zone_of(name, await self.zones())
        if not zone:
            raise ZoneRefused(f"{self._account.name} has no zone for {name}")
        return zone

    async def _visit(self, act: Callable[[BaseProvider], Any]) -> Any:
        async with self._one_at_a_time:
            return await asyncio.to_thread(_tried, self._account, act)


def _tried(account: Account, act: Callable[[BaseProvider], Any]) -> Any:
    try:
        if account.provider == "route53":
            return _on_route53(account, act)
        return act(PROVIDERS[account.provider](account))
    except _DENIALS as error:
        raise _refused(account, error) from None
    except _FAILURES as error:
        if _is_denial(error):
            raise _refused(account, error) from None
        raise DnsUnavailable(f"{account.provider}: {str(error) or type(error).__name__}") from None


def _on_route53(account: Account, act: Callable[[BaseProvider], Any]) -> Any:
    try:
        from mail_provisioner import dns_route53
    except ImportError as error:
        raise ProviderMissing(
            "Route 53 needs boto3: install postfleet-mail-provisioner[route53]"
        ) from error
    keys = account.credentials["access_key_id"], account.credentials["secret_access_key"]
    try:
        return dns_route53.translated(
            lambda: act(dns_route53.Route53(account.name, *keys, account.url))
        )
    except dns_route53.CredentialsDenied as error:
        raise _refused(account, error) from None


def _refused(account: Account, error: Exception) -> CredentialsRefused:
    return CredentialsRefused(
        f"{account.provider} refuses the credentials of {account.name!r} ({error}): they must be "
        "allowed to list zones, and to read and edit their records"
    )


def _is_denial(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", 0) in (401, 403)


def _zone_of(name: str, zones: Sequence[str]) -> str:
    """The closest zone that holds a name, or ""."""
    held = (zone for zone in zones if name == zone or name.endswith(f".{zone}"))
    return max(held, key=len, default="")


def _populated(provider: BaseProvider, zone: str) -> Zone:
    found = Zone(f"{zone}.", [])
    provider.populate(found, target=True, lenient=True)
    return found


def _current(zone: Zone, name: str, type_: str) -> Record | None:
    host = zone.hostname_from_fqdn(f"{name}.")
    return next((r for r in zone.records if (r.name, r._type) == (host, type_)), None)


def _values(record: Record) -> list[Any]:
    return list(record.values) if hasattr(record, "values") else [record.value]


def _octo(type_: str, value: str) -> Any:
    if type_ == "TXT":
        return value.replace(";", "\\;")
    preference, _, exchange = value.partition(" ")
    return {"preference": int(preference), "exchange": f"{exchange.rstrip('.')}."}


def _record_set(name: str, type_: str, found: Record | None) -> RecordSet:
    if found is None:
        return RecordSet(name, type_, dns.rdataset.from_text("IN", type_, _NEW_TTL))
    texts = [text_of(value) for value in _values(found)]
    datas = [
        txt(text) if type_ == "TXT" else dns.rdata.from_text("IN", type_, f"{text}.")
        for text in texts
    ]
    return RecordSet(name, type_, dns.rdataset.from_rdata_list(found.ttl, datas))


def _swap(provider: BaseProvider, zone: str, seen: RecordSet, before: str, after: str) -> None:
    existing = _populated(provider, zone)
    record = _current(existing, seen.name, seen.type)
    if sorted(_record_set(seen.name, seen.type, record).values) != sorted(seen.values):
        raise ChangedMeanwhile(f"{seen.name} {seen.type} was changed while we looked at it")
    kept = [v for v in (_values(record) if record else []) if not before or text_of(v) != before]
    values = [*kept, *([_octo(seen.type, after)] if after else [])]
    data = {**(record.data if record else {"ttl": _NEW_TTL}), "type": seen.type, "values": values}
    data.pop("value", None)
    host = existing.hostname_from_fqdn(f"{seen.name}.")
    desired = existing.copy()
    if values:
        new = Record.new(desired, host, data, source=provider, lenient=True)
        desired.add_record(new, replace=True, lenient=True)
    elif record:
        desired.remove_record(record)
    plan = provider.plan(desired, lenient=True)
    if plan is None:
        return
    plan.changes = [c for c in plan.changes if (c.record.name, c.record._type) == (host, seen.type)]
    provider.apply(plan)
