"""/blocklists: addresses, domains and networks whose mail the server refuses."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field, field_validator

from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.domain.blocks import Block, NotBlockable, classify
from mail_provisioner.domain.relays import EntryState
from mail_provisioner.entry_stores import EntryStore
from mail_provisioner.upkeep import Upkeep
from postfleet.addresses import check_text
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso, now_ms
from postfleet.problems import Problem, invalid, not_found

LIVE_NOTE = (
    "docker-mailserver notices within 2 s and reloads Postfix by itself; no restart is needed. "
    "Networks count only where postfix-main.cf names the file: deploy/mailserver does"
)


class NewBlock(Strict):
    """`reason` is what a refused sender is told."""

    entry: str = Field(max_length=300)
    reason: str = Field("", max_length=200)

    @field_validator("reason")
    @classmethod
    def _check_reason(cls, value: str) -> str:
        return check_text(value, max_octets=200).strip()


def build(store: EntryStore[Block], upkeep: Upkeep) -> APIRouter:
    router = APIRouter(prefix=f"{API}/blocklists", tags=["blocklists"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewBlock) -> dict[str, Any]:
        """Refuse mail from an address, a domain, an IP address or a network."""
        try:
            kind, entry = classify(wanted.entry)
        except NotBlockable as error:
            raise invalid("entry", "NOT_BLOCKABLE", str(error)) from error
        fields: dict[str, str | int] = {
            "kind": kind.value,
            "reason": wanted.reason,
            "state": EntryState.WRITING.value,
            "created_at": now_ms(),
        }
        if not await store.add(entry, fields):
            raise Problem(409, "BLOCKED_ALREADY", f"{entry} is blocked already")
        await upkeep.advance_block(await _known(store, entry))
        return _shown(await _known(store, entry))

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        found = await store.page(start_of(cursor), limit + 1)
        return page([_shown(block) for block in found], limit)

    @router.get("/{entry:path}", dependencies=[require(Scope.READ)])
    async def one(entry: str) -> dict[str, Any]:
        return _shown(await _known(store, entry))

    @router.delete("/{entry:path}", dependencies=[require(Scope.ADMIN)])
    async def delete(entry: str) -> dict[str, Any]:
        """Accept such mail again."""
        block = await _known(store, entry)
        await store.enter(block.entry, EntryState.REMOVING)
        await upkeep.advance_block(await _known(store, block.entry))
        left = await store.get(block.entry)
        state = left.state.value if left else "removed"
        return {"id": block.entry, "entry": block.entry, "state": state, "live": LIVE_NOTE}

    return router


async def _known(store: EntryStore[Block], entry: str) -> Block:
    try:
        block = await store.get(classify(entry)[1])
    except NotBlockable:
        block = None
    if block is None:
        raise not_found("blocklist entry", entry)
    return block


def _shown(block: Block) -> dict[str, Any]:
    error = {"code": block.error_code, "reason": block.error_reason} if block.error_code else None
    return {
        "id": block.entry,
        "entry": block.entry,
        "kind": block.kind.value,
        "reason": block.reason,
        "state": block.state.value,
        "error": error,
        "live": LIVE_NOTE,
        "created_at": iso(from_ms(block.created_at)),
    }
