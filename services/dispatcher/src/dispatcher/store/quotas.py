"""What each sender has used of its day and month: reserved before sending, given back if unused.

One document per sender and UTC month: `used`, `days` with a number for each day, and `held`, a map
of what each open batch has reserved, and for which day. Reserving and settling name the batch, so
that repeating them changes nothing; each is one statement when nobody is in the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from postfleet.mongo import Collection, Document

_MOST = 1_000_000  # above any batch
_KNOWN = 10_000  # counters that this process has seen; more are only looked at again


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sender may send on a UTC `day` (`2026-11-21`) and in its month; None: as much as it likes."""

    day: str
    daily: int | None = None
    monthly: int | None = None

    @property
    def month(self) -> str:
        return self.day[:7]


@dataclass(frozen=True, slots=True)
class Used:
    day: int = 0
    month: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """A batch would send `wanted` mails."""

    sender_id: str
    batch_id: str
    wanted: int
    limits: Limits

    @property
    def key(self) -> str:
        return f"{self.sender_id}:{self.limits.month}"

    def bounded(self) -> "Wish":
        """No more than the limits allow in all."""
        most = [n for n in (self.limits.daily, self.limits.monthly) if n is not None]
        return replace(self, wanted=min([self.wanted, *most]))


@dataclass(frozen=True, slots=True)
class Spent:
    """A batch is done: it used `used`, of `reserved` if its worker is right."""

    sender_id: str
    batch_id: str
    used: int
    limits: Limits
    reserved: int

    @property
    def key(self) -> str:
        return f"{self.sender_id}:{self.limits.month}"


class Quotas:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._known: set[str] = set()

    async def used(self, sender_ids: Sequence[str], day: str) -> dict[str, Used]:
        """sender id -> what is used on that day and in its month, reservations included."""
        ids = [f"{sender}:{day[:7]}" for sender in sender_ids]
        if not ids:
            return {}
        found = self._collection.find({"_id": {"$in": ids}}).limit(len(ids))
        return {
            d["_id"].rpartition(":")[0]: Used(d["days"].get(day, 0), d["used"]) async for d in found
        }

    async def reserve(self, sender_id: str, batch_id: str, wanted: int, limits: Limits) -> int:
        """How many of `wanted` the batch may send: all, some or none. Repeating it is harmless."""
        key = f"{sender_id}:{limits.month}"
        await self._ensure(key, limits.day)
        wanted = min([wanted, *(n for n in (limits.daily, limits.monthly) if n is not None)])
        while wanted > 0:
            if await self._take(key, batch_id, wanted, limits):
                return wanted
            document = await self._collection.find_one({"_id": key})
            held = _held(document, batch_id)
            if held is not None:
                return min(held[1], wanted)
            wanted = min(wanted, _left(document, limits))
        return 0

    async def reserve_all(self, wishes: Sequence[Wish]) -> list[int]:
        """As `reserve` for each; one statement when nobody is in the way and nothing is used up."""
        bounded = [wish.bounded() for wish in wishes]
        updates = []
        for wish in bounded:
            await self._ensure(wish.key, wish.limits.day)
            if wish.wanted > 0:
                updates.append(_taking(wish.key, wish.batch_id, wish.wanted, wish.limits))
        if updates:
            result = await self._collection.bulk_write(updates, ordered=False)
            if result.modified_count != len(
                updates
            ):  # some hold theirs now; asking again is harmless
                return [
                    await self.reserve(w.sender_id, w.batch_id, w.wanted, w.limits) for w in bounded
                ]
        return [max(0, wish.wanted) for wish in bounded]

    async def settle_all(self, spent: Sequence[Spent]) -> None:
        """As `settle` for each; one statement when all hold what their callers believe."""
        updates = [
            _releasing(s.key, s.batch_id, s.used, (s.limits.day, s.reserved))
            for s in spent
            if s.reserved
        ]
        released = 0
        if updates:
            released = (await self._collection.bulk_write(updates, ordered=False)).modified_count
        if released != len(spent):
            for s in spent:
                await self.settle(s.sender_id, s.batch_id, s.used, s.limits, s.reserved)

    async def _take(self, key: str, batch_id: str, wanted: int, limits: Limits) -> bool:
        result = await self._collection.bulk_write([_taking(key, batch_id, wanted, limits)])
        return bool(result.modified_count)

    async def _ensure(self, key: str, day: str) -> None:
        """The document and the day's counter are there."""
        if f"{key} {day}" in self._known:
            return
        try:
            await self._collection.insert_one({"_id": key, "used": 0, "days": {day: 0}, "held": {}})
        except DuplicateKeyError:
            await self._collection.update_one(
                {"_id": key, f"days.{day}": {"$exists": False}}, {"$set": {f"days.{day}": 0}}
            )
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known.add(f"{key} {day}")

    async def settle(
        self, sender_id: str, batch_id: str, used: int, limits: Limits, reserved: int = 0
    ) -> None:
        """The batch is done and used `used` of what it reserved; the rest is given back.

        `reserved` is what the caller believes: if it is right, this is one statement.
        """
        key = f"{sender_id}:{limits.month}"
        if reserved and await self._release(key, batch_id, used, (limits.day, reserved)):
            return
        held = _held(await self._collection.find_one({"_id": key}), batch_id)
        if held is not None:
            await self._release(key, batch_id, used, held)

    async def _release(self, key: str, batch_id: str, used: int, held: tuple[str, int]) -> bool:
        result = await self._collection.bulk_write([_releasing(key, batch_id, used, held)])
        return bool(result.modified_count)


def _taking(key: str, batch_id: str, wanted: int, limits: Limits) -> UpdateOne:
    guard: Document = {"_id": key, f"held.{batch_id}": {"$exists": False}}
    if limits.daily is not None:
        guard[f"days.{limits.day}"] = {"$lte": limits.daily - wanted}
    if limits.monthly is not None:
        guard["used"] = {"$lte": limits.monthly - wanted}
    update = {
        "$inc": {"used": wanted, f"days.{limits.day}": wanted},
        "$set": {f"held.{batch_id}": _hold(limits.day, wanted)},
    }
    return UpdateOne(guard, update)


def _releasing(key: str, batch_id: str, used: int, held: tuple[str, int]) -> UpdateOne:
    day, reserved = held
    return UpdateOne(
        {"_id": key, f"held.{batch_id}": _hold(day, reserved)},
        {
            "$inc": {"used": used - reserved, f"days.{day}": used - reserved},
            "$unset": {f"held.{batch_id}": ""},
        },
    )


def _hold(day: str, number: int) -> int:
    """Day and number as one integer: the embedded server finds no text that looks like a date."""
    return int(day.replace("-", "")) * _MOST + number


def _held(document: Document | None, batch_id: str) -> tuple[str, int] | None:
    """The day and the number that the batch holds."""
    hold = ((document or {}).get("held") or {}).get(batch_id)
    if hold is None:
        return None
    day, number = divmod(hold, _MOST)
    return f"{day // 10_000:04}-{day // 100 % 100:02}-{day % 100:02}", number


def _left(document: Document, limits: Limits) -> int:
    left = [
        limit - used
        for limit, used in (
            (limits.daily, document["days"].get(limits.day, 0)),
            (limits.monthly, document["used"]),
        )
        if limit is not None
    ]
    return max(0, min(left, default=0))
