"""MongoDB: test mails that were sent, and what came back."""

from collections.abc import Mapping

from mail_provisioner.domain.mail_tests import MailTest, Outcome, Result
from postfleet.mongo import Collection, Document


def _test(document: Document) -> MailTest:
    results = {
        entry["to"]: Result(Outcome(entry["outcome"]), entry["detail"])
        for _, entry in sorted(document["results"].items())
    }
    return MailTest(
        id=document["_id"],
        domain=document["domain"],
        author=document["author"],
        message_id=document["message_id"],
        sent_at=document["sent_at"],
        results=results,
    )


class MailTestStore:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def add(self, test: MailTest) -> None:
        entries = {  # a map whose keys hold no dot
            f"r{number:02}": {"to": to, "outcome": result.outcome.value, "detail": result.detail}
            for number, (to, result) in enumerate(test.results.items())
        }
        await self._collection.insert_one(
            {
                "_id": test.id,
                "domain": test.domain,
                "author": test.author,
                "message_id": test.message_id,
                "sent_at": test.sent_at,
                "results": entries,
            }
        )

    async def get(self, id_: str) -> MailTest | None:
        document = await self._collection.find_one({"_id": id_})
        return _test(document) if document else None

    async def enter(self, id_: str, found: Mapping[str, Result]) -> None:
        """What is known by now about some of the recipients."""
        document = await self._collection.find_one({"_id": id_})
        changes: Document = {}
        for key, entry in (document or {"results": {}})["results"].items():
            if result := found.get(entry["to"]):
                changes[f"results.{key}.outcome"] = result.outcome.value
                changes[f"results.{key}.detail"] = result.detail
        if changes:
            await self._collection.update_one({"_id": id_}, {"$set": changes})
