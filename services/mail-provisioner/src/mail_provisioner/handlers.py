"""What other services may ask over the bus."""

from collections.abc import Awaitable, Callable
from typing import Any

from mail_provisioner.claims import (
    check_domain_of_ours,
    check_name_of_ours,
    claim,
    new_mailbox,
    release,
)
from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.passwords import FIELD
from mail_provisioner.provisioning import Provisioner
from mail_provisioner.settings import SERVICE
from mail_provisioner.store import AddressStore
from postfleet.addresses import check_text
from postfleet.instants import now_ms
from postfleet.problems import Problem
from postfleet.rpc import RequestRefused
from postfleet.secrets import KeyRing

_PATIENCE = 3.0  # seconds; whoever asks over the bus waits 5
_OVER = (State.FAILED, State.DELETED)  # then the same request may try again

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def mailbox_create(
    store: AddressStore, domains: DomainStore, provisioner: Provisioner, ring: KeyRing
) -> Answer:
    """`rpc.mailbox.create`: `{domain, prefix, request_id, display_name?}` -> how far it came.

    `{address, state, code, reason}`; `state` is `refused` where nothing was begun. Asking again with
    the same `request_id` tells how the mailbox stands and makes no second one. `mailbox.created` or
    `mailbox.failed` follows.
    """

    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        request_id = str(request.get("request_id", ""))
        if not request_id:
            raise RequestRefused("a request_id is missing")
        try:
            domain = await check_domain_of_ours(domains, str(request.get("domain", "")), "domain")
            address = check_name_of_ours(str(request.get("prefix", "")), domain, "prefix")
            there = await store.get(address)
            if there is None or there.request_id != request_id or there.state in _OVER:
                display_name = check_text(str(request.get("display_name", "")), max_octets=200)
                wanted = await new_mailbox(
                    ring, address, domain, display_name=display_name, request_id=request_id
                )
                there = await claim(store, provisioner, wanted, _PATIENCE)
        except (Problem, ValueError) as refusal:
            return _refused(refusal)
        return _standing(there)

    return answer


def mailbox_delete(store: AddressStore, provisioner: Provisioner) -> Answer:
    """`rpc.mailbox.delete`: `{address, request_id}` -> its state; undoes a creation.

    Only whoever asked for the mailbox may: the request's id must be its own. Safe to repeat.
    """

    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        name = str(request.get("address", "")).lower()
        mailbox = await store.get(name)
        if mailbox is None or mailbox.kind is not Kind.MAILBOX:
            raise RequestRefused(f"there is no mailbox {name!r}")
        if not mailbox.request_id or mailbox.request_id != request.get("request_id"):
            raise RequestRefused(f"the mailbox {name!r} was made for another request")
        if mailbox.state is not State.DELETED:
            mailbox = await release(store, provisioner, mailbox, _PATIENCE)
        return _standing(mailbox)

    return answer


def _standing(mailbox: Address) -> dict[str, Any]:
    return {
        "address": mailbox.address,
        "state": mailbox.state.value,
        "code": mailbox.error_code,
        "reason": mailbox.error_reason,
    }


def _refused(refusal: Problem | ValueError) -> dict[str, Any]:
    code = "INVALID"
    if isinstance(refusal, Problem):
        code = refusal.errors[0].code if refusal.errors else refusal.code
    return {"address": "", "state": "refused", "code": code, "reason": str(refusal)}


def mailbox_secret(store: AddressStore) -> Answer:
    """`rpc.mailbox.secret`: `{address}` -> the sealed password and what it is sealed for.

    Only the holder of MASTER_KEY opens it. It may be asked for again for an hour after the first
    answer, in case that got lost; then it is forgotten.
    """

    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        name = str(request.get("address", "")).lower()
        mailbox = await store.get(name)
        if mailbox is None or mailbox.kind is not Kind.MAILBOX:
            raise RequestRefused(f"there is no mailbox {name!r}")
        if mailbox.state not in (State.WRITTEN, State.LIVE):
            raise RequestRefused(f"the mailbox {name!r} is {mailbox.state}")
        if not mailbox.sealed_password:
            raise RequestRefused(f"the password of {name!r} was fetched before")
        await store.mark_fetched(mailbox, now_ms())
        return {
            "address": name,
            "sealed": mailbox.sealed_password,
            "service": SERVICE,
            "record": name,
            "name": FIELD,
        }

    return answer
