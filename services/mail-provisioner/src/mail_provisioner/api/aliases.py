"""/aliases: further addresses for mailboxes; nobody logs in with one."""

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


class NewAlias(Strict):
    alias: str = Field(max_length=1000)
    targets: Targets


class AliasChange(Strict):
    targets: Targets


def build(
    store: AddressStore, domains: DomainStore, provisioner: Provisioner, retargeting: Retargeting
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/aliases", tags=["aliases"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewAlias) -> dict[str, Any]:
        """Mail for `alias` goes to every target, here or elsewhere."""
        name, at, domain = wanted.alias.rpartition("@")
        if not at:
            raise invalid("alias", "INVALID_ADDRESS", "write the whole address, with its domain")
        known_domain = await check_domain_of_ours(domains, domain, "alias", receives=True)
        address = check_name_of_ours(name, known_domain, "alias")
        alias = Address(
            address=address,
            kind=Kind.ALIAS,
            domain=known_domain,
            state=State.REQUESTED,
            generation=1,
            created_at=now_ms(),
            targets=checked(wanted.targets, address, "targets"),
        )
        return _shown(await claim(store, provisioner, alias))

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(domain: str = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(Kind.ALIAS, domain.lower(), start_of(cursor), limit + 1)
        return page([_shown(alias) for alias in found], limit)

    @router.get("/{alias}", dependencies=[require(Scope.READ)])
    async def one(alias: str) -> dict[str, Any]:
        return _shown(await known(store, Kind.ALIAS, alias))

    @router.patch("/{alias}", dependencies=[require(Scope.ADMIN)])
    async def change(alias: str, wanted: AliasChange) -> dict[str, Any]:
        """Let mail for the alias go to these targets instead."""
        found = await known(store, Kind.ALIAS, alias)
        targets = checked(wanted.targets, found.address, "targets")
        return _shown(await retargeting.change(found, targets))

    @router.delete("/{alias}", dependencies=[require(Scope.ADMIN)])
    async def delete(alias: str) -> dict[str, Any]:
        found = await known(store, Kind.ALIAS, alias)
        return _shown(await release(store, provisioner, found))

    return router


def _shown(alias: Address) -> dict[str, Any]:
    return {
        "id": alias.address,
        "alias": alias.address,
        "domain": alias.domain,
        "targets": list(alias.targets),
        "state": alias.state.value,
        "error": error_of(alias),
        "created_at": iso(from_ms(alias.created_at)),
    }
