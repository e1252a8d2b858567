"""`POST /ledger/announce`: the settlements of a period, under the ids that their events had."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from mongomock_motor import AsyncMongoMockClient

from dispatcher.announcer import Announcer
from dispatcher.api.ledger import build_ledger
from dispatcher.domain.ledger import Batch, Item, Origin, Settled, announcements
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.settlements import Settlement, Settlements, settlement
from postfleet.api_keys import ApiKey, Authenticator, Scope
from postfleet.cloudevents import Announcement
from postfleet.http import create_app
from postfleet.instants import from_ms

ORIGIN = Origin("spring", 0, "A", "s1", "campaign")
FIRST = 1_780_000_000_000
ADMIN, READER = "the-key-of-an-administrator", "the-key-of-a-reader"


class _Bus:
    """Notes what is published, and confirms it unless it is told not to."""

    service = "dispatcher"

    def __init__(self) -> None:
        self.said: list[Announcement] = []
        self.away = False

    async def publish_each(self, announcements: Iterable[Announcement]) -> dict[str, Any]:
        events = list(announcements)
        if self.away:
            return {event.id: TimeoutError("no PubAck") for event in events}
        self.said += events
        return {}


@pytest.fixture
async def settlements(database: Any) -> Settlements:
    store = Settlements(database.settlements)
    await store.ensure_indexes()
    return store


async def _write(store: Settlements, database: Any, times: Iterable[int]) -> list[Settlement]:
    """One settlement with one accepted delivery at each of these milliseconds after FIRST."""
    made = []
    for number, at in enumerate(times):
        item = Item(f"d{number:04}", f"l{number}", f"{number}@x.test")
        batch = Batch(f"b{number:04}", ORIGIN, (item,), FIRST)
        accepted = Settled(item, Outcome.ACCEPTED, FIRST, message_id="<m@x.test>", reply_code=250)
        made.append(settlement(batch, [accepted]))
        await store.insert(made[-1:])
        await database.settlements.update_one(
            {"_id": made[-1].id}, {"$set": {"at": FIRST + at, "state": "announced"}}
        )
    return made


@pytest.fixture
def bus() -> _Bus:
    return _Bus()


@pytest.fixture
async def http(settlements: Settlements, database: Any, bus: _Bus) -> AsyncIterator[AsyncClient]:
    async def lookup(key_hash: str) -> ApiKey | None:
        known = sha256(READER.encode()).hexdigest()
        return ApiKey("reader", frozenset({Scope.READ})) if key_hash == known else None

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    announcer = Announcer(settlements, Deliveries(database.deliveries), bus)  # type: ignore[arg-type]
    app = create_app(
        "dispatcher",
        authenticator=Authenticator(ADMIN, lookup),
        checks={},
        routers=[build_ledger(settlements, announcer)],
        idempotency=AsyncMongoMockClient()["x"].idempotency,
        lifespan=lifespan,
    )
    async with AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        yield client


async def _announce(http: AsyncClient, key: str = ADMIN, **body: Any) -> Response:
    path = "/api/public/v1/ledger/announce"
    return await http.post(path, json=body, headers={"X-API-Key": key})


def _iso(at: int) -> str:
    return from_ms(FIRST + at).isoformat()


async def _all(http: AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """The answers of all calls that a period takes."""
    answers = [(await _announce(http, **body)).json()]
    while cursor := answers[-1]["next_cursor"]:
        answers.append((await _announce(http, **body, cursor=cursor)).json())
    return answers


async def test_a_period_is_said_again_in_its_order_under_the_old_ids(
    http: AsyncClient, settlements: Settlements, database: Any, bus: _Bus
) -> None:
    made = await _write(settlements, database, [0, 1000, 2000, 3000])
    (answer,) = await _all(http, since=_iso(1000), until=_iso(3000))
    assert answer == {"settlements": 2, "events": 2, "next_cursor": None}
    expected = [a for s in made[1:3] for a in announcements(s.origin, s.settled[0])]
    assert [(e.subject, e.id) for e in bus.said] == [(e.subject, e.id) for e in expected]
    await _all(http, since=_iso(1000), until=_iso(3000))
    assert bus.said[2:] == bus.said[:2], "as often as one likes"


async def test_a_long_period_takes_several_calls_and_leaves_none_out(
    http: AsyncClient, settlements: Settlements, database: Any, bus: _Bus
) -> None:
    made = await _write(settlements, database, [n // 150 for n in range(450)])  # 150 at once
    answers = await _all(http, since=_iso(0))
    assert [answer["settlements"] for answer in answers] == [200, 200, 50]
    expected = {a.id for s in made for a in announcements(s.origin, s.settled[0])}
    assert len(bus.said) == 450
    assert {event.id for event in bus.said} == expected


async def test_a_bus_that_is_away_is_a_503_and_the_call_may_be_repeated(
    http: AsyncClient, settlements: Settlements, database: Any, bus: _Bus
) -> None:
    await _write(settlements, database, [0])
    bus.away = True
    assert (await _announce(http, since=_iso(0))).status_code == 503
    bus.away = False
    assert (await _announce(http, since=_iso(0))).json()["events"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "since", id="no period"),
        pytest.param({"since": "yesterday"}, "since", id="no time"),
        pytest.param({"since": "2026-01-01T00:00:00"}, "since", id="no zone"),
        pytest.param({"since": _iso(5), "until": _iso(5)}, "body", id="an empty period"),
        pytest.param({"since": _iso(0), "cursor": "YWJj"}, "cursor", id="a cursor of others"),
        pytest.param({"since": _iso(0), "limit": 1}, "limit", id="an unknown field"),
    ],
)
async def test_a_period_that_is_none_is_refused(
    http: AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await _announce(http, **body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_only_an_administrator_may(http: AsyncClient, bus: _Bus) -> None:
    assert (await _announce(http, READER, since=_iso(0))).status_code == 403
    assert bus.said == []
