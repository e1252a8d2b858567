"""Hits go to the bus, or to disk; a confirmed one is in one of both."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from secrets import token_hex

import pytest

from postfleet.announcing import Message
from postfleet.outages import Unavailable
from tracker.destinations import Destinations
from tracker.domain.hits import HitKind, Noted, line_of, read_hit, read_hits
from tracker.intake import Intake
from tracker.spool import Spool, SpoolFull


class FakeBus:
    """Confirms what it is given unless told otherwise."""

    def __init__(self) -> None:
        self.connected, self.refuses, self.hangs = True, False, asyncio.Event()
        self.hangs.set()
        self.taken: list[str] = []

    async def put(self, messages: Iterable[Message]) -> dict[str, BaseException | None]:
        given = list(messages)
        await self.hangs.wait()
        if self.refuses:
            return {message.id: TimeoutError() for message in given}
        read = (hit for message in given for hit in read_hits(message.body)[0])
        self.taken.extend(hit.delivery_id for hit in read)
        return {}


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
async def intake(bus: FakeBus, tmp_path: Path) -> AsyncIterator[Intake]:
    taking = Intake(bus.put, lambda: bus.connected, Spool(tmp_path, 1 << 20))
    taking.start()
    yield taking
    await taking.stop()


def _hit(kind: HitKind = HitKind.OPENED) -> Noted:
    """A hit of a delivery of its own: by that it is known again."""
    return {
        "kind": kind,
        "delivery_id": token_hex(16),
        "at_ms": 1,
        "link_id": "",
        "ip": "192.0.2.1",
        "user_agent": "",
        "method": "GET",
        "way": "",
        "headers": {},
    }


def _on_disk(directory: Path) -> list[str]:
    lines = [line for p in sorted(directory.glob("hits-*")) for line in p.read_bytes().splitlines()]
    return [read_hit(line).delivery_id for line in lines]


async def _until(check, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 (what is waited for is on disk)
            await asyncio.sleep(0.01)


async def test_hits_are_published_in_the_order_they_came(intake: Intake, bus: FakeBus) -> None:
    hits = [_hit() for _ in range(1200)]
    for hit in hits:
        intake.note(hit)
    await _until(lambda: len(bus.taken) == len(hits))
    assert bus.taken == [hit["delivery_id"] for hit in hits]


async def test_every_hit_gets_an_id_of_its_own(tmp_path: Path) -> None:
    ids: list[str] = []

    async def put(messages: Iterable[Message]) -> dict[str, BaseException | None]:
        ids.extend(hit.id for message in messages for hit in read_hits(message.body)[0])
        return {}

    told: Counter[str] = Counter()
    spool = Spool(tmp_path, 1 << 20)
    intake = Intake(put, lambda: True, spool, lambda kind, count: told.update({kind: count}))
    same = _hit()
    for _ in range(1100):
        intake.note(same)
    intake.note(_hit(HitKind.CLICKED))
    await intake.stop()
    assert (len(ids), len(set(ids)), {len(id_) for id_ in ids}) == (1101, 1101, {32})
    assert told == {HitKind.OPENED: 1100, HitKind.CLICKED: 1}


async def test_without_a_connection_hits_wait_on_disk(
    intake: Intake, bus: FakeBus, tmp_path: Path
) -> None:
    bus.connected = False
    hit = _hit(HitKind.UNSUBSCRIBED)
    await intake.confirm(hit)
    assert _on_disk(tmp_path) == [hit["delivery_id"]]
    bus.connected = True
    await _until(lambda: bus.taken == [hit["delivery_id"]])
    await _until(lambda: _on_disk(tmp_path) == [])


async def test_what_the_bus_refuses_goes_to_disk_and_is_tried_again(
    intake: Intake, bus: FakeBus, tmp_path: Path
) -> None:
    bus.refuses = True
    await intake.confirm(_hit())
    assert len(_on_disk(tmp_path)) == 1
    bus.refuses = False
    await _until(lambda: len(bus.taken) == 1)
    assert bus.taken


async def test_a_bus_that_hangs_does_not_hold_up_a_confirmation(
    intake: Intake, bus: FakeBus, tmp_path: Path
) -> None:
    bus.hangs.clear()
    first, second = _hit(), _hit()
    async with asyncio.timeout(4):
        await intake.confirm(first)
        await intake.confirm(second)
    assert _on_disk(tmp_path) == [first["delivery_id"], second["delivery_id"]]
    bus.hangs.set()
    await _until(lambda: set(bus.taken) == {first["delivery_id"], second["delivery_id"]})
    assert bus.taken[0] == first["delivery_id"]


async def test_stopping_leaves_nothing_in_memory(bus: FakeBus, tmp_path: Path) -> None:
    intake = Intake(bus.put, lambda: bus.connected, Spool(tmp_path, 1 << 20))
    intake.start()
    bus.connected = False
    hits = [_hit() for _ in range(700)]
    for hit in hits:
        intake.note(hit)
    await intake.stop()
    assert _on_disk(tmp_path) == [hit["delivery_id"] for hit in hits]


async def test_hits_on_disk_survive_a_restart(bus: FakeBus, tmp_path: Path) -> None:
    hit = _hit()
    before = Spool(tmp_path, 1 << 20)
    await before.append([line_of(hit, token_hex(16))], precious=False)
    await before.close()
    intake = Intake(bus.put, lambda: bus.connected, Spool(tmp_path, 1 << 20))
    intake.start()
    await _until(lambda: bus.taken == [hit["delivery_id"]])
    await intake.stop()
    assert _on_disk(tmp_path) == []


async def test_a_torn_line_spoils_no_other_one(bus: FakeBus, tmp_path: Path) -> None:
    whole = _hit()
    line = line_of(whole, token_hex(16))
    torn = line[:20]
    (tmp_path / "hits-1.jsonl").write_bytes(b"nonsense\n" + line + b"\n" + torn)
    intake = Intake(bus.put, lambda: bus.connected, Spool(tmp_path, 1 << 20))
    intake.start()
    await _until(lambda: not list(tmp_path.glob("hits-*")))
    await intake.stop()
    assert bus.taken == [whole["delivery_id"]]


async def test_a_full_spool_keeps_room_for_unsubscribes(bus: FakeBus, tmp_path: Path) -> None:
    bus.connected = False
    size = len(line_of(_hit(), token_hex(16))) + 1
    intake = Intake(bus.put, lambda: bus.connected, Spool(tmp_path, size * 10 + 50))
    intake.start()
    for _ in range(9):
        await intake.confirm(_hit())
    with pytest.raises(Unavailable):
        await intake.confirm(_hit())
    await intake.confirm(_hit(HitKind.UNSUBSCRIBED))
    with pytest.raises(Unavailable):
        await intake.confirm(_hit(HitKind.UNSUBSCRIBED))
    await intake.stop()
    assert len(_on_disk(tmp_path)) == 10


async def test_closing_waits_for_a_cancelled_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, 1 << 20)
    await spool.append([b"line"], precious=False)
    found = await spool.oldest()
    assert found is not None
    began, may_end, unlink = threading.Event(), threading.Event(), Path.unlink

    def slowly(path: Path) -> None:
        began.set()
        may_end.wait(10)
        unlink(path)

    monkeypatch.setattr(Path, "unlink", slowly)
    removing = asyncio.create_task(spool.remove(found[0]))
    await asyncio.to_thread(began.wait, 10)
    removing.cancel()
    await asyncio.wait({removing})
    closing = asyncio.create_task(spool.close())
    await asyncio.sleep(0.05)
    assert not closing.done(), "the thread that removes has the descriptor still"
    may_end.set()
    await closing
    assert _on_disk(tmp_path) == []


async def test_a_segment_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    other, ours = Spool(tmp_path, 1 << 20), Spool(tmp_path, 1 << 20)
    await other.append([b"theirs"], precious=False)
    assert await ours.oldest() is None
    await ours.append([b"ours"], precious=False)
    found = await ours.oldest()
    assert found is not None
    assert found[1] == [b"ours"]
    assert (await other.oldest() or ("", []))[1] == [b"theirs"]


async def test_a_directory_that_is_gone_is_a_full_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "gone", 1 << 20)
    with pytest.raises(SpoolFull, match="No such file"):
        await spool.append([b"{}"], precious=True)


async def test_a_link_in_memory_asks_no_database() -> None:
    async def look_up(link_id: str) -> str | None:
        raise AssertionError(link_id)

    destinations = Destinations(look_up)
    destinations.add({"a": "https://example.com/"})
    assert await destinations.find("a") == "https://example.com/"


async def test_an_unknown_link_asks_the_database_once_for_a_while() -> None:
    asked: list[str] = []

    async def look_up(link_id: str) -> str | None:
        asked.append(link_id)
        return "https://example.com/" if link_id == "late" else None

    destinations = Destinations(look_up)
    assert [await destinations.find("x") for _ in range(5)] == [None] * 5
    assert await destinations.find("late") == "https://example.com/"
    assert await destinations.find("late") == "https://example.com/"
    assert asked == ["x", "late"]


async def test_a_link_that_becomes_known_is_found_at_once() -> None:
    async def look_up(_: str) -> str | None:
        return None

    destinations = Destinations(look_up)
    assert await destinations.find("x") is None
    destinations.add({"x": "https://example.com/"})
    assert await destinations.find("x") == "https://example.com/"


async def test_a_link_that_must_not_be_followed_is_not_known() -> None:
    async def look_up(_: str) -> str | None:
        return "javascript:alert(1)"

    destinations = Destinations(look_up)
    destinations.add({"x": "data:text/html,x"})
    assert await destinations.find("x") is None
