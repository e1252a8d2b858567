"""/domains: add, verify, and the DNS records that a domain should have."""

import asyncio
import secrets
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from mail_provisioner import dkim
from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.claims import find_domain
from mail_provisioner.dns import DnsUnavailable, Lookup
from mail_provisioner.domain.config_lines import BrokenFile
from mail_provisioner.domain.domains import (
    Domain,
    DomainState,
    MailUse,
    canonical_domain,
    default_selector,
    is_selector,
)
from mail_provisioner.domain.masquerading import Masquerading
from mail_provisioner.domain.mta_sts import MtaSts
from mail_provisioner.domain.records import DmarcPolicy, Record, challenge
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.mail_files import MailFiles
from mail_provisioner.settings import Settings
from mail_provisioner.signing import seal_key
from mail_provisioner.volume import ConfigVolume, VolumeBusy
from postfleet.addresses import InvalidAddress
from postfleet.api_keys import Scope, require
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.domains import DomainAdded, DomainVerified
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso, now, now_ms
from postfleet.outbox import OutboxRelay
from postfleet.problems import Problem, invalid, not_found

_TOKEN_BYTES = 20


class Dmarc(Strict):
    """`pct` is published only where it is given: RFC 9989 dropped it."""

    policy: DmarcPolicy = Field(DmarcPolicy.REJECT, strict=False)
    pct: int | None = Field(None, ge=0, le=100)


class NewDomain(Strict):
    """`mail`: `sending` if another server receives the domain's mail, and only we send for it.

    `mta_sts`: `testing` or `enforce` asks other servers for verified TLS; the policy has to be served
    at `https://mta-sts.<domain>`. `none` takes it back.
    """

    name: str = Field(max_length=300)
    dkim_selector: str | None = None
    dmarc: Dmarc = Dmarc()
    mail: MailUse = Field(MailUse.FULL, strict=False)
    mta_sts: MtaSts = Field(MtaSts.OFF, strict=False)


class DomainChange(Strict):
    """`masquerading`: whether each mailbox may send under any name of the domain."""

    dmarc: Dmarc | None = None
    mail: MailUse | None = Field(None, strict=False)
    mta_sts: MtaSts | None = Field(None, strict=False)
    masquerading: bool | None = None


