"""The statements that services send most, done by the embedded database in one transaction each.

It commits every row of a statement by itself and walks through every value of a document several
times in Python. An insert or update here is one SQLite transaction, as on any other server: all of
it or nothing. And what is plain (ids are text, nothing but equality on names without dots, `$set` of
texts and whole numbers) goes to SQLite directly: a row inserted costs a third, one updated a quarter.
Whatever is not plain, or fails, is done again by the server's own code, which also words the errors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from bson.int64 import Int64
from neosqlite._sqlite import sqlite3  # type: ignore[import-untyped]
from nx_27017.handler import NeoSQLiteHandler  # type: ignore[import-untyped]

Document = dict[str, Any]
Answer = tuple[int, Document]
Served = Callable[[Any, Document], Answer]

_NOT_JSON = ("$date", "__neosqlite")  # how other types are written in what is stored
_KINDS = (str, int, Int64)  # not bool: as text it would be another value
_MOST_FOUND = 4_000_000  # characters in one answer; a message has 48 MB at most
_FIND = {"find", "filter", "limit", "singleBatch", "lsid", "$db", "$clusterTime"}


class NotPlain(Exception):
    """The server's own code must do it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A command with its rows, wherever in the message they were."""

    name: str
    database: str
    collection: str
    body: Mapping[str, Any]
    rows: Sequence[Document]


def install() -> None:
    """From now on the server does what is plain this way."""
    NeoSQLiteHandler.handle_insert = served(NeoSQLiteHandler.handle_insert)
    NeoSQLiteHandler.handle_command = served(NeoSQLiteHandler.handle_command)


def served(original: Served) -> Served:
    def serve(handler: Any, message: Document) -> Answer:
        statement = _statement(message)
        if statement is None or handler._is_gridfs_collection(statement.collection):
            return original(handler, message)
        with handler._lock_for(statement.database):
            return _serve(handler, message, statement, original)

    return serve


def _serve(handler: Any, message: Document, statement: Statement, original: Served) -> Answer:
    connection = handler.get_database(statement.database)
    sqlite = connection.db
    if sqlite.in_transaction:  # one that a client has begun
        return original(handler, message)
    # Before the transaction: within one, SQLite changes nothing about when it waits for the disk.
    concern = statement.body.get("writeConcern")
    handler._apply_write_concern(connection, statement.database, concern)
    try:
        with _transaction(sqlite):
            return message["request_id"], _PLAIN[statement.name](statement, sqlite)
    except (NotPlain, sqlite3.IntegrityError):
        pass
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # a full disk, for one
            raise
    if statement.name == "find":
        return original(handler, message)
    with _transaction(sqlite):
        return original(handler, message)


@contextmanager
def _transaction(sqlite: Any) -> Iterator[None]:
    sqlite.execute("BEGIN")
    try:
        yield
        sqlite.execute("COMMIT")  # fails if a full disk has ended the transaction before
    except BaseException:
        if sqlite.in_transaction:
            sqlite.execute("ROLLBACK")
        raise


def _statement(message: Document) -> Statement | None:
    """What the message says; None if it is nothing that is treated here."""
    body: Document = next((doc for kind, doc in message["sections"] if kind == "body"), {})
    name = next(iter(body), "")
    if name not in _PLAIN or not isinstance(body[name], str) or "$db" not in body:
        return None
    rows = list(body.get(_ROWS.get(name, ""), ()))
    for kind, doc in message["sections"]:
        if kind == "payload_docs":
            rows.extend(doc)
        elif kind == "payload":
            rows.extend(doc.get(_ROWS.get(name, ""), ()))
    return Statement(name, body["$db"], body[name], body, rows)


# -- insert ---------------------------------------------------------------------------------------


def _inserted(statement: Statement, sqlite: Any) -> Document:
    rows = [(_text(row), row["_id"]) for row in statement.rows if _has_plain_id(row)]
    if not rows or len(rows) != len(statement.rows):
        raise NotPlain
    sqlite.executemany(f"INSERT INTO {_table(statement)}(data, _id) VALUES (?, ?)", rows)  # noqa: S608
    return {"ok": 1, "n": len(rows)}


def _has_plain_id(row: Document) -> bool:
    return type(row.get("_id")) is str


def _text(document: Document) -> str:
    if _has_floats(document.values()):
        raise NotPlain  # not every one of them is JSON
    try:
        return orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError as error:
        raise NotPlain from error


