"""Inserting what may be there already."""

from pymongo.errors import BulkWriteError

from postfleet.mongo import Collection, Document, duplicates


async def insert_new(collection: Collection, documents: list[Document]) -> list[Document]:
    """Insert those that are new; return those whose key was taken, which stay as they were."""
    if not documents:
        return []
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        return [documents[index] for index in duplicates(error)]
    return []
