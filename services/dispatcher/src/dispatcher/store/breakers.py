"""Circuit breakers of senders that had trouble: shared by all replicas, kept over restarts."""

from collections.abc import Mapping
from dataclasses import asdict

from dispatcher.domain.breaker import CLOSED, Breaker, BreakerRules, after_failure, try_now, untried
from dispatcher.store.compare_and_set import change
from postfleet.mongo import Collection, Document

_MOST = 100_000


class Breakers:
    """A sender without a document is closed: the hot path of a healthy sender writes nothing."""

    def __init__(self, collection: Collection, rules: BreakerRules) -> None:
        self._collection, self.rules = collection, rules

    async def all(self) -> Mapping[str, Breaker]:
        found = self._collection.find({}).limit(_MOST)
        return {document["_id"]: _breaker(document) async for document in found}

    async def fail(self, sender_id: str, at: int, reason: str) -> Breaker:
        def rule(before: Document | None) -> tuple[Breaker, Document]:
            breaker = after_failure(_breaker(before), at, self.rules, reason)
            return breaker, asdict(breaker)

        return await change(self._collection, sender_id, rule)

    async def try_now(self, sender_id: str, wanted: int, now: int) -> tuple[int, Breaker]:
        """How many of `wanted` may be tried; a half-open breaker gives its one probe away once."""

        def rule(before: Document | None) -> tuple[tuple[int, Breaker], Document | None]:
            granted, breaker = try_now(_breaker(before), wanted, now, self.rules)
            return (granted, breaker), asdict(breaker) if before else None

        return await change(self._collection, sender_id, rule)

    async def untried(self, sender_id: str) -> None:
        def rule(before: Document | None) -> tuple[None, Document | None]:
            return None, asdict(untried(_breaker(before))) if before else None

        await change(self._collection, sender_id, rule)

    async def succeed(self, sender_id: str) -> None:
        """A mail went through: the breaker is closed."""
        await self._collection.delete_one({"_id": sender_id})


def _breaker(document: Document | None) -> Breaker:
    if document is None:
        return CLOSED
    return Breaker(
        document["failures"],
        document["pauses"],
        document["open_until"],
        document["probe_until"],
        document["reason"],
    )
