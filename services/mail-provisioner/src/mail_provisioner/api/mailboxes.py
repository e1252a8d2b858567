"""/mailboxes: made with a random password that only the sender registry can fetch."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, field_validator

from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.claims import (
    check_domain_of_ours,
    check_name_of_ours,
    claim,
    error_of,
    known,
    new_mailbox,
    release,
)
from mail_provisioner.domain.addresses import Address, Kind
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.filter_store import FilterStore
from mail_provisioner.provisioning import Provisioner
from mail_provisioner.store import AddressStore
from postfleet.addresses import check_text
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso
from postfleet.problems import invalid
from postfleet.secrets import KeyRing


class NewMailbox(Strict):
    """`request_id` comes back in the mailbox's events: whoever asked knows its answer by it."""

    domain: str = Field(max_length=300)
    prefix: str = Field(max_length=1000)
    display_name: str = ""
    request_id: str = Field("", max_length=200)

    @field_validator("display_name", "request_id")
    @classmethod
    def _check_text(cls, value: str) -> str:
        return check_text(value, max_octets=200)


def build(
    store: AddressStore,
    domains: DomainStore,
    provisioner: Provisioner,
    ring: KeyRing,
    filters: FilterStore,
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/mailboxes", tags=["mailboxes"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewMailbox) -> dict[str, Any]:
        """`state`: `requested` while the mail server's files wait, `written`, or `live`."""
        domain = await check_domain_of_ours(domains, wanted.domain, "domain")
        address = check_name_of_ours(wanted.prefix, domain, "prefix")
        mailbox = await new_mailbox(
            ring,
            address,
            domain,
            display_name=wanted.display_name,
            request_id=wanted.request_id,
        )
        return _shown(await claim(store, provisioner, mailbox))

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(domain: str = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(Kind.MAILBOX, domain.lower(), start_of(cursor), limit + 1)
        return page([_shown(mailbox) for mailbox in found], limit)

    @router.get("/{address}", dependencies=[require(Scope.READ)])
    async def one(address: str) -> dict[str, Any]:
        return _shown(await known(store, Kind.MAILBOX, address))

    @router.delete("/{address}", dependencies=[require(Scope.ADMIN)])
    async def delete(
        address: str, confirm: Annotated[str, Query(max_length=300)] = ""
    ) -> dict[str, Any]:
        """No more mail and no more log-ins; mail and filters stay on the server's disk."""
        mailbox = await known(store, Kind.MAILBOX, address)
        if confirm.lower() != mailbox.address:
            raise invalid(
                "confirm", "CONFIRMATION_REQUIRED", f"repeat the address: {mailbox.address}"
            )
        await filters.forget(mailbox.address)
        return _shown(await release(store, provisioner, mailbox))

    return router


def _shown(mailbox: Address) -> dict[str, Any]:
    return {
        "id": mailbox.address,
        "address": mailbox.address,
        "domain": mailbox.domain,
        "display_name": mailbox.display_name,
        "state": mailbox.state.value,
        "error": error_of(mailbox),
        "request_id": mailbox.request_id or None,
        "created_at": iso(from_ms(mailbox.created_at)),
    }
