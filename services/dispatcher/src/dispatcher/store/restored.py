"""The note that `postfleet restore` leaves: mails may have left that this ledger does not know of."""

from postfleet.mongo import Collection

_ID, _ASKED = "hold", "asked"


class Restored:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def asked(self) -> str | None:
        """When the backup was made, if what it says must not be sent yet."""
        note = await self._collection.find_one({"_id": _ID, "state": _ASKED})
        return str(note.get("backup_at", "")) if note else None

    async def done(self) -> None:
        """All is held."""
        await self._collection.update_one({"_id": _ID}, {"$set": {"state": "held"}})