def _has_floats(values: Iterable[Any]) -> bool:
    for value in values:
        if type(value) is float:
            return True
        if type(value) in (dict, list) and _has_floats(
            value.values() if type(value) is dict else value
        ):
            return True
    return False


# -- update ---------------------------------------------------------------------------------------


def _updated(statement: Statement, sqlite: Any) -> Document:
    matched = modified = 0
    for row in statement.rows:
        ids, guard, fields = _plain_update(row)
        for id_ in ids:
            stored = _stored(statement, sqlite, id_)
            if stored is None or not _meets(document := _document(stored, id_), guard):
                continue
            matched += 1
            if any(document.get(name) != value for name, value in fields.items()):
                modified += 1
                change = f"UPDATE {_table(statement)} SET data = ? WHERE _id = ?"  # noqa: S608
                sqlite.execute(change, (_text(document | fields), id_))
    return {"ok": 1, "n": matched, "nModified": modified}


def _plain_update(row: Document) -> tuple[Sequence[str], Document, Document]:
    """Ids, what else is asked of the documents, and what is set."""
    if not isinstance(row["u"], dict):  # a pipeline
        raise NotPlain
    guard, fields = dict(row["q"]), row["u"].get("$set")
    ids = _ids(guard.pop("_id", None))
    several = bool(row.get("multi")) or len(ids) == 1
    plain_row = row.keys() <= {"q", "u", "multi", "upsert"} and not row.get("upsert")
    if not (several and plain_row and list(row["u"]) == ["$set"] and fields):
        raise NotPlain
    if not all(_is_plain(name, value) for name, value in fields.items()) or "_id" in fields:
        raise NotPlain
    return ids, guard, fields


def _ids(asked: Any) -> Sequence[str]:
    several = isinstance(asked, dict) and list(asked) == ["$in"]
    ids = asked["$in"] if several else [asked]
    if not (isinstance(ids, list) and all(type(id_) is str for id_ in ids)):
        raise NotPlain
    return list(dict.fromkeys(ids))


def _is_plain(name: str, value: Any) -> bool:
    return type(value) in _KINDS and "." not in name and not name.startswith("$")


def _meets(document: Document, guard: Mapping[str, Any]) -> bool:
    for name, wanted in guard.items():
        one_of = wanted["$in"] if isinstance(wanted, dict) and list(wanted) == ["$in"] else [wanted]
        if not all(_is_plain(name, one) for one in one_of):
            raise NotPlain
        value = document.get(name)
        if isinstance(value, (list, dict, float)):
            raise NotPlain
        if type(value) not in _KINDS or not any(value == one for one in one_of):
            return False
    return True


# -- find -----------------------------------------------------------------------------------------


def _found(statement: Statement, sqlite: Any) -> Document:
    body, query = statement.body, statement.body.get("filter", {})
    if not body.keys() <= _FIND or list(query) != ["_id"]:
        raise NotPlain
    limit = abs(int(body.get("limit", 0))) or None
    found, size = [], 0
    for id_ in _ids(query["_id"]):
        text = _stored(statement, sqlite, id_)
        if text is not None:
            found.append(_document(text, id_))
            size += len(text)
        if len(found) == limit:
            break
    if size > _MOST_FOUND:
        raise NotPlain
    namespace = f"{statement.database}.{statement.collection}"
    return {"ok": 1, "cursor": {"id": 0, "ns": namespace, "firstBatch": found}}


# -- what is stored -------------------------------------------------------------------------------


def _stored(statement: Statement, sqlite: Any, id_: str) -> str | None:
    query = f"SELECT json(data) FROM {_table(statement)} WHERE _id = ?"  # noqa: S608
    row = sqlite.execute(query, (id_,)).fetchone()
    return row[0] if row else None


def _document(text: str, id_: str) -> Document:
    if any(sign in text for sign in _NOT_JSON):
        raise NotPlain
    document: Document = orjson.loads(text)
    if document.get("_id") != id_:
        raise NotPlain
    return document


def _table(statement: Statement) -> str:
    return '"' + statement.collection.replace('"', '""') + '"'


_ROWS = {"insert": "documents", "update": "updates"}
_PLAIN: dict[str, Callable[[Statement, Any], Document]] = {
    "insert": _inserted,
    "update": _updated,
    "find": _found,
}
