"""Keys that outlive a rotation of MASTER_KEY: made once, kept sealed, sealed again by the newest."""

import secrets

from pymongo.errors import DuplicateKeyError

from postfleet.mongo import Collection
from postfleet.secrets import KeyRing

_SERVICE = "dispatcher"
_FIELD = "key"


async def secret_key(collection: Collection, ring: KeyRing, name: str) -> bytes:
    """The key of this name, 32 bytes; the first one who asks makes it. Raises CannotOpen."""
    sealed = ring.seal(secrets.token_hex(32), service=_SERVICE, record=name, name=_FIELD)
    try:
        await collection.insert_one({"_id": name, "sealed": sealed})
    except DuplicateKeyError:
        known = await collection.find_one({"_id": name})
        sealed = ring.rewrap(known["sealed"], service=_SERVICE, record=name, name=_FIELD)
        if sealed != known["sealed"]:
            guard = {"_id": name, "sealed": known["sealed"]}
            await collection.update_one(guard, {"$set": {"sealed": sealed}})
    return bytes.fromhex(ring.open(sealed, service=_SERVICE, record=name, name=_FIELD))
