"""What the ledger forgets: batches that are done, with their attempts and settlements.

An attempt's key must outlive every job that could claim it. A job can do nothing once its batch is
done, so attempts go only with their batch, and the batch last: what is interrupted begins again.
"""

from dispatcher.store.batches import DONE, from_document
from dispatcher.store.settlements import ANNOUNCED, NEW
from postfleet.mongo import Collection

_LIMIT = 200


class Retention:
    def __init__(self, batches: Collection, attempts: Collection, settlements: Collection) -> None:
        self._batches, self._attempts, self._settlements = batches, attempts, settlements

    async def forget(self, before: int) -> int:
        """Forget some of what was done before this time; returns how many batches."""
        found = self._batches.find({"state": DONE, "done_at": {"$lt": before}}).limit(_LIMIT)
        done = [from_document(document) async for document in found]
        ids = [batch.id for batch in done]
        unsaid = self._settlements.find({"batch_id": {"$in": ids}, "state": NEW}).limit(_LIMIT * 50)
        waiting = {document["batch_id"] async for document in unsaid}
        gone = [batch for batch in done if batch.id not in waiting]
        if gone:
            ids = [batch.id for batch in gone]
            keys = [item.key for batch in gone for item in batch.items]
            await self._attempts.delete_many({"_id": {"$in": keys}, "batch_id": {"$in": ids}})
            await self._settlements.delete_many({"batch_id": {"$in": ids}, "state": ANNOUNCED})
            await self._batches.delete_many({"_id": {"$in": ids}, "state": DONE})
        # Those of deliveries that were settled without a batch, or by evidence long after theirs.
        await self._settlements.delete_many({"state": ANNOUNCED, "at": {"$lt": before}})
        return len(gone)
