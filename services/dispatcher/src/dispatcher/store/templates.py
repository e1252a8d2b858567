"""Templates: the newest version of each, and beside it the older ones, which never change."""

from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from dispatcher.domain.message_templates import MessageTemplate, Texts
from postfleet.mongo import Collection, Document, ensure_indexes

_VERSIONS = 1000  # of a template that are listed


class Templates:
    def __init__(self, newest: Collection, older: Collection) -> None:
        self._newest, self._older = newest, older

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._newest, "key")
        await ensure_indexes(self._older, "template_id")

    async def insert(self, made: MessageTemplate) -> bool:
        """False if the id is taken."""
        try:
            await self._newest.insert_one({"_id": made.id, "key": made.id, **_fields(made)})
        except DuplicateKeyError:
            return False
        return True

    async def get(self, id_: str, version: int | None = None) -> MessageTemplate | None:
        """The newest version, or the one that is asked for."""
        document = await self._newest.find_one({"_id": id_})
        if document is None or version in (None, document["version"]):
            return _template(id_, document) if document else None
        older = await self._older.find_one({"_id": f"{id_}:{version}"})
        return _template(id_, older) if older else None

    async def page(self, after: str | None, limit: int) -> list[MessageTemplate]:
        query: Document = {"key": {"$gt": after or ""}}
        found = self._newest.find(query).sort("key", 1).limit(limit)
        return [_template(document["_id"], document) async for document in found]

    async def versions(self, newest: MessageTemplate) -> list[MessageTemplate]:
        """All versions, the newest first."""
        found = self._older.find({"template_id": newest.id}).limit(_VERSIONS)
        older = [_template(newest.id, document) async for document in found]
        older = [one for one in older if one.version < newest.version]
        return [newest, *sorted(older, key=lambda one: -one.version)]

    async def change(self, before: MessageTemplate, after: MessageTemplate) -> bool:
        """Compare-and-set on the version; False if somebody was faster. The old one is kept first."""
        kept = {"template_id": before.id, **_fields(before)}
        await self._older.update_one({"_id": before.label}, {"$set": kept}, upsert=True)
        guard = {"_id": before.id, "version": before.version}
        result = await self._newest.update_one(guard, {"$set": _fields(after)})
        return bool(result.matched_count)

    async def delete(self, id_: str) -> bool:
        """All of its versions."""
        await self._older.delete_many({"template_id": id_})
        return bool((await self._newest.delete_one({"_id": id_})).deleted_count)


def _fields(one: MessageTemplate) -> Document:
    return {
        "name": one.name,
        "version": one.version,
        "subject": one.texts.subject,
        "text": one.texts.text,
        "html": one.texts.html,
        "created_at": one.created_at,
        "at": one.at,
    }


def _template(id_: str, document: Mapping[str, Any]) -> MessageTemplate:
    return MessageTemplate(
        id=id_,
        name=document["name"],
        texts=Texts(document["subject"], document["text"], document["html"]),
        version=document["version"],
        created_at=document["created_at"],
        at=document["at"],
    )
