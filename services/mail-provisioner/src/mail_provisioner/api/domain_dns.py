"""/domains/{name}/records and /apply: what should be in the DNS, what is, and putting it there."""

from typing import Any

from fastapi import APIRouter

from mail_provisioner.api.domains import copyable, known_domain
from mail_provisioner.domain.dns_plan import Standing, Step
from mail_provisioner.domain_dns import DomainDns
from mail_provisioner.domain_store import DomainStore
from postfleet.api_keys import Scope, require
from postfleet.http import API
from postfleet.problems import Problem


def build(store: DomainStore, records_of: DomainDns) -> APIRouter:
    router = APIRouter(prefix=f"{API}/domains", tags=["domains"])

    @router.get("/{name}/records", dependencies=[require(Scope.READ)])
    async def records(name: str) -> dict[str, Any]:
        """The records to publish and how each stands.

        `value` is for a DNS provider's form, `zone_line` for a zone file. SPF is merged with what
        is published. `foreign`: somebody else's record is there, and it is left alone.
        """
        domain = await known_domain(store, name)
        steps = await records_of.steps(domain)
        return {
            "domain": domain.name,
            "automatic": await records_of.can_apply(domain),
            "in_place": all(step.standing is Standing.PUBLISHED for step in steps),
            "records": [_shown(step) for step in steps],
        }

    @router.post("/{name}/apply", dependencies=[require(Scope.ADMIN)])
    async def apply(name: str) -> dict[str, Any]:
        """Publish the records at the DNS provider, or by dynamic update.

        What is not ours is refused, not overwritten.

        Before the domain is verified: only the record that verifies it. Safe to repeat.
        """
        domain = await known_domain(store, name)
        if not await records_of.can_apply(domain):
            raise Problem(
                409,
                "DNS_IS_MANUAL",
                "nobody takes changes of its records from us: publish by hand what GET …/records "
                "shows, add the account of its DNS provider (POST /dns-providers), or set "
                "POSTFLEET_MAIL_PROVISIONER_DNS_UPDATE_SERVER and its TSIG key",
            )
        steps, published = await records_of.apply(domain)
        await store.remember_published(domain.name, published)
        return {
            "domain": domain.name,
            "in_place": all(step.standing is Standing.PUBLISHED for step in steps),
            "records": [_shown(step) for step in steps],
        }

    return router


def _shown(step: Step) -> dict[str, Any]:
    return {
        **copyable(step.record),
        "standing": step.standing.value,
        "action": step.action.value,
        "found": list(step.found),
        "note": step.note,
    }
