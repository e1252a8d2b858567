"""Inserting what may be there already."""

from pymongo.errors import BulkWriteError

from postfleet.mongo import Collection, Document

_DUPLICATE = 11000


async def insert_new(collection: Collection, documents: list[Document]) -> list[Document]:
    """Insert those that are new; return those whose key was taken, which stay as they were."""
    if not documents:
        return []
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        problems = error.details.get("writeErrors", []) if error.details else []
        if not problems or any(problem.get("code") != _DUPLICATE for problem in problems):
            raise
        return [documents[problem["index"]] for problem in problems]
    return []
