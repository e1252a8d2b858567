"""A dispatcher whose every write waits for permission: tests choose the order, failures and ends.

The dispatcher's own planner, worker, recovery and announcer run on mongomock. A *life* is one
process: it has its own objects and stops for ever when it is never stepped again.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest
from mongomock_motor import AsyncMongoMockClient
from pymongo.errors import AutoReconnect

from dispatcher import announcer, delivery
from dispatcher.announcer import Announcer
from dispatcher.brakes import Brakes
from dispatcher.catalogue import Catalogue
from dispatcher.credentials import Credentials
from dispatcher.delivery import Sending, SendingOptions
from dispatcher.domain.breaker import BreakerRules
from dispatcher.domain.campaigns import Campaign, CampaignState, Step, Variant
from dispatcher.domain.leads_csv import LeadRow
from dispatcher.domain.outcomes import Phase
from dispatcher.domain.pacing import PaceRules
from dispatcher.domain.retries import RetryRules
from dispatcher.doubt import Doubt
from dispatcher.evidence import Evidence
from dispatcher.feed import CannotConnect, Feed
from dispatcher.gate import Gate
from dispatcher.mail_gate import MailGate
from dispatcher.planner import Planner, PlannerOptions, Stores
from dispatcher.pool import Claimer, SenderPool
from dispatcher.recovery import Recovery
from dispatcher.store.attachments import Attachments
from dispatcher.store.attempts import Attempts
from dispatcher.store.batches import Batches, batch_of
from dispatcher.store.breakers import Breakers
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.leads import Leads
from dispatcher.store.messages import Messages
from dispatcher.store.paces import Paces
from dispatcher.store.pauses import Pauses
from dispatcher.store.quotas import Quotas
from dispatcher.store.senders import Senders
from dispatcher.store.settlements import Settlements
from dispatcher.store.suppressions import Suppressions
from dispatcher.store.turns import Turns
from dispatcher.transport import Mail, NotOurs, Refused, Result, Timeouts
from dispatcher.worker import Worker, WorkerLimits
from postfleet.announcing import Message
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.senders import SenderSnapshot
from postfleet.outages import NotConfirmed
from postfleet.secrets import KeyRing
from postfleet.smtp import OutcomeUnknown, SmtpReply, TransientFailure
from postfleet.tls import client_context
from postfleet.tokens import TokenKeys
from tests.unit.dispatcher.test_planning import sender

KEYS = TokenKeys(KeyRing.parse("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="))
LEASE_MS = 30_000
UNKNOWN_AFTER_MS = 24 * 3600 * 1000
_PAUSES = {
    delivery: ("_RETRY_SECONDS", "_JOURNAL_REST"),
    announcer: ("_RETRY_SECONDS", "_WRITE_REST", "_ANNOUNCE_REST"),
}
_WRITES = ("insert_one", "insert_many", "update_one", "update_many", "bulk_write")


@dataclass
class World:
    """What outlives every process: the database, the bus, the mail server, the clock."""

    database: Any
    now: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self.jobs: list[bytes] = []
        self.errors: list[Exception] = []  # nothing but lost connections may go wrong
        self.said: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()  # by recipient: all mails of one step

    def time(self) -> float:
        return self.now


class Life:
    """One process. `step` is where it waits; `release` lets one of its writes happen."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.alive = world, name, True
        self.waiting: deque[tuple[str, asyncio.Future[str]]] = deque()
        self.tasks: set[asyncio.Task[Any]] = set()
        parts = _wire(world, self)
        self.planner, self.worker, self.recovery = parts

    async def step(self, what: str) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append((what, future))
        return await future

    def release(self, index: int, how: str) -> None:
        _, future = self.waiting[index]
        del self.waiting[index]
        future.set_result(how)

    def start(self, work: Awaitable[Any]) -> None:
        """Run until it ends or fails; what fails is tried again by whoever delivers again."""

        async def run() -> None:
            try:
                await work
            except (AutoReconnect, NotConfirmed):
                return
            except Exception as error:
                self.world.errors.append(error)

        task = asyncio.get_running_loop().create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def plan(self) -> None:
        self.start(self.planner.plan_once())

    def deliver(self, body: bytes) -> None:
        self.start(self.worker._claim_and_run(batch_of(body)))

    def recover(self, *, at_start: bool = False) -> None:
        self.start(self.recovery.at_start() if at_start else self.recovery.sweep())


class _Gated:
    """A collection whose writes wait; they may fail before or after they have had their effect."""

    def __init__(self, collection: Any, life: Life) -> None:
        self._collection, self._life = collection, life

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._collection, name)
        return self._gated(name, real) if name in _WRITES else real

    def _gated(self, name: str, real: Callable[..., Awaitable[Any]]) -> Any:
        async def write(*arguments: Any, **more: Any) -> Any:
            how = await self._life.step(f"{self._collection.name}.{name}")
            if how == "bad":
                raise AutoReconnect("the statement did not arrive")
            result = await real(*arguments, **more)
            if how == "worse":
                raise AutoReconnect("the answer did not arrive")
            return result

        return write


class _Bus:
    service = "dispatcher"

    def __init__(self, life: Life) -> None:
        self._life = life

    async def publish_each(self, said: Sequence[Announcement]) -> dict[str, Any]:
        how = await self._life.step("publish")
        if how != "bad":
            self._life.world.said.update({one.id for one in said})
        return {one.id: None for one in said} if how != "ok" else {}

    async def put(self, messages: Any) -> dict[str, Any]:
        wanted: list[Message] = list(messages)
        if wanted and await self._life.step("put") != "bad":
            self._life.world.jobs += [message.body for message in wanted]
        return {}


