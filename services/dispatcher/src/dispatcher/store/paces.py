"""Paces of destinations that throttled: shared by all replicas, kept over restarts."""

from collections.abc import Mapping

from dispatcher.domain.pacing import Pace, PaceRules, is_over, take, throttled
from dispatcher.store.compare_and_set import change
from postfleet.mongo import Collection, Document

_MOST = 100_000
_SCALE = 1000  # rates and tokens are stored as thousandths: integers only


class Paces:
    """Whoever changes a pace gets the new one; `all` is for those who only look."""

    def __init__(self, collection: Collection, rules: PaceRules) -> None:
        self._collection, self.rules = collection, rules

    async def all(self) -> Mapping[str, Pace]:
        found = self._collection.find({}).limit(_MOST)
        return {document["_id"]: _pace(document) async for document in found}

    async def throttle(self, destination: str, observed_per_hour: float, at: int) -> Pace:
        """The destination throttled at this time. Saying it again changes nothing."""

        def rule(before: Document | None) -> tuple[Pace, Document]:
            old = _pace(before) if before else None
            pace = throttled(old, observed_per_hour, at, self.rules)
            return pace, _fields(pace)

        return await change(self._collection, destination, rule)

    async def take(self, destination: str, wanted: int, now: int) -> tuple[int, Pace | None]:
        """(how many may go now, the pace after it); no pace: all of them."""

        def rule(before: Document | None) -> tuple[tuple[int, Pace | None], Document | None]:
            if before is None:
                return (wanted, None), None
            granted, pace = take(_pace(before), wanted, now, self.rules)
            return (granted, pace), _fields(pace)

        return await change(self._collection, destination, rule)

    async def forget(self, destination: str, pace: Pace, now: int) -> None:
        """The pace has reached the ceiling: the destination is free."""
        if is_over(pace, now, self.rules):
            guard = {"_id": destination, "since": pace.since}
            await self._collection.delete_one(guard)


def _fields(pace: Pace) -> Document:
    return {
        "per_hour": round(pace.per_hour * _SCALE),
        "since": pace.since,
        "tokens": round(pace.tokens * _SCALE),
        "counted_at": pace.counted_at,
    }


def _pace(document: Document) -> Pace:
    return Pace(
        document["per_hour"] / _SCALE,
        document["since"],
        document["tokens"] / _SCALE,
        document["counted_at"],
    )
