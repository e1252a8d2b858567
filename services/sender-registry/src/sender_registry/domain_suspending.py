"""Suspending all senders of a domain at once, and those that are registered there later (S308)."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator

from postfleet.addresses import check_domain
from postfleet.api_keys import ApiKey, Scope, require
from postfleet.http import API, Limit, Strict, decode_cursor, page
from sender_registry.changing import Changes
from sender_registry.domain.sender import Sender, Suspension, suspended
from sender_registry.domain_store import DomainStore, SuspendedDomain
from sender_registry.forms import Line

_PAGE = 200


class SuspendDomain(Strict):
    """`POST /sender-accounts/suspend-domain`, and `/resume-domain` without a reason."""

    domain: Annotated[str, AfterValidator(check_domain)]
    reason: Line = ""


@dataclass(frozen=True, slots=True)
class DomainSuspensions:
    """The document of the domain comes first: a crash afterwards is made good by the sweep."""

    domains: DomainStore
    changes: Changes

    async def suspend(self, domain: str, by: str, reason: str) -> int:
        """Returns how many senders are suspended for it now."""
        return await self._apply(await self.domains.add(domain, by, reason))

    async def resume(self, domain: str) -> int:
        """Senders that were suspended for themselves stay so."""
        found = await self.domains.get(domain)
        if found is None:
            return 0
        await self.domains.remove(domain)
        resumed = 0
        async for sender in self.changes.store.of_domain(domain, _PAGE):
            if sender.suspension.by == found.mark:
                await self.changes.change(sender.id, lambda s: _lifted(s, found.mark))
                resumed += 1
        return resumed

    async def sweep(self) -> None:
        async for found in self.domains.all():
            await self._apply(found)

    async def _apply(self, found: SuspendedDomain) -> int:
        count = 0
        async for sender in self.changes.store.of_domain(found.domain, _PAGE):
            if not sender.suspension.by:
                await self.changes.change(
                    sender.id, lambda s: suspended(s, found.mark, found.reason)
                )
            count += 1
        return count


def _lifted(sender: Sender, mark: str) -> Sender:
    return replace(sender, suspension=Suspension()) if sender.suspension.by == mark else sender


def build_domain_router(suspensions: DomainSuspensions) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-accounts", tags=["senders"])
    admin, read = require(Scope.ADMIN), require(Scope.READ)

    @router.post("/suspend-domain")
    async def suspend(form: SuspendDomain, key: ApiKey = admin) -> dict[str, Any]:
        """Suspend every sender of a domain, and whoever is registered there later."""
        domain = form.domain.lower()
        count = await suspensions.suspend(domain, f"key {key.id}", form.reason)
        return {"domain": domain, "suspended": True, "senders": count}

    @router.post("/resume-domain", dependencies=[admin])
    async def resume(form: SuspendDomain) -> dict[str, Any]:
        """End it, for the senders that were suspended with the domain."""
        domain = form.domain.lower()
        return {
            "domain": domain,
            "suspended": False,
            "senders": await suspensions.resume(domain),
        }

    @router.get("/suspended-domains", dependencies=[read])
    async def listed(limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
        """The domains that are suspended now, in the order of their names."""
        last = decode_cursor(cursor) if cursor else ""
        found = await suspensions.domains.page(last, limit + 1)
        return page([_shown(one) for one in found], limit)

    return router


def _shown(one: SuspendedDomain) -> dict[str, Any]:
    return {"id": one.domain, "domain": one.domain, "by": one.by, "reason": one.reason}
