"""A failing handler gets an event again with a delay; what cannot be used goes to the dead letters."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from postfleet import retrying
from postfleet.bus import Bus
from postfleet.cloudevents import Received
from postfleet.events.domains import MailboxCreated, MailboxFailed
from postfleet.outages import NotYet
from postfleet.pull import PullLimits
from postfleet.topology import MAX_DELIVERIES
from tests.support.busworld import DURABLE, MODES, BusWorld, listen, mailboxes, until
from tests.support.eventsamples import announcement
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BusWorld]:
    monkeypatch.setattr(retrying, "_RETRY_DELAYS", (0.1, 0.1, 0.1, 0.1))
    async with BusWorld() as running:
        await running.apply()
        yield running


class Log:
    """A handler that remembers, and fails for some addresses."""

    def __init__(self, *poison: str, fails: int = 1000) -> None:
        self.poison, self.fails = set(poison), fails
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.deliveries: defaultdict[str, list[int]] = defaultdict(list)
        self.done: Counter[str] = Counter()

    async def __call__(self, received: Received[Any]) -> None:
        address = received.event.address
        self.times[address].append(time.monotonic())
        self.deliveries[address].append(received.deliveries)
        if address in self.poison and len(self.times[address]) <= self.fails:
            raise ValueError(f"cannot use {address}")
        self.done[address] += 1


def _address(number: int) -> str:
    return f"{number}@one.test"


@pytest.mark.parametrize("mode", MODES)
async def test_every_event_is_handed_over_once_with_what_the_bus_knows(
    mode: str, world: BusWorld
) -> None:
    seen: list[Received[Any]] = []

    async def handler(received: Received[Any]) -> None:
        seen.append(received)

    speaker = await world.service("mail-provisioner")
    said = mailboxes(range(50))
    await speaker.publish(*said)
    await world.listener(mode, handler)
    await world.settle()
    assert {r.id for r in seen} == {a.id for a in said}
    assert len(seen) == 50
    assert {(r.source, r.deliveries) for r in seen} == {("/mail-provisioner", 1)}
    assert {r.sequence for r in seen} == set(range(1, 51))
    assert all(abs(r.stored_at.timestamp() - time.time()) < 60 for r in seen)
    assert all(r.stored_at.tzinfo is not None for r in seen)


async def test_batches_keep_the_order_of_the_stream_and_their_limit(world: BusWorld) -> None:
    sizes, order = [], []

    async def handler(batch: list[Received[Any]]) -> None:
        sizes.append(len(batch))
        order.extend(received.sequence for received in batch)
        await asyncio.sleep(0.01)

    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes(range(300)))
    limits = PullLimits(prefetch=100, batch=20)
    await world.service(register=lambda bus: bus.consume_batches(DURABLE, handler, limits))
    await world.settle()
    assert order == list(range(1, 301))
    assert max(sizes) == 20


@pytest.mark.parametrize("mode", MODES)
async def test_a_failed_event_comes_back_later_and_others_are_unharmed(
    mode: str, world: BusWorld
) -> None:
    log = Log(_address(3), fails=2)
    await world.listener(mode, log)
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes(range(10)))
    await world.settle()
    assert log.done == Counter({_address(number): 1 for number in range(10)}) or mode == MODES[1]
    assert set(log.done) == {_address(number) for number in range(10)}
    assert log.deliveries[_address(3)] == [1, 2, 3]
    gaps = [b - a for a, b in zip(*(log.times[_address(3)][n:] for n in (0, 1)), strict=False)]
    assert all(gap >= 0.05 for gap in gaps), "never at once: the delay is 0.1 s, ±50 %"
    assert await world.messages("DEAD_LETTERS") == []


@pytest.mark.parametrize("mode", MODES)
async def test_an_event_that_comes_too_early_is_no_error_in_the_log(
    mode: str, world: BusWorld, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []

    async def handler(_: Received[Any]) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise NotYet("its row")

    caplog.set_level("INFO", "postfleet.consuming")
    await world.listener(mode, handler)
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes([1]))
    await until(lambda: len(times) == 2)
    told = [record for record in caplog.records if "too early" in record.getMessage()]
    assert [record.levelname for record in told] == ["INFO"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("mode", MODES)
async def test_after_five_deliveries_an_event_goes_to_the_dead_letters_and_never_returns(
    mode: str, world: BusWorld
) -> None:
    log = Log(_address(1))
    await world.listener(mode, log)
    speaker = await world.service("mail-provisioner")
    said = mailboxes(range(3))
    await speaker.publish(*said)
    await world.settle()
    assert log.deliveries[_address(1)] == [1, 2, 3, 4, 5] == list(range(1, MAX_DELIVERIES + 1))
    (dead,) = await world.messages("DEAD_LETTERS")
    assert dead.subject == f"dead.{DURABLE}.mailbox.created.2"
    assert dead.data == said[1].body()
    headers = dead.headers or {}
    original = {k: v for k, v in said[1].headers("mail-provisioner").items() if k != "Nats-Msg-Id"}
    assert original.items() <= headers.items()
    assert headers["x-dead-reason"] == "ValueError: cannot use 1@one.test"
    assert headers["x-dead-durable"] == DURABLE
    assert headers["x-dead-subject"] == "mailbox.created"
    assert headers["x-dead-stream"] == "EVENTS"
    assert headers["x-dead-sequence"] == "2"
    assert headers["x-dead-deliveries"] == "5"
    await asyncio.sleep(0.4)
    assert len(log.times[_address(1)]) == 5
    assert {_address(0), _address(2)} == set(log.done)


async def test_events_are_acked_only_after_what_was_written_is_durable(world: BusWorld) -> None:
    """A flush that fails brings the batch back, as a handler that fails does."""
    handled: Counter[str] = Counter()
    flushes: list[int] = []

    async def handler(batch: list[Received[Any]]) -> None:
        handled.update(received.event.address for received in batch)

    async def flush() -> None:
        flushes.append(await world.unsettled())
        if len(flushes) == 1:
            raise OSError("the disk is away")

    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes(range(5)))
    await world.service(register=lambda bus: bus.consume_batches(DURABLE, handler, flush=flush))
    await world.settle()
    assert flushes[0] == 5
    assert handled == Counter({_address(n): 2 for n in range(5)})


async def test_redelivered_events_are_handed_over_one_by_one(world: BusWorld) -> None:
    """One poison event fails its batch once; from then on it is alone."""
    batches: list[list[str]] = []
    poison = _address(7)

    async def handler(batch: list[Received[Any]]) -> None:
        batches.append([received.event.address for received in batch])
        if poison in batches[-1]:
            raise ValueError("poison")

    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes(range(20)))
    await world.service(register=lambda bus: bus.consume_batches(DURABLE, handler))
    await world.settle()
    assert len(batches[0]) == 20
    assert all(len(batch) == 1 for batch in batches[1:])
    handled = Counter(address for batch in batches[1:] for address in batch)
    assert handled == Counter({_address(n): 1 for n in range(20)}) + Counter({poison: 3})
    (dead,) = await world.messages("DEAD_LETTERS")
    assert dead.data == mailboxes([7])[0].body()


POISON = {
    "not JSON": (b"hello", "Invalid JSON"),
    "empty": (b"", "Invalid JSON"),
    "a missing field": (b'{"occurred_at": "2026-11-21T15:00:00Z"}', "address: Field required"),
    "a wrong type": (mailboxes([1])[0].body().replace(b'"1@one.test"', b"17"), "address: Input"),
    "cut off": (announcement(MailboxFailed).body()[:-1], "Invalid JSON"),
}


@pytest.mark.parametrize("mode", MODES)
async def test_poison_goes_to_the_dead_letters_at_once_and_harms_no_other(
    mode: str, world: BusWorld
) -> None:
    log = Log()
    speaker = await world.service("mail-provisioner")
    for number, (body, _) in enumerate(POISON.values()):
        await speaker.publish(*mailboxes([number]))
        await world.jetstream.publish("mailbox.created", body)
    await world.jetstream.publish("mailbox.lost", b"{}")  # a subject nobody here hears
    started = time.monotonic()
    await world.listener(mode, log)
    await world.settle()
    assert time.monotonic() - started < 3
    dead = {m.data or b"": m.headers or {} for m in await world.messages("DEAD_LETTERS")}
    assert dead.keys() == {body for body, _ in POISON.values()}
    for body, reason in POISON.values():
        assert reason in dead[body]["x-dead-reason"]
        assert dead[body]["x-dead-reason"].startswith("mailbox.created: ")
        assert dead[body]["x-dead-deliveries"] == "1"
    assert log.done == Counter({_address(number): 1 for number in range(len(POISON))})


@pytest.mark.parametrize("mode", MODES)
async def test_two_megabytes_are_a_dead_letter(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "nats.conf"
    config.write_text("max_payload: 4MB\njetstream { sync_interval: always }\n")
    async with BusWorld(config) as world:
        await world.apply()
        log = Log()
        await world.jetstream.publish("mailbox.created", b"{" + b" " * 2_000_000 + b"}")
        speaker = await world.service("mail-provisioner")
        await speaker.publish(*mailboxes([1]))
        await world.listener(mode, log)
        await world.settle()
        (dead,) = await world.messages("DEAD_LETTERS")
        assert "2000002 bytes, more than 1000000" in (dead.headers or {})["x-dead-reason"]
        assert len(dead.data or b"") == 2_000_002
        assert log.done == Counter([_address(1)])


@pytest.mark.parametrize("mode", MODES)
async def test_a_dead_letter_that_would_not_fit_is_cut_and_says_so(
    mode: str, world: BusWorld
) -> None:
    """With the headers we add it is over max_payload: the server would close the connection."""
    log = Log()
    size = world.client.max_payload - 100
    await world.jetstream.publish("mailbox.created", b"x" * size)
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes([1]))
    bus = await world.listener(mode, log)
    await world.settle()
    (dead,) = await world.messages("DEAD_LETTERS")
    headers = dead.headers or {}
    assert headers["x-dead-bytes"] == str(size)
    assert size - 2000 < len(dead.data or b"") < size
    whole = await world.jetstream.get_msg("EVENTS", int(headers["x-dead-sequence"]))
    assert len(whole.data or b"") == size
    assert log.done == Counter([_address(1)])
    assert bus.connected


@pytest.mark.parametrize("mode", MODES)
async def test_strange_headers_neither_hide_an_event_nor_stop_its_burial(
    mode: str, world: BusWorld
) -> None:
    log = Log()
    await world.listener(mode, log)
    said = mailboxes([1])[0]
    strange = {"Status": "409", "Description": "Consumer Deleted", "x": "a, b"}
    if mode == MODES[0]:
        del strange["Status"]  # FastStream's own pull takes such a message for the server's
    await world.jetstream.publish(said.subject, said.body(), headers=strange)
    await world.jetstream.publish(
        said.subject, b"poison", headers={**strange, "Nats-Expected-Stream": "EVENTS"}
    )
    await world.settle()
    assert log.done == Counter([_address(1)])
    (dead,) = await world.messages("DEAD_LETTERS")
    assert dead.data == b"poison"
    assert (dead.headers or {})["Description"] == "Consumer Deleted"


async def test_an_event_whose_type_is_not_its_subject_is_a_dead_letter(world: BusWorld) -> None:
    said = mailboxes([1])[0]
    headers = {**said.headers("mail-provisioner"), "ce-type": "mailbox.deleted"}
    await world.jetstream.publish("mailbox.created", said.body(), headers=headers)
    log = Log()
    await world.listener(MODES[0], log)
    await world.settle()
    (dead,) = await world.messages("DEAD_LETTERS")
    assert "on the subject 'mailbox.created'" in (dead.headers or {})["x-dead-reason"]
    assert not log.done


async def test_a_work_queue_s_message_can_be_buried_by_its_handler(world: BusWorld) -> None:
    bus: Bus

    async def handler(messages: list[Msg]) -> None:
        for message in messages:
            if message.data == b"poison":
                await bus.bury("dispatcher-jobs", message, "no batch\nin here")
            else:
                await message.ack()

    def register(made: Bus) -> None:
        nonlocal bus
        bus = made
        made.consume_messages("dispatcher-jobs", handler)

    await world.jetstream.publish("job.send", b"poison")
    await world.jetstream.publish("job.send", b"good")
    await world.service("dispatcher", register)
    await until(lambda: _empty(world))
    (dead,) = await world.messages("DEAD_LETTERS")
    assert dead.subject == "dead.dispatcher-jobs.job.send.1"
    assert (dead.headers or {})["x-dead-reason"] == "no batch in here"


async def _empty(world: BusWorld) -> bool:
    return (await world.jetstream.stream_info("JOBS")).state.messages == 0


@pytest.mark.parametrize("deliveries", range(1, 6))
def test_retry_delays_grow_and_are_spread(deliveries: int) -> None:
    base = (1.0, 5.0, 30.0, 120.0, 120.0)[deliveries - 1]
    delays = [retrying.retry_delay(deliveries) for _ in range(500)]
    assert base * 0.5 <= min(delays) < base * 0.6
    assert base * 1.4 < max(delays) <= base * 1.5


async def test_a_service_hears_its_own_durables_only() -> None:
    bus = Bus("nats://127.0.0.1:1", "tracker")
    with pytest.raises(ValueError, match="belongs to sender-registry, not to tracker"):
        listen(bus, MODES[1], Log())
    with pytest.raises(KeyError, match="no durable 'nothing'; there are sender-registry-outcomes"):
        bus.consume_batches("nothing", Log())  # type: ignore[arg-type]


async def test_reactions_must_be_the_subjects_of_the_durable() -> None:
    bus = Bus("nats://127.0.0.1:1", "sender-registry")
    with pytest.raises(ValueError, match=r"declared and handled differ: .*mailbox\.failed"):
        bus.consume(DURABLE, {MailboxCreated: Log()})
