"""MongoDB: addresses, documents in the portable dialect in, domain values out.

One collection holds mailboxes and aliases alike: its `_id` makes sure that no two share an address
(S96), on every machine and without a lock.
"""

from pymongo.errors import DuplicateKeyError

from mail_provisioner.domain.addresses import (
    COMES_FROM,
    GIVE_UP_AFTER_SECONDS,
    Address,
    Kind,
    State,
)
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events

_DUE_BATCH = 100


def _address(document: Document) -> Address:
    return Address(
        address=document["_id"],
        kind=Kind(document["kind"]),
        domain=document["domain"],
        state=State(document["state"]),
        generation=document["generation"],
        created_at=document["created_at"],
        attempts=document["attempts"],
        give_up_at=document["give_up_at"],
        written_at=document["written_at"],
        error_code=document["error_code"],
        error_reason=document["error_reason"],
        display_name=document["display_name"],
        request_id=document["request_id"],
        password_hash=document["password_hash"],
        sealed_password=document["sealed_password"],
        targets=_names(document["targets"]),
        revision=document.get("revision", 0),
        intended=_names(document.get("intended", "")),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _fields(address: Address, next_at: int) -> Document:
    return {
        "kind": address.kind.value,
        "domain": address.domain,
        "state": address.state.value,
        "generation": address.generation,
        "created_at": address.created_at,
        "attempts": 0,
        "give_up_at": address.created_at + GIVE_UP_AFTER_SECONDS * 1000,
        "written_at": 0,
        "error_code": "",
        "error_reason": "",
        "display_name": address.display_name,
        "request_id": address.request_id,
        "password_hash": address.password_hash,
        "sealed_password": address.sealed_password,
        "secret_fetched_at": 0,
        "targets": ",".join(address.targets),  # a text: portable, and an address holds no comma
        "revision": 0,
        "intended": "",
        "next_at": next_at,  # when the next step is due; 0: there is none
    }


class AddressStore:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def prepare(self) -> None:
        names = ("kind", "domain", "state", "next_at", "secret_fetched_at")
        await ensure_indexes(self._collection, *names)

    async def get(self, address: str) -> Address | None:
        document = await self._collection.find_one({"_id": address})
        return _address(document) if document else None

    async def page(self, kind: Kind, domain: str, after: str, limit: int) -> list[Address]:
        """What is or was wanted, deleted ones left out; of one domain, or of all if it is ""."""
        query: Document = {"kind": kind.value, "state": {"$ne": State.DELETED.value}}
        if domain:
            query["domain"] = domain
        query["_id"] = {"$gt": after}
        found = self._collection.find(query).sort("_id", 1).limit(limit)
        return [_address(document) async for document in found]

    async def request(self, wanted: Address, next_at: int) -> Address | None:
        """Claim the address; None if a mailbox or an alias has it."""
        first = {"_id": wanted.address, **_fields(wanted, next_at)}
        try:
            await self._collection.insert_one(with_events(first, ()))
        except DuplicateKeyError:
            return await self._request_again(wanted, next_at)
        return wanted

    async def _request_again(self, wanted: Address, next_at: int) -> Address | None:
        """Claim an address that was used before; its unannounced events stay in the outbox."""
        old = await self.get(wanted.address)
        if old is None or old.state not in COMES_FROM[State.REQUESTED]:
            return None
        generation = old.generation + 1
        fields = {**_fields(wanted, next_at), "generation": generation}
        result = await self._collection.update_one(
            {"_id": wanted.address, "state": old.state.value, "generation": old.generation},
            {"$set": fields},
        )
        return await self.get(wanted.address) if result.modified_count else None

    async def enter(
        self,
        address: Address,
        state: State,
        *events: Announcement,
        next_at: int = 0,
        error: tuple[str, str] = ("", ""),
    ) -> bool:
        """Change the state and say so, in one write; False if somebody else was faster."""
        sources = [source.value for source in COMES_FROM[state]]
        fields: Document = {
            "state": state.value,
            "next_at": next_at,
            "attempts": 0,
            "error_code": error[0],
            "error_reason": error[1],
        }
        if state is State.WRITTEN:
            fields["written_at"] = now_ms()
            fields["give_up_at"] = now_ms() + GIVE_UP_AFTER_SECONDS * 1000
        if state in (State.FAILED, State.DELETED):
            fields |= {"sealed_password": "", "secret_fetched_at": 0, "written_at": 0}
        result = await self._collection.update_one(
            {
                "_id": address.address,
                "state": {"$in": sources},
                "generation": address.generation,
            },
            update_with_events({"$set": fields}, events),
        )
        return bool(result.modified_count)

    async def intend(self, address: Address, targets: tuple[str, ...]) -> bool:
        """Remember targets that are about to be written; False if the address moved on."""
        result = await self._collection.update_one(
            {
                "_id": address.address,
                "state": State.WRITTEN.value,
                "generation": address.generation,
                "revision": address.revision,
            },
            {"$set": {"intended": ",".join(targets)}},
        )
        return bool(result.matched_count)

    async def retarget(
        self, address: Address, targets: tuple[str, ...], *events: Announcement
    ) -> bool:
        """The targets are written: say so; False if somebody else was faster."""
        change: Document = {"$set": {"targets": ",".join(targets), "intended": ""}}
        change["$inc"] = {"revision": 1}
        result = await self._collection.update_one(
            {
                "_id": address.address,
                "state": State.WRITTEN.value,
                "generation": address.generation,
                "revision": address.revision,
            },
            update_with_events(change, events),
        )
        return bool(result.modified_count)

    async def announce(self, address: Address, *events: Announcement) -> bool:
        """End the steps of an address in the state it has, and say so; False if they had ended."""
        result = await self._collection.update_one(
            {
                "_id": address.address,
                "state": address.state.value,
                "generation": address.generation,
                "next_at": {"$gt": 0},
            },
            update_with_events({"$set": {"next_at": 0}}, events),
        )
        return bool(result.modified_count)

    async def postpone(self, address: Address, next_at: int, error: tuple[str, str]) -> None:
        """The step did not succeed yet: remember why, and when to try again."""
        await self._collection.update_one(
            {
                "_id": address.address,
                "state": address.state.value,
                "generation": address.generation,
            },
            {
                "$set": {"next_at": next_at, "error_code": error[0], "error_reason": error[1]},
                "$inc": {"attempts": 1},
            },
        )

    async def claim_due(self, now: int, until: int) -> list[str]:
        """Addresses whose next step is due; nobody else is given them before `until`."""
        query = {"next_at": {"$gt": 0, "$lte": now}}
        due = [d async for d in self._collection.find(query).limit(_DUE_BATCH)]
        claimed = []
        for document in due:
            guard = {"_id": document["_id"], "next_at": document["next_at"]}
            result = await self._collection.update_one(guard, {"$set": {"next_at": until}})
            if result.modified_count:
                claimed.append(document["_id"])
        return claimed

    # -- passwords that nobody has fetched yet ---------------------------------------------------

    async def mark_fetched(self, address: Address, at: int) -> None:
        await self._collection.update_one(
            {"_id": address.address, "generation": address.generation, "secret_fetched_at": 0},
            {"$set": {"secret_fetched_at": at}},
        )

    async def forget_fetched(self, before: int) -> int:
        """Drop the passwords that were fetched before; returns how many."""
        result = await self._collection.update_many(
            {
                "secret_fetched_at": {"$gt": 0, "$lte": before},
                "state": {"$in": [State.WRITTEN.value, State.LIVE.value]},
            },
            {"$set": {"sealed_password": "", "secret_fetched_at": 0}},
        )
        return int(result.modified_count)