def build(
    store: DomainStore,
    relay: OutboxRelay,
    lookup: Lookup,
    settings: Settings,
    volume: ConfigVolume,
    files: MailFiles,
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/domains", tags=["domains"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def add(wanted: NewDomain) -> dict[str, Any]:
        """Register a domain; publish the TXT record in `verification`, then verify."""
        domain = await _new(wanted, settings)
        event = DomainAdded(occurred_at=from_ms(domain.created_at), domain=domain.name)
        said = Announcement(event, derived_id(domain.name, domain.token, event.subject))
        if not await store.add(domain, said):
            raise Problem(409, "DOMAIN_EXISTS", f"{domain.name} was added before")
        relay.wake()
        return _shown(domain)

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        domains = await store.page(start_of(cursor), limit + 1)
        return page([_shown(domain) for domain in domains], limit)

    @router.get("/{name}", dependencies=[require(Scope.READ)])
    async def one(name: str) -> dict[str, Any]:
        return _shown(await known_domain(store, name))

    @router.post("/{name}/verify", dependencies=[require(Scope.ADMIN)])
    async def verify(name: str) -> dict[str, Any]:
        """Look for the TXT record; 409 while it is not there. A verified domain stays verified."""
        domain = await known_domain(store, name)
        if domain.state is DomainState.VERIFIED:
            return _shown(domain)
        await _check_published(lookup, challenge(domain.name, domain.token))
        event = DomainVerified(occurred_at=now(), domain=domain.name)
        said = Announcement(event, derived_id(domain.name, domain.token, event.subject))
        await store.verify(domain.name, now_ms(), said)
        relay.wake()
        return _shown(await known_domain(store, name))

    @router.patch("/{name}", dependencies=[require(Scope.ADMIN)])
    async def change(name: str, wanted: DomainChange) -> dict[str, Any]:
        """Change DMARC, MTA-STS or the use of mail; then publish the records again.

        Masquerading counts some seconds later, without a restart.
        """
        domain = await known_domain(store, name)
        masks = None
        if wanted.masquerading is not None:
            masks = Masquerading.ON if wanted.masquerading else Masquerading.OFF
            await _masquerade(volume, files, domain.name, masks)
        dmarc = (wanted.dmarc.policy, wanted.dmarc.pct) if wanted.dmarc else None
        await store.change(
            domain.name, mail=wanted.mail, mta_sts=wanted.mta_sts, dmarc=dmarc, masquerading=masks
        )
        return _shown(await known_domain(store, name))

    return router


async def _new(wanted: NewDomain, settings: Settings) -> Domain:
    try:
        name = canonical_domain(wanted.name)
    except InvalidAddress as error:
        raise invalid("name", "INVALID_DOMAIN", str(error)) from error
    selector = wanted.dkim_selector or default_selector(now())
    if not is_selector(selector):
        raise invalid("dkim_selector", "INVALID_SELECTOR", "use one DNS label: a-z, 0-9 and -")
    key = await asyncio.to_thread(dkim.generate)
    sealed = seal_key(settings.key_ring, name, selector, key.private_pem)
    return Domain(
        name=name,
        state=DomainState.UNVERIFIED,
        token=secrets.token_hex(_TOKEN_BYTES),
        dkim_selector=selector,
        dkim_public_key=key.public,
        sealed_dkim_key=sealed,
        dmarc_policy=wanted.dmarc.policy,
        dmarc_pct=wanted.dmarc.pct,
        created_at=now_ms(),
        mail=wanted.mail,
        mta_sts=wanted.mta_sts,
    )


async def _masquerade(
    volume: ConfigVolume, files: MailFiles, domain: str, wanted: Masquerading
) -> None:
    try:
        async with volume.locked():
            await files.masquerade(domain, wanted)
    except BrokenFile as error:
        raise Problem(409, "CONFIG_FILE_BROKEN", str(error)) from error
    except (OSError, VolumeBusy) as error:
        raise Problem(503, "CONFIG_NOT_WRITABLE", f"nothing was changed: {error}") from error


async def known_domain(store: DomainStore, name: str) -> Domain:
    domain = await find_domain(store, name)
    if domain is None:
        raise not_found("domain", name)
    return domain


async def _check_published(lookup: Lookup, record: Record) -> None:
    try:
        found = await lookup.texts(record.name)
    except DnsUnavailable as error:
        raise Problem(
            503, "DNS_UNAVAILABLE", f"the DNS gave no answer: {error}", (), {"Retry-After": "10"}
        ) from error
    if record.value not in (text.strip() for text in found):
        seen = f"found {found}" if found else "found no TXT record there"
        raise Problem(
            409,
            "TOKEN_NOT_FOUND",
            f"publish the TXT record {record.name} with the value {record.value} ({seen}); "
            "a new record may take as long as the old one's TTL",
        )


def copyable(record: Record) -> dict[str, str]:
    return {**asdict(record), "zone_line": record.zone_line}


def _shown(domain: Domain) -> dict[str, Any]:
    verified_at = iso(from_ms(domain.verified_at)) if domain.verified_at else None
    return {
        "id": domain.name,
        "name": domain.name,
        "state": domain.state.value,
        "token": domain.token,
        "verification": copyable(challenge(domain.name, domain.token)),
        "mail": domain.mail.value,
        "mta_sts": domain.mta_sts.value,
        "masquerading": domain.masquerading is Masquerading.ON,
        "dkim_selector": domain.dkim_selector,
        "dkim_next_selector": domain.next_key.selector if domain.next_key else None,
        "dkim_old_selector": domain.old_key.selector if domain.old_key else None,
        "dmarc": {"policy": domain.dmarc_policy.value, "pct": domain.dmarc_pct},
        "created_at": iso(from_ms(domain.created_at)),
        "verified_at": verified_at,
        "checks": dict(domain.checks),
        "checked_at": iso(from_ms(domain.checked_at)) if domain.checked_at else None,
    }
