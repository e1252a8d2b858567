"""Zones at DNS providers (Cloudflare, DigitalOcean, Route 53), through octoDNS as a library.

A change reads the whole zone, replaces one value of one record set, and applies that set's change
alone: whatever else octoDNS would tidy up is left as it is. No zone is ever made. octoDNS is
synchronous and keeps what it read, so each visit has a provider of its own, in a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import dns.rdata
import dns.rdataset
import octodns_cloudflare
import octodns_digitalocean
import requests
from octodns.provider import ProviderException
from octodns.provider.base import BaseProvider
from octodns.record import Record
from octodns.record.exception import RecordException
from octodns.zone import Zone

from mail_provisioner.dns import DnsUnavailable
from mail_provisioner.dns_texts import text_of, txt
from mail_provisioner.dns_update import ChangedMeanwhile, RecordSet, ZoneRefused

_TIMEOUT: Final = 15.0  # seconds for one request
_ZONES_KEPT: Final = 60.0  # seconds that a list of zones is believed
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


class CredentialsRefused(ZoneRefused):
    """The provider does not let us in."""


class ProviderMissing(Exception):
    """The provider's package is not installed; the text names it."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a provider. `url`: another place of its API than the provider's own."""

    name: str
    provider: str
    credentials: Mapping[str, str] = field(repr=False)
    url: str = ""


class ProviderZones:
    """Reads and changes record sets in the zones of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._zones: tuple[str, ...] = ()
        self._known_until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def zones(self) -> tuple[str, ...]:
        """Names without the final dot. Raises DnsUnavailable, ZoneRefused, ProviderMissing."""
        if time.monotonic() > self._known_until:
            names = await self._visit(lambda provider: tuple(provider.list_zones()))
            self._zones = tuple(name.rstrip(".").lower() for name in names)
            self._known_until = time.monotonic() + _ZONES_KEPT
        return self._zones

    async def holds(self, name: str) -> bool:
        """Whether a name is in one of the zones. Raises as `zones`."""
        return bool(_zone_of(name, await self.zones()))

    async def read(self, name: str, type_: str) -> RecordSet:
        """What the provider has now. Raises DnsUnavailable, ZoneRefused."""
        zone = await self._insist_on_zone(name)
        found = await self._visit(
            lambda provider: _current(_populated(provider, zone), name, type_)
        )
        return _record_set(name, type_, found)

    async def swap(self, seen: RecordSet, before: str, after: str) -> None:
        """Put `after` in the place of `before` (either may be ""), and touch nothing else.

        Raises ChangedMeanwhile, ZoneRefused, DnsUnavailable.
        """
        zone = await self._insist_on_zone(seen.name)
        await self._visit(lambda provider: _swap(provider, zone, seen, before, after))

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
        return act(_PROVIDERS[account.provider](account))
    except _DENIALS as error:
        raise _refused(account, error) from None
    except (ProviderException, RecordException, OSError, LookupError, ValueError) as error:
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


# -- providers, each made to touch only what changes ----------------------------------------------


class _Deadline(requests.adapters.HTTPAdapter):
    """Gives requests that have none a time-out."""

    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        return super().send(request, **{**options, "timeout": options.get("timeout") or _TIMEOUT})


class _Cloudflare(octodns_cloudflare.CloudflareProvider):  # type: ignore[misc]
    def __init__(self, account: Account) -> None:
        url = {"api_url": account.url} if account.url else {}
        super().__init__(
            account.name,
            token=account.credentials["token"],
            pagerules=False,
            root_ns_warnings=False,
            retry_count=0,  # it would sleep for minutes, in our thread
            timeout=_TIMEOUT,
            **url,
        )

    def _try_request(self, method: str, path: str, **options: Any) -> Any:
        """Leaves out writes that change nothing: octoDNS writes a set's other values again."""
        if method == "PUT":
            id_ = path.rpartition("/")[2]
            known = [
                r for records in self._zone_records.values() for r in records if r["id"] == id_
            ]
            if known and _meant(known[0]) == _meant(options["data"]):
                return {}
        return super()._try_request(method, path, **options)

    def _contents_for_TXT(self, record: Record) -> Any:
        """In quotes, as Cloudflare itself writes them."""
        for value in record.values:
            yield {"content": txt(text_of(value)).to_text()}


class _DigitalOcean(octodns_digitalocean.DigitalOceanProvider):  # type: ignore[misc]
    def __init__(self, account: Account) -> None:
        super().__init__(account.name, account.credentials["token"], root_ns_warnings=False)
        self._client._sess.mount("https://", _Deadline())
        self._client._sess.mount("http://", _Deadline())
        if account.url:
            self._client.BASE = account.url

    def _apply_Update(self, change: Any) -> None:
        """Adds what is new, then takes away what is gone; octoDNS's own takes the set away first."""
        zone, new = change.new.zone, change.new
        there = [
            r for r in self.zone_records(zone) if (r["name"], r["type"]) == (new.name, new._type)
        ]
        wanted = list(getattr(self, f"_params_for_{new._type}")(new))
        keys = {_key(r) for r in there}
        for params in wanted:
            if _key(params) not in keys:
                self._client.record_create(zone.name[:-1], params)
        keys = {_key(params) for params in wanted}
        for record in there:
            if _key(record) not in keys:
                self._client.record_delete(zone.name[:-1], record["id"])


def _key(record: Mapping[str, Any]) -> tuple[Any, str]:
    return record.get("priority"), text_of(record["data"]).rstrip(".")


def _meant(record: Mapping[str, Any]) -> tuple[Any, str]:
    return record.get("priority"), text_of(record["content"]).rstrip(".")


_PROVIDERS: Final[Mapping[str, Callable[[Account], BaseProvider]]] = {
    "cloudflare": _Cloudflare,
    "digitalocean": _DigitalOcean,
}
