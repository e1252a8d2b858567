"""/domains/{name}/dkim: a new signing key, published first, used once the world can see it."""

import asyncio
from typing import Any

from fastapi import APIRouter

from mail_provisioner import dkim
from mail_provisioner.api.domains import known_domain
from mail_provisioner.domain.dns_plan import Standing
from mail_provisioner.domain.domains import Domain, Key, default_selector, is_selector
from mail_provisioner.domain.records import Purpose
from mail_provisioner.domain_dns import DomainDns
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.signing import Signing, seal_key
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict
from postfleet.instants import now, now_ms
from postfleet.problems import Problem, invalid
from postfleet.secrets import KeyRing


class NewKey(Strict):
    selector: str | None = None


def build(store: DomainStore, records_of: DomainDns, signing: Signing, ring: KeyRing) -> APIRouter:
    router = APIRouter(prefix=f"{API}/domains", tags=["domains"])

    @router.post("/{name}/dkim/rotate", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def rotate(name: str, wanted: NewKey | None = None) -> dict[str, Any]:
        """Make the next key; publish its record (or apply), then activate it."""
        domain = await known_domain(store, name)
        selector = (wanted and wanted.selector) or f"{default_selector(now())}{now():%d%H%M}"
        if not is_selector(selector):
            raise invalid("selector", "INVALID_SELECTOR", "use one DNS label: a-z, 0-9 and -")
        if selector in _used(domain):
            raise invalid("selector", "SELECTOR_USED", "a selector is never used again")
        made = await asyncio.to_thread(dkim.generate)
        key = Key(selector, made.public, seal_key(ring, domain.name, selector, made.private_pem))
        if not await store.add_next_key(domain, key):
            raise Problem(409, "ROTATION_UNDER_WAY", "a next key waits: activate it first")
        return _shown(await known_domain(store, name))

    @router.post("/{name}/dkim/activate", dependencies=[require(Scope.ADMIN)])
    async def activate(name: str) -> dict[str, Any]:
        """Sign with the next key, if its record is in the DNS; the old record is kept 7 days."""
        domain = await known_domain(store, name)
        if domain.next_key is None:
            raise Problem(409, "NO_NEXT_KEY", "rotate first")
        steps = await records_of.public_steps(domain)
        (step,) = [s for s in steps if s.record.purpose == Purpose.DKIM_NEXT]
        if step.standing is not Standing.PUBLISHED:
            raise Problem(
                409, "KEY_NOT_PUBLISHED", f"publish {step.record.zone_line} first: {step.standing}"
            )
        await store.use_next_key(domain, domain.next_key, now_ms())
        await signing.write_soon()
        return _shown(await known_domain(store, name))

    return router


def _used(domain: Domain) -> set[str]:
    keys = (domain.next_key, domain.old_key)
    return {domain.dkim_selector, *(key.selector for key in keys if key)}


def _shown(domain: Domain) -> dict[str, Any]:
    return {
        "id": domain.name,
        "domain": domain.name,
        "signing": domain.dkim_selector,
        "next": domain.next_key.selector if domain.next_key else None,
        "old": domain.old_key.selector if domain.old_key else None,
    }
