"""/relays: hand a domain's outgoing mail to another server. Without one it is delivered directly."""

import contextlib
import ssl
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.claims import check_domain_of_ours, find_domain
from mail_provisioner.domain.records import DmarcPolicy
from mail_provisioner.domain.relays import PRESETS, EntryState, Preset, Relay
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.entry_stores import EntryStore
from mail_provisioner.passwords import sealed_relay_password
from mail_provisioner.relay_trial import RelayRefused, try_relay
from mail_provisioner.upkeep import Upkeep
from postfleet.addresses import InvalidAddress, check_domain
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso, now_ms
from postfleet.problems import Problem, invalid, not_found
from postfleet.secrets import KeyRing

LIVE_NOTE = (
    "docker-mailserver notices within 2 s and reloads Postfix; the relay is used about 4 s later. "
    "Once a relay with a log-in existed, Postfix insists on TLS for direct delivery too, until the "
    "container is made anew"
)
_IMPLICIT_TLS = 465
_WARN_ALIGNMENT = (
    "the domain's DMARC policy is reject: let the relay sign with a key of this domain or use an "
    "envelope address in it (SPF) before you send, or receivers will refuse the mail"
)
_SPACES = " \t\r\n\0"


class NewRelay(Strict):
    """`host`, `port` and `username` where the preset does not know them; `region` for SES."""

    domain: str = Field(max_length=300)
    preset: str = "custom"
    region: str = Field("", pattern=r"^[a-z0-9-]{0,40}$")
    host: str = Field("", max_length=300)
    port: int | None = Field(None, ge=1, le=65535)
    username: str = Field("", max_length=300)
    password: str = Field("", max_length=1000, repr=False)


def build(
    store: EntryStore[Relay],
    domains: DomainStore,
    upkeep: Upkeep,
    ring: KeyRing,
    tls: ssl.SSLContext,
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/relays", tags=["relays"])

    @router.get("/presets", dependencies=[require(Scope.READ)])
    async def presets() -> dict[str, Any]:
        """What is known about relay providers, and what to do on their side."""
        return {"items": [asdict(preset) for preset in PRESETS.values()]}

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewRelay) -> dict[str, Any]:
        """Its STARTTLS and log-in are tried first; if they fail, nothing is stored."""
        domain = await check_domain_of_ours(domains, wanted.domain, "domain")
        preset = _preset(wanted)
        host, port, username = _server(wanted, preset)
        _check_credentials(username, wanted.password)
        if await store.get(domain):
            raise _exists(domain)
        try:
            await try_relay(host, port, username, wanted.password, tls)
        except RelayRefused as refusal:
            raise invalid(refusal.field, refusal.code, refusal.reason) from refusal
        fields: dict[str, str | int] = {
            "preset": preset.name,
            "host": host,
            "port": port,
            "username": username,
            "sealed_password": sealed_relay_password(ring, domain, wanted.password),
            "state": EntryState.WRITING.value,
            "created_at": now_ms(),
        }
        if not await store.add(domain, fields):
            raise _exists(domain)
        await upkeep.advance_relay(await _known(store, domain))
        return await _shown(await _known(store, domain), domains)

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(start_of(cursor), limit + 1)
        return page([await _shown(relay, domains) for relay in found], limit)

    @router.get("/{domain}", dependencies=[require(Scope.READ)])
    async def one(domain: str) -> dict[str, Any]:
        return await _shown(await _known(store, domain), domains)

    @router.delete("/{domain}", dependencies=[require(Scope.ADMIN)])
    async def delete(domain: str) -> dict[str, Any]:
        """Deliver directly again."""
        relay = await _known(store, domain)
        await store.enter(relay.domain, EntryState.REMOVING)
        await upkeep.advance_relay(await _known(store, domain))
        left = await store.get(relay.domain)
        state = left.state.value if left else "removed"
        return {"id": relay.domain, "domain": relay.domain, "state": state, "live": LIVE_NOTE}

    return router


async def _known(store: EntryStore[Relay], domain: str) -> Relay:
    relay = await store.get(domain.lower())
    if relay is None:
        raise not_found("relay", domain)
    return relay


def _exists(domain: str) -> Problem:
    return Problem(409, "RELAY_EXISTS", f"{domain} has a relay: delete it first")


def _preset(wanted: NewRelay) -> Preset:
    preset = PRESETS.get(wanted.preset)
    if preset is None:
        raise invalid("preset", "UNKNOWN_PRESET", f"choose one of {', '.join(PRESETS)}")
    return preset


def _server(wanted: NewRelay, preset: Preset) -> tuple[str, int, str]:
    """(host, port, user name). Raises Problem."""
    if "{region}" in preset.host and not (wanted.host or wanted.region):
        raise invalid("region", "MISSING", "name the region, such as eu-west-1")
    host = wanted.host or preset.host.format(region=wanted.region)
    try:
        host = host if _is_address(host) else check_domain(host).lower()
    except InvalidAddress as error:
        raise invalid("host", "INVALID_HOST", str(error)) from error
    port = wanted.port or preset.port
    if port == _IMPLICIT_TLS:
        raise invalid(
            "port", "RELAY_WITHOUT_STARTTLS", "relays are used by STARTTLS only: give 587, not 465"
        )
    return host, port, wanted.username or preset.username


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ip_address(host))
    return False


def _check_credentials(username: str, password: str) -> None:
    for field, value in (("username", username), ("password", password)):
        if any(character in _SPACES for character in value):
            raise invalid(field, "NOT_ALLOWED", "Postfix's table cannot hold spaces")
    if ":" in username:
        raise invalid("username", "NOT_ALLOWED", "Postfix's table cannot hold a colon here")
    if bool(username) != bool(password):
        raise invalid("password", "MISSING", "give user name and password, or neither")


async def _shown(relay: Relay, domains: DomainStore) -> dict[str, Any]:
    domain = await find_domain(domains, relay.domain)
    strict = domain is not None and domain.dmarc_policy is DmarcPolicy.REJECT
    error = {"code": relay.error_code, "reason": relay.error_reason} if relay.error_code else None
    return {
        "id": relay.domain,
        "domain": relay.domain,
        "preset": relay.preset,
        "host": relay.host,
        "port": relay.port,
        "username": relay.username,
        "state": relay.state.value,
        "error": error,
        "live": LIVE_NOTE,
        "warnings": [_WARN_ALIGNMENT] if strict else [],
        "hints": list(PRESETS[relay.preset].hints),
        "created_at": iso(from_ms(relay.created_at)),
    }
