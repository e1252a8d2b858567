"""What other services may ask over the bus."""

from collections.abc import Awaitable, Callable
from typing import Any

from mail_provisioner.domain.addresses import Kind, State
from mail_provisioner.passwords import FIELD
from mail_provisioner.settings import SERVICE
from mail_provisioner.store import AddressStore
from postfleet.bus import RequestRefused
from postfleet.instants import now_ms

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


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
