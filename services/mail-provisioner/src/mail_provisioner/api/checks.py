"""/domains/{name}/checks: every check in one place, each with what to do about it."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from mail_provisioner.api.domains import known_domain
from mail_provisioner.checking import Checks
from mail_provisioner.domain.checks import worst
from mail_provisioner.domain.hints import SPAM_SCORE
from mail_provisioner.domain_store import DomainStore
from postfleet.api_keys import Scope, require
from postfleet.http import API
from postfleet.instants import iso, now


def build(store: DomainStore, looks: Checks) -> APIRouter:
    router = APIRouter(prefix=f"{API}/domains", tags=["domains"])

    @router.get("/{name}/checks", dependencies=[require(Scope.READ)])
    async def checks(name: str) -> dict[str, Any]:
        """Look now; takes as long as the slowest server asked, 10 s at most.

        `state` is the worst of all: `ok`, `warn`, `bad`, or `unknown` where nobody answered.
        """
        domain = await known_domain(store, name)
        look = await looks.look(domain)
        return {
            "domain": domain.name,
            "state": worst(look.checks).value,
            "checked_at": iso(now()),
            "checks": [asdict(check) for check in look.checks],
            "hint": SPAM_SCORE,
        }

    return router
