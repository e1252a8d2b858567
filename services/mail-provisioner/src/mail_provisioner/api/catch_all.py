"""/catch-all: who gets the mail for names that do not exist; without one it is refused."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.api.targets import Targets, checked
from mail_provisioner.claims import (
    check_domain_of_ours,
    claim,
    error_of,
    known,
    release,
)
from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.provisioning import Provisioner
from mail_provisioner.retargeting import Retargeting
from mail_provisioner.store import AddressStore
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso, now_ms


class NewCatchAll(Strict):
    domain: str = Field(max_length=300)
    targets: Targets


class CatchAllChange(Strict):
    targets: Targets


def build(
    store: AddressStore, domains: DomainStore, provisioner: Provisioner, retargeting: Retargeting
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/catch-all", tags=["catch-all"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewCatchAll) -> dict[str, Any]:
        """Mail for names that do not exist goes to every target, here or elsewhere."""
        domain = await check_domain_of_ours(domains, wanted.domain, "domain", receives=True)
        address = f"@{domain}"
        catch_all = Address(
            address=address,
            kind=Kind.CATCH_ALL,
            domain=domain,
            state=State.REQUESTED,
            generation=1,
            created_at=now_ms(),
            targets=checked(wanted.targets, address, "targets"),
        )
        return _shown(await claim(store, provisioner, catch_all))

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(domain: str = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(Kind.CATCH_ALL, domain.lower(), start_of(cursor), limit + 1)
        return page([_shown(catch_all) for catch_all in found], limit)

    @router.get("/{domain}", dependencies=[require(Scope.READ)])
    async def one(domain: str) -> dict[str, Any]:
        return _shown(await known(store, Kind.CATCH_ALL, f"@{domain.removeprefix('@')}"))

    @router.patch("/{domain}", dependencies=[require(Scope.ADMIN)])
    async def change(domain: str, wanted: CatchAllChange) -> dict[str, Any]:
        """Let such mail go to these targets instead."""
        found = await known(store, Kind.CATCH_ALL, f"@{domain.removeprefix('@')}")
        targets = checked(wanted.targets, found.address, "targets")
        return _shown(await retargeting.change(found, targets))

    @router.delete("/{domain}", dependencies=[require(Scope.ADMIN)])
    async def delete(domain: str) -> dict[str, Any]:
        found = await known(store, Kind.CATCH_ALL, f"@{domain.removeprefix('@')}")
        return _shown(await release(store, provisioner, found))

    return router


def _shown(catch_all: Address) -> dict[str, Any]:
    return {
        "id": catch_all.address,
        "domain": catch_all.domain,
        "targets": list(catch_all.targets),
        "state": catch_all.state.value,
        "error": error_of(catch_all),
        "created_at": iso(from_ms(catch_all.created_at)),
    }
