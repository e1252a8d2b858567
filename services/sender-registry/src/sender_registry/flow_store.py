"""Authorizations that were begun: from `oauth/start` until the account holder comes back."""

from dataclasses import dataclass, field
from hashlib import sha256

from postfleet.instants import now_ms
from postfleet.mongo import Collection, ensure_indexes
from postfleet.secrets import KeyRing
from sender_registry.vault import SERVICE

KEPT_MS = 10 * 60_000
_FIELD = "oauth_flow"


@dataclass(frozen=True, slots=True)
class Flow:
    """`sender_id` is "" where the callback is to register a new sender from `form` (JSON)."""

    provider: str
    verifier: str = field(repr=False)
    sender_id: str
    form: str = field(repr=False)


class FlowStore:
    """The collection `oauth_flows`: found by the hash of their state, usable once."""

    def __init__(self, collection: Collection, ring: KeyRing) -> None:
        self._collection = collection
        self._ring = ring

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "at")

    async def begin(self, state: str, flow: Flow) -> None:
        name = _name(state)
        sealed = self._ring.seal(flow.verifier, service=SERVICE, record=name, name=_FIELD)
        document = {
            "_id": name,
            "provider": flow.provider,
            "verifier": sealed,
            "sender_id": flow.sender_id,
            "form": flow.form,
            "at": now_ms(),
        }
        await self._collection.delete_many({"at": {"$lt": now_ms() - KEPT_MS}})
        await self._collection.insert_one(document)

    async def finish(self, state: str) -> Flow | None:
        """The flow, if it is known and young; whoever takes it is the only one."""
        found = await self._collection.find_one({"_id": _name(state)})
        if found is None or found["at"] < now_ms() - KEPT_MS:
            return None
        result = await self._collection.delete_one({"_id": found["_id"]})
        if not result.deleted_count:
            return None
        verifier = self._ring.open(
            found["verifier"], service=SERVICE, record=found["_id"], name=_FIELD
        )
        return Flow(found["provider"], verifier, found["sender_id"], found["form"])


def _name(state: str) -> str:
    return sha256(state.encode()).hexdigest()
