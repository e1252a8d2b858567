"""The embedded database with our plain statements answers and stores what it does without them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from bson import decode, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nx_27017.handler import NeoSQLiteHandler  # type: ignore[import-untyped]

from postfleet_cli.plain_statements import served

Document = dict[str, Any]
_RELAXED = {"w": 1, "j": False}
_DURABLE = {"w": 1, "j": True}


class Database:
    """A handler with the collection `rows`, asked as the driver asks: everything goes through BSON."""

    def __init__(self, folder: Path | str = "memory", *, plain: bool = True) -> None:
        self.handler = NeoSQLiteHandler(data_dir=str(folder))
        insert, command = NeoSQLiteHandler.handle_insert, NeoSQLiteHandler.handle_command
        self._insert = served(insert) if plain else insert
        self._command = served(command) if plain else command
        self.ask({"create": "rows"})
        index = {"key": {"state": 1}, "name": "state_1"}
        unique = {"key": {"only": 1}, "name": "only_1", "unique": True, "sparse": True}
        self.ask({"createIndexes": "rows", "indexes": [index, unique]})

    @property
    def sqlite(self) -> Any:
        return self.handler.get_database("d").db

    def ask(self, body: Document, **rows: list[Document]) -> Document:
        sections: list[tuple[str, Any]] = [("body", decode(encode({**body, "$db": "d"})))]
        sections += [("payload", decode(encode({k: v}))) for k, v in rows.items()]
        serve = self._insert if "insert" in body else self._command
        answer: Document = serve(self.handler, {"request_id": 1, "sections": sections})[1]
        return answer

    def insert(self, *rows: Document, ordered: bool = False, concern: Any = None) -> Document:
        body = {"insert": "rows", "ordered": ordered, "writeConcern": concern or _RELAXED}
        return self.ask(body, documents=list(rows))

    def update(self, *rows: Document) -> Document:
        body = {"update": "rows", "ordered": False, "writeConcern": _RELAXED}
        return self.ask(body, updates=list(rows))

    def find(self, query: Document, **more: Any) -> list[Document]:
        answer = self.ask({"find": "rows", "filter": query, **more})
        return list(answer["cursor"]["firstBatch"])

    def clear(self) -> None:
        self.ask({"delete": "rows"}, deletes=[{"q": {}, "limit": 0}])

    def everything(self) -> list[Document]:
        return self.find({}, sort={"_id": 1})


@pytest.fixture(scope="module")
def pair() -> tuple[Database, Database]:
    return Database(), Database(plain=False)


_IDS = st.sampled_from(["a", "b", "c", "12", "0007", "é:1"])
_NAMES = st.sampled_from(["state", "n", "only", "other"])
_VALUES = st.one_of(
    st.sampled_from(["", "ready", "Ünï 🚀", 'a"b', "\u0000x", "{}", "7"]),
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 3), max_size=2),
)
_SET = st.one_of(st.sampled_from(["ready", "done", ""]), st.integers(0, 2**40))
_ROWS = st.builds(
    lambda id_, values: {"_id": id_, **values},
    _IDS,
    st.dictionaries(_NAMES.filter(lambda name: name != "only"), _VALUES, max_size=3),
)
_GUARDS = st.one_of(
    st.dictionaries(_NAMES, _SET, max_size=2),
    st.just({"n": {"$lte": 3}}),
    st.just({"state": {"$in": ["ready", "done"]}}),
)
_UPDATES = st.builds(
    lambda ids, guard, fields: {
        "q": {"_id": ids[0] if len(ids) == 1 else {"$in": ids}, **guard},
        "u": fields,
        "multi": len(ids) > 1,
        "upsert": False,
    },
    st.lists(_IDS, min_size=1, max_size=3, unique=True),
    _GUARDS,
    st.one_of(
        st.builds(lambda new: {"$set": new}, st.dictionaries(_NAMES, _SET, min_size=1, max_size=2)),
        st.just({"$inc": {"counted": 1}}),
        st.just({"$set": {"deep.er": 1}}),
        st.just({"$unset": {"n": ""}}),
    ),
)
_STATEMENTS = st.one_of(
    st.tuples(st.just("insert"), st.lists(_ROWS, min_size=1, max_size=4)),
    st.tuples(st.just("update"), st.lists(_UPDATES, min_size=1, max_size=3)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(statements=st.lists(_STATEMENTS, max_size=8))
def test_whatever_is_asked_is_answered_and_stored_as_by_the_servers_own_code(
    pair: tuple[Database, Database], statements: list[tuple[str, list[Document]]]
) -> None:
    plain, own = pair
    plain.clear()
    own.clear()
    for name, rows in statements:
        answers = [getattr(one, name)(*rows) for one in (plain, own)]
        shown = [{k: a.get(k) for k in ("ok", "n", "nModified")} for a in answers]
        errors = [[(e["index"], e["code"]) for e in a.get("writeErrors", ())] for a in answers]
        assert (shown[0], errors[0]) == (shown[1], errors[1])
    assert plain.everything() == own.everything()
    wanted = {"_id": {"$in": ["é:1", "a", "12", "0007", "nobody"]}}
    found = [sorted(one.find(wanted), key=lambda row: str(row["_id"])) for one in (plain, own)]
    assert found[0] == found[1]


def test_a_statement_is_one_transaction() -> None:
    database = Database()
    traced: list[str] = []
    database.sqlite.set_trace_callback(traced.append)
    database.insert(*({"_id": str(n), "state": "new"} for n in range(50)))
    database.update(
        {"q": {"_id": {"$in": ["1", "2"]}}, "u": {"$set": {"state": "done"}}, "multi": True},
        {"q": {"_id": "3"}, "u": {"$inc": {"n": 1}}},  # not plain: all of it is begun again
    )
    ends = [one for one in traced if one in ("COMMIT", "ROLLBACK")]
    assert ends == ["COMMIT", "ROLLBACK", "COMMIT"]
    assert not database.sqlite.in_transaction


def test_what_is_not_inserted_because_it_is_there_hinders_nothing_else() -> None:
    database = Database()
    database.insert({"_id": "b", "state": "first"})
    answer = database.insert({"_id": "a"}, {"_id": "b", "state": "second"}, {"_id": "c"})
    assert answer["n"] == 2
    assert [(one["index"], one["code"]) for one in answer["writeErrors"]] == [(1, 11000)]
    assert [row["_id"] for row in database.everything()] == ["a", "b", "c"]
    assert database.find({"_id": "b"}) == [{"_id": "b", "state": "first"}]


def test_an_update_that_breaks_a_unique_key_is_told_and_undone() -> None:
    database = Database()
    database.insert({"_id": "a", "only": "x"}, {"_id": "b", "only": "y"})
    answer = database.update({"q": {"_id": "b"}, "u": {"$set": {"only": "x"}}})
    assert answer["writeErrors"]
    assert database.find({"_id": "b"}) == [{"_id": "b", "only": "y"}]


def test_of_a_statement_that_does_not_fit_on_the_disk_nothing_is_stored() -> None:
    database = Database()
    database.insert({"_id": "before", "state": "new"})
    pages = database.sqlite.execute("PRAGMA page_count").fetchone()[0]
    database.sqlite.execute(f"PRAGMA max_page_count = {pages + 2}")
    rows = [{"_id": str(n), "text": "x" * 3000} for n in range(20)]
    with pytest.raises(sqlite3.Error, match="full"):  # the driver raises what it is answered
        database.insert(*rows)
    database.sqlite.execute("PRAGMA max_page_count = 1000000")
    assert [row["_id"] for row in database.everything()] == ["before"]
    assert database.insert({"_id": "after"})["n"] == 1


@pytest.mark.parametrize(("concern", "waits"), [(_DURABLE, 2), (_RELAXED, 1)])
def test_only_what_must_be_on_the_disk_waits_for_it(
    tmp_path: Path, concern: Document, waits: int
) -> None:
    database = Database(tmp_path)
    database.insert({"_id": "a"}, concern=concern)
    assert database.sqlite.execute("PRAGMA synchronous").fetchone()[0] == waits


def test_find_by_ids_keeps_to_its_limit() -> None:
    database = Database()
    database.insert(*({"_id": str(n)} for n in range(5)))
    query = {"_id": {"$in": [str(n) for n in range(5)]}}
    assert len(database.find(query, limit=3)) == 3
    assert len(database.find(query)) == 5
    assert database.ask({"find": "never", "filter": query})["cursor"]["firstBatch"] == []


@pytest.mark.parametrize(
    "row",
    [
        {"q": {"_id": "a"}, "u": [{"$set": {"state": "done"}}]},
        {"q": {"_id": {"$in": ["a", {"x": 1}]}}, "u": {"$set": {"state": "done"}}, "multi": True},
        {"q": {"_id": {"$in": "a"}}, "u": {"$set": {"state": "done"}}, "multi": True},
    ],
)
def test_what_is_not_plain_at_all_ends_as_it_does_with_the_servers_own_code(row: Document) -> None:
    ends = []
    for database in (Database(), Database(plain=False)):
        database.insert({"_id": "a", "state": "new"})
        try:
            answer = database.update(row)
            end: Any = {name: answer.get(name) for name in ("ok", "n", "nModified")}
        except Exception as error:
            end = (type(error), str(error))
        ends.append((end, database.everything()))
    assert ends[0] == ends[1]
