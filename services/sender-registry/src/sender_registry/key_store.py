"""The API keys in MongoDB: the hash of each, never the key."""

from dataclasses import dataclass

from postfleet.api_keys import ApiKey, Scope
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes


@dataclass(frozen=True, slots=True)
class StoredKey:
    """`hint` is the key's last four characters, for people to tell keys apart."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    hint: str
    created_ms: int
    expires_ms: int = 0  # 0: it does not

    @property
    def api_key(self) -> ApiKey:
        return ApiKey(self.id, frozenset(self.scopes))


class KeyStore:
    """The collection `api_keys`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "list_key", unique=("hash",))

    async def insert(self, key: StoredKey, hashed: str) -> None:
        await self._collection.insert_one(
            {
                "_id": key.id,
                "list_key": key.id,  # the embedded server sorts `_id` by reading all
                "hash": hashed,
                "name": key.name,
                "scopes": [scope.value for scope in key.scopes],
                "hint": key.hint,
                "created_at": key.created_ms,
                "expires_at": key.expires_ms,
            }
        )

    async def by_hash(self, hashed: str) -> ApiKey | None:
        """The key, unless it is unknown, revoked or past its time."""
        document = await self._collection.find_one({"hash": hashed})
        key = _key(document) if document else None
        if key is None or 0 < key.expires_ms <= now_ms():
            return None
        return key.api_key

    async def after(self, key_id: str, limit: int) -> list[StoredKey]:
        """Up to `limit` keys whose id follows, in the order of ids."""
        query = {"list_key": {"$gt": key_id}}
        cursor = self._collection.find(query).sort("list_key", 1).limit(limit)
        return [_key(document) async for document in cursor]

    async def delete(self, key_id: str) -> bool:
        result = await self._collection.delete_one({"_id": key_id})
        return bool(result.deleted_count)


def _key(document: Document) -> StoredKey:
    return StoredKey(
        document["_id"],
        document["name"],
        tuple(Scope(scope) for scope in document["scopes"]),
        document["hint"],
        document["created_at"],
        document.get("expires_at", 0),
    )
