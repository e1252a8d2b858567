"""Senders by their addresses: plans and decisions know them by their ids only."""

import asyncio
from collections.abc import Iterable, Mapping

from tracker.api.blocks import Link
from tracker.api.console import segment
from tracker.gateway import Asking, NotAnswered

_ASKED = 20  # senders of a page whose addresses are looked up; the others keep their ids


def sender_link(sender_id: str, names: Mapping[str, str]) -> Link:
    return Link(names.get(sender_id, sender_id), f"/dashboard/senders/{segment(sender_id)}")


async def sender_names(asking: Asking, sender_ids: Iterable[str]) -> dict[str, str]:
    """The addresses of the first of these senders, by id; one that is gone has none."""
    wanted = list(dict.fromkeys(id_ for id_ in sender_ids if id_))[:_ASKED]
    found = await asyncio.gather(*(_name(asking, id_) for id_ in wanted))
    return {id_: name for id_, name in zip(wanted, found, strict=True) if name}


async def _name(asking: Asking, sender_id: str) -> str:
    try:
        found = await asking.get(f"/sender-accounts/{segment(sender_id)}")
    except NotAnswered:
        return ""
    return str(found.get("email_address") or "")