class _Pool:
    """A mail server that counts what it accepts, and a line to it that breaks."""

    def __init__(self, life: Life, claim: Claimer) -> None:
        self._life, self._claim = life, claim

    def feed(self, feed: Feed) -> None:
        while (mail := feed.take()) is not None:
            self._life.start(self._send(feed, mail))

    async def _send(self, feed: Feed, mail: Mail) -> None:
        feed.settle(mail, await self._result(mail))

    async def _result(self, mail: Mail) -> Result | CannotConnect:
        how = await self._life.step("connect")
        if how != "ok":
            return CannotConnect(TransientFailure("no connection"), first=how == "bad")
        [mail.ours] = await self._claim([mail])
        if not mail.ours:
            return NotOurs()
        how = await self._life.step("dot")
        if how == "bad":
            return OutcomeUnknown("lost before it was accepted")
        if how == "worse":
            return Refused(Phase.FINAL, SmtpReply(451, "4.3.0 later"))
        self._life.world.accepted[mail.envelope.forward_path] += 1
        if await self._life.step("reply") == "bad":
            return OutcomeUnknown("lost after it was accepted")
        return SmtpReply(250, "2.0.0 ok")


class _Sending(Sending):
    life: Life

    def _pool(self, sender: SenderSnapshot) -> SenderPool:
        return cast(SenderPool, _Pool(self.life, self._claim))


def without_pauses(patch: pytest.MonkeyPatch) -> None:
    """Nothing waits for a time, only for permission."""
    for module, names in _PAUSES.items():
        for name in names:
            patch.setattr(module, name, 0)


def _wire(world: World, life: Life) -> tuple[Planner, Worker, Recovery]:
    def store(name: str) -> Any:
        return _Gated(world.database[name], life)

    bus = cast(Bus, _Bus(life))
    stores = Stores(
        campaigns=Campaigns(store("campaigns")),
        leads=Leads(store("leads")),
        deliveries=Deliveries(store("deliveries")),
        batches=Batches(store("batches")),
        quotas=Quotas(store("quotas")),
        senders=Senders(store("senders")),
        suppressions=Suppressions(store("suppressions")),
        turns=Turns(store("turns")),
    )
    stores.senders._known["s1"] = FLEET  # what it has read at its start
    attempts, settlements = Attempts(store("attempts")), Settlements(store("settlements"))
    tells = Announcer(settlements, stores.deliveries, bus)
    catalogue = Catalogue(
        stores.campaigns, Attachments(store("attachments")), KEYS, "https://mail.example"
    )
    messages = Messages(store("messages"))
    doubt = Doubt(
        batches=stores.batches,
        attempts=attempts,
        settlements=settlements,
        senders=stores.senders,
        messages=messages,
        message_id_key=b"key",
    )
    sending = _Sending(catalogue, attempts, cast(Credentials, None), _OPTIONS)
    sending.life = life
    limits = WorkerLimits(life.name, LEASE_MS)
    patient = BreakerRules(failures=1_000_000)  # the scenarios are about other pauses
    brakes = Brakes(
        paces=Paces(world.database.paces, PaceRules()),
        breakers=Breakers(world.database.breakers, patient),
        pauses=Pauses(world.database.pauses),
        senders=stores.senders,
        destination_of=lambda address: address.rpartition("@")[2],
        saw=lambda origin, settled: None,
    )
    worker = Worker(
        bus=bus,
        batches=stores.batches,
        quotas=stores.quotas,
        senders=stores.senders,
        gate=Gate(
            catalogue,
            stores.senders,
            stores.leads,
            stores.suppressions,
            stores.deliveries,
            MailGate(messages, stores.senders, stores.suppressions),
        ),
        sending=sending,
        brakes=brakes,
        announcer=tells,
        doubt=doubt,
        limits=limits,
    )
    recovery = Recovery(
        bus=bus,
        batches=stores.batches,
        deliveries=stores.deliveries,
        senders=stores.senders,
        announcer=tells,
        limits=limits,
        evidence=Evidence(stores.deliveries, stores.leads, tells, goes_on),
        doubt=doubt,
        unknown_after_ms=UNKNOWN_AFTER_MS,
    )
    options = PlannerOptions(batch_size=2)
    return Planner(stores, bus, tells, options), worker, recovery


async def goes_on(campaign_id: str, leads: int) -> None:
    """For an Evidence: nothing here ends a campaign that has somebody in doubt."""


FLEET = sender("s1", effective_limit=1000)
_OPTIONS = SendingOptions(
    connections_per_sender=2,
    mails_per_connection=100,
    retries=RetryRules(60, 24 * 3600),
    local_hostname="test",
    timeouts=Timeouts(),
    tls_context=client_context(),
    message_id_key=b"key",
)


async def new_world(leads: int) -> World:
    """A running campaign of one step, and nothing planned yet."""
    world = World(AsyncMongoMockClient()["dispatcher"])
    campaign = Campaign(
        id="spring",
        name="Spring",
        senders=("s1",),
        steps=(Step(timedelta(0), (Variant("A", "Hello", body_text="Hi"),)),),
        state=CampaignState.RUNNING,
        postal_address="1 Main St",
    )
    await Campaigns(world.database.campaigns).insert(campaign, [])
    rows = [LeadRow(n, f"l{n}@x.test") for n in range(leads)]
    await Leads(world.database.leads).add("spring", rows)
    return world
