"""/.well-known/mta-sts.txt: each domain's MTA-STS policy, told apart by the Host field."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from mail_provisioner.domain.domains import DomainState
from mail_provisioner.domain.mta_sts import PATH, MtaSts, domain_of, policy
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.settings import Settings
from postfleet.problems import not_found


def build(store: DomainStore, settings: Settings) -> APIRouter:
    router = APIRouter(tags=["domains"])

    @router.get(PATH, response_class=PlainTextResponse)
    async def one(request: Request) -> PlainTextResponse:
        """Public (RFC 8461): other mail servers ask, without a key."""
        name = domain_of(request.headers.get("host", ""))
        domain = await store.get(name) if name else None
        wanted = domain and domain.state is DomainState.VERIFIED and domain.mta_sts
        if domain is None or not wanted or wanted is MtaSts.OFF:
            raise not_found("policy of", name)
        return PlainTextResponse(policy(wanted, settings.mail_host_of(domain.name)))

    return router
