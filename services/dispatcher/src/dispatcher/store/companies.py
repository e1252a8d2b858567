"""Which leads of a campaign are of one company: a row each, found by the company."""

from collections.abc import AsyncIterator, Iterable

from pymongo import InsertOne
from pymongo.errors import BulkWriteError

from dispatcher.domain.companies import companies_of, company_key
from dispatcher.domain.identity import lead_id
from dispatcher.domain.lead_rows import LeadRow
from dispatcher.store.lead_documents import Lead
from postfleet.mongo import Collection, duplicates, ensure_indexes

_PASS = 1000


class Companies:
    """Only campaigns that pause a company on a reply have rows here."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "row")

    async def add(self, campaign_id: str, people: Iterable[LeadRow | Lead]) -> None:
        """May be repeated."""
        rows = [
            InsertOne({"_id": row, "row": row})
            for one in people
            for name in companies_of(one.address, one.fields)
            for row in (f"{_place(campaign_id, name)}:{lead_id(one.address)}",)
        ]
        if not rows:
            return
        try:
            await self._collection.bulk_write(rows, ordered=False)
        except BulkWriteError as error:
            duplicates(error)

    async def lead_ids(self, campaign_id: str, company: str) -> AsyncIterator[list[str]]:
        """Of all who are of this company, some at a time."""
        place = _place(campaign_id, company)
        after = f"{place}:"
        while True:
            query = {"row": {"$gt": after, "$lt": f"{place};"}}
            found = self._collection.find(query).sort("row", 1).limit(_PASS)
            rows = [document["_id"] async for document in found]
            if rows:
                yield [row.rpartition(":")[2] for row in rows]
            if len(rows) < _PASS:
                return
            after = rows[-1]


def _place(campaign_id: str, company: str) -> str:
    return f"{campaign_id}:{company_key(company)}"
