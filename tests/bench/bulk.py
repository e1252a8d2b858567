"""Very many documents, quickly: into an embedded server's own files while it rests.

Over the wire a million takes minutes; nobody measures that here. A real MongoDB gets them by inserts.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

import orjson
from pymongo import MongoClient

from postfleet.mongo import Document
from tests.support.mongo import MongoServer

_CHUNK = 10_000


def load(
    server: MongoServer, database: str, collection: str, documents: Iterable[Document]
) -> None:
    """Add documents, whose `_id` is text, to a collection that may be new; indexes come later."""
    left = iter(documents)
    with MongoClient[Document](server.url) as client:
        into = client[database][collection]
        into.insert_many(list(islice(left, 1)))  # makes the collection
        if not server.embedded:
            while chunk := list(islice(left, _CHUNK)):
                into.insert_many(chunk, ordered=False)
            return
    server.kill()
    with closing(sqlite3.connect(server.files / f"{database}.db")) as file, file:
        file.executemany(f'INSERT INTO "{collection}" (_id, data) VALUES (?, ?)', _rows(left))
    server.start()


def _rows(documents: Iterable[Document]) -> Iterator[tuple[str, str]]:
    for document in documents:
        yield document["_id"], orjson.dumps(document).decode()
