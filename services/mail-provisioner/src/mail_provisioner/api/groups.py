"""/groups: one address for several people; mail for it goes to every member."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.api.targets import Targets, checked
from mail_provisioner.claims import (
    check_domain_of_ours,
    check_name_of_ours,
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
from postfleet.events import iso
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, now_ms
from postfleet.problems import invalid


class NewGroup(Strict):
    address: str = Field(max_length=1000)
    members: Targets


class GroupChange(Strict):
    members: Targets


def build(
    store: AddressStore, domains: DomainStore, provisioner: Provisioner, retargeting: Retargeting
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/groups", tags=["groups"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewGroup) -> dict[str, Any]:
        """Mail for `address` goes to every member, here or elsewhere."""
        name, at, domain = wanted.address.rpartition("@")
        if not at:
            raise invalid("address", "INVALID_ADDRESS", "write the whole address, with its domain")
        known_domain = await check_domain_of_ours(domains, domain, "address", receives=True)
        address = check_name_of_ours(name, known_domain, "address")
        group = Address(
            address=address,
            kind=Kind.GROUP,
            domain=known_domain,
            state=State.REQUESTED,
            generation=1,
            created_at=now_ms(),
            targets=checked(wanted.members, address, "members"),
        )
        return _shown(await claim(store, provisioner, group))

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(domain: str = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(Kind.GROUP, domain.lower(), start_of(cursor), limit + 1)
        return page([_shown(group) for group in found], limit)

    @router.get("/{address}", dependencies=[require(Scope.READ)])
    async def one(address: str) -> dict[str, Any]:
        return _shown(await known(store, Kind.GROUP, address))

    @router.patch("/{address}", dependencies=[require(Scope.ADMIN)])
    async def change(address: str, wanted: GroupChange) -> dict[str, Any]:
        """Let mail for the group go to these members instead."""
        found = await known(store, Kind.GROUP, address)
        targets = checked(wanted.members, found.address, "members")
        return _shown(await retargeting.change(found, targets))

    @router.delete("/{address}", dependencies=[require(Scope.ADMIN)])
    async def delete(address: str) -> dict[str, Any]:
        found = await known(store, Kind.GROUP, address)
        return _shown(await release(store, provisioner, found))

    return router


def _shown(group: Address) -> dict[str, Any]:
    return {
        "id": group.address,
        "address": group.address,
        "domain": group.domain,
        "members": list(group.targets),
        "state": group.state.value,
        "error": error_of(group),
        "created_at": iso(from_ms(group.created_at)),
    }
