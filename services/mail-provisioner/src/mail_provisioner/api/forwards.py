"""/aliases and /groups: one address for other addresses; nobody logs in with it.

An alias is a further name of a person, a group one name for several people. They differ in words only.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import Field, create_model

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
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso, now_ms
from postfleet.problems import invalid


@dataclass(frozen=True, slots=True)
class Words:
    """How one kind is called: its path, the field of its address, the field of its targets."""

    kind: Kind
    path: str
    name: str
    targets: str

    def shown(self, address: Address) -> dict[str, Any]:
        return {
            "id": address.address,
            self.name: address.address,
            "domain": address.domain,
            self.targets: list(address.targets),
            "state": address.state.value,
            "error": error_of(address),
            "created_at": iso(from_ms(address.created_at)),
        }


ALIASES = Words(Kind.ALIAS, "aliases", "alias", "targets")
GROUPS = Words(Kind.GROUP, "groups", "address", "members")


def build(
    words: Words,
    store: AddressStore,
    domains: DomainStore,
    provisioner: Provisioner,
    retargeting: Retargeting,
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/{words.path}", tags=[words.path])
    kind, shown = words.kind, words.shown
    title = kind.value.capitalize()
    change_fields: dict[str, Any] = {words.targets: (Targets, ...)}
    new_fields: dict[str, Any] = {words.name: (str, Field(max_length=1000)), **change_fields}
    new_model: Any = create_model(f"New{title}", __base__=Strict, **new_fields)
    change_model: Any = create_model(f"{title}Change", __base__=Strict, **change_fields)

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: new_model) -> dict[str, Any]:
        """Mail for the address goes to every target or member, here or elsewhere."""
        field = words.name
        name, at, domain = getattr(wanted, field).rpartition("@")
        if not at:
            raise invalid(field, "INVALID_ADDRESS", "write the whole address, with its domain")
        known_domain = await check_domain_of_ours(domains, domain, field, receives=True)
        address = check_name_of_ours(name, known_domain, field)
        new = Address(
            address=address,
            kind=kind,
            domain=known_domain,
            state=State.REQUESTED,
            generation=1,
            created_at=now_ms(),
            targets=checked(getattr(wanted, words.targets), address, words.targets),
        )
        return shown(await claim(store, provisioner, new))

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(domain: str = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(kind, domain.lower(), start_of(cursor), limit + 1)
        return page([shown(address) for address in found], limit)

    @router.get("/{address}", dependencies=[require(Scope.READ)])
    async def one(address: str) -> dict[str, Any]:
        return shown(await known(store, kind, address))

    @router.patch("/{address}", dependencies=[require(Scope.ADMIN)])
    async def change(address: str, wanted: change_model) -> dict[str, Any]:
        """Let mail for the address go to these instead."""
        found = await known(store, kind, address)
        targets = checked(getattr(wanted, words.targets), found.address, words.targets)
        return shown(await retargeting.change(found, targets))

    @router.delete("/{address}", dependencies=[require(Scope.ADMIN)])
    async def delete(address: str) -> dict[str, Any]:
        found = await known(store, kind, address)
        return shown(await release(store, provisioner, found))

    return router
