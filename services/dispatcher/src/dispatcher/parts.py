"""What the dispatcher is made of: settings -> clients -> stores -> the loops. No rule, no query."""

import asyncio
import logging

from dispatcher import options
from dispatcher.announcer import Announcer
from dispatcher.brakes import Brakes
from dispatcher.catalogue import Catalogue
from dispatcher.credentials import Credentials
from dispatcher.delivery import Sending
from dispatcher.doubt import Doubt
from dispatcher.evidence import Evidence
from dispatcher.exchangers import Exchangers
from dispatcher.gate import Gate
from dispatcher.handlers import Feedback
from dispatcher.hits import Hits
from dispatcher.holding import Holding
from dispatcher.importing import LeadStores
from dispatcher.mail_gate import MailGate
from dispatcher.mail_intake import MailIntake
from dispatcher.measuring import Measuring
from dispatcher.message_planner import MailStores, MessagePlanner
from dispatcher.opt_in import OptIn
from dispatcher.outlook import Outlook
from dispatcher.planner import Planner, Stores
from dispatcher.planning_pass import Throttle
from dispatcher.policies import Policies
from dispatcher.recovery import Recovery
from dispatcher.relay import build_relay
from dispatcher.revival import Revival
from dispatcher.settings import Settings
from dispatcher.sharing import Sharing, end_of
from dispatcher.store.ages import Ages
from dispatcher.store.attachments import Attachments
from dispatcher.store.attempts import Attempts
from dispatcher.store.batches import Batches
from dispatcher.store.breakers import Breakers
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.companies import Companies
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.erasure import Erasure
from dispatcher.store.imports import Imports
from dispatcher.store.leads import Leads
from dispatcher.store.leases import Leases
from dispatcher.store.messages import Messages
from dispatcher.store.paces import Paces
from dispatcher.store.pauses import Pauses
from dispatcher.store.people import People
from dispatcher.store.quotas import Quotas
from dispatcher.store.restored import Restored
from dispatcher.store.retention import Retention
from dispatcher.store.secret_keys import secret_key
from dispatcher.store.senders import Senders
from dispatcher.store.settlements import Settlements
from dispatcher.store.sights import Sights
from dispatcher.store.suppressions import Suppressions
from dispatcher.store.templates import Templates
from dispatcher.store.turns import Turns
from dispatcher.suppressing import Suppressing
from dispatcher.variant_choice import VariantChoice
from dispatcher.warmup_exchange import WarmupExchange
from dispatcher.watch import Relays, Watch
from dispatcher.worker import Worker
from postfleet.mongo import Mongo
from postfleet.outages import Unavailable
from postfleet.outbox import OutboxRelay
from postfleet.tokens import TokenKeys

log = logging.getLogger(__name__)

SERVICE = "dispatcher"


class Parts:
    """Everything that is made once from the settings."""

    def __init__(self, settings: Settings) -> None:
        ring = self.ring = settings.key_ring
        self.mongo = Mongo(settings.mongodb_url, SERVICE, settings.database_prefix)
        self.bus = options.bus(settings, SERVICE)
        self.keys = TokenKeys(ring)
        database, relaxed = self.mongo.database, self.mongo.relaxed
        self.stores = Stores(
            campaigns=Campaigns(database.campaigns),
            leads=Leads(database.leads, relaxed.leads),
            deliveries=Deliveries(database.deliveries, relaxed.deliveries),
            batches=Batches(relaxed.batches),
            quotas=Quotas(relaxed.quotas),
            senders=Senders(database.senders),
            suppressions=Suppressions(database.suppressions),
            turns=Turns(relaxed.turns),
        )
        self.messages = Messages(database.messages)
        self.templates = Templates(database.templates, database.template_versions)
        self.attempts = Attempts(database.attempts)
        self.settlements = Settlements(database.settlements, relaxed.settlements)
        self.idempotency = database.idempotency
        self.retention = Retention(relaxed.batches, relaxed.attempts, relaxed.settlements)
        self.pauses, self.sights = Pauses(database.pauses), Sights(relaxed.sights)
        self.relays = [
            OutboxRelay(self.stores.campaigns.collection, self.bus),
            OutboxRelay(self.stores.suppressions.collection, self.bus),
            OutboxRelay(self.pauses.collection, self.bus),
        ]
        self.lead_stores = LeadStores(
            self.stores.leads, Imports(database.imports), Companies(relaxed.companies)
        )
        self.policies = Policies(self.stores.leads, self.lead_stores.companies)
        self.suppressing = Suppressing(self.stores.suppressions, self.stores.leads, self.relays[1])
        self.announcer = Announcer(self.settlements, self.stores.deliveries, self.bus)
        self.attachments = Attachments(database.attachments)
        self.catalogue = Catalogue(
            self.stores.campaigns, self.attachments, self.keys, settings.public_url
        )
        message_id_key = next(iter(ring.derive("message id").values()))
        self.doubt = Doubt(
            batches=self.stores.batches,
            attempts=self.attempts,
            settlements=self.settlements,
            senders=self.stores.senders,
            messages=self.messages,
            message_id_key=message_id_key,
        )
        self.exchangers = Exchangers(enabled=settings.mx_lookups)
        self.watch = self._watch(settings)
        self.brakes = self._brakes(settings)
        self.leases = Leases(relaxed.leases, settings.instance)
        self.worker = self._worker(settings, Credentials(self.bus, ring), message_id_key)
        self.sharing = Sharing(self.leases, self.bus, self.worker)
        self.planner = Planner(
            self.stores,
            self.bus,
            self.announcer,
            options.planner(settings),
            leases=self.leases,
            throttle=Throttle(self.exchangers.destination, self.brakes.rooms),
            bar=self.brakes.bar,
        )
        self.outlook = Outlook(
            self.stores,
            People(self.stores.leads),
            self.planner,
            options.planner(settings).gap_ms,
        )
        self.message_planner = self._message_planner(settings)
        self.intake = MailIntake(
            self.messages,
            self.message_planner.wake,
            options.mail_times(settings),
        )
        self.relay = build_relay(
            settings, self.bus.request, self.stores.senders, self.intake, message_id_key
        )
        self.warmup = WarmupExchange(
            self.stores.senders, self.intake, self.keys, self.bus.request, options.warmup(settings)
        )
        self.variant_choice = VariantChoice(
            self.stores.campaigns,
            self.stores.deliveries,
            self.relays[0],
            every_seconds=settings.judge_variants_every_seconds,
        )
        self.revival = Revival(
            self.stores.campaigns,
            self.relays[0],
            self.keys,
            settings.public_url,
            self.planner.wake,
        )
        self.evidence = Evidence(
            self.stores.deliveries, self.stores.leads, self.announcer, self.revival.of
        )
        self.hits = Hits(self.stores.deliveries, self.evidence)
        self.opt_in = OptIn(
            self.stores.leads,
            self.intake,
            self.keys,
            settings.public_url,
            self.revival,
            within_ms=int(settings.confirm_within_seconds * 1000),
        )
        self.recovery = self._recovery(settings)
        self.holding = Holding(
            Restored(database.restored),
            self.stores.campaigns,
            self.stores.batches,
            self.attempts,
            self.doubt,
            self.announcer,
        )
        self.measuring = Measuring(
            Ages(database.deliveries, database.batches, database.settlements),
            self.stores.quotas,
            self.stores.senders,
        )
        self.feedback = Feedback(
            campaigns=self.stores.campaigns,
            leads=self.stores.leads,
            policies=self.policies,
            deliveries=self.stores.deliveries,
            senders=self.stores.senders,
            suppressions=self.stores.suppressions,
            suppressing=self.suppressing,
            evidence=self.evidence,
            erasure=Erasure(
                self.stores.deliveries, self.mongo.database.batches, self.mongo.database.settlements
            ),
            throttled=self.brakes.throttled,
            concern=self.watch.concern,
            wake_planner=self.planner.wake,
            warmup_received=self.warmup.answer,
        )

    def _brakes(self, settings: Settings) -> Brakes:
        database = self.mongo.database
        return Brakes(
            paces=Paces(database.paces, options.paces(settings)),
            breakers=Breakers(database.breakers, options.breakers(settings)),
            pauses=self.pauses,
            senders=self.stores.senders,
            destination_of=self.exchangers.destination,
            saw=self.watch.saw,
        )

    def _watch(self, settings: Settings) -> Watch:
        return Watch(
            campaigns=self.stores.campaigns,
            deliveries=self.stores.deliveries,
            senders=self.stores.senders,
            sights=self.sights,
            pauses=self.pauses,
            relays=Relays(self.relays[0], self.relays[2]),
            rules=options.watch(settings),
        )

    def _message_planner(self, settings: Settings) -> MessagePlanner:
        stores = self.stores
        return MessagePlanner(
            MailStores(self.messages, stores.deliveries, stores.batches, stores.senders),
            self.bus,
            batch_size=settings.batch_size,
            every_seconds=settings.plan_every_seconds,
        )

    def _worker(self, settings: Settings, credentials: Credentials, key: bytes) -> Worker:
        stores = self.stores
        return Worker(
            bus=self.bus,
            batches=stores.batches,
            quotas=stores.quotas,
            senders=stores.senders,
            gate=Gate(
                self.catalogue,
                stores.senders,
                stores.leads,
                stores.suppressions,
                stores.deliveries,
                MailGate(self.messages, stores.senders, stores.suppressions),
            ),
            sending=Sending(
                self.catalogue, self.attempts, credentials, options.sending(settings, key)
            ),
            brakes=self.brakes,
            announcer=self.announcer,
            doubt=self.doubt,
            limits=options.worker(settings),
        )

    def _recovery(self, settings: Settings) -> Recovery:
        stores = self.stores
        return Recovery(
            bus=self.bus,
            batches=stores.batches,
            deliveries=stores.deliveries,
            senders=stores.senders,
            announcer=self.announcer,
            limits=options.worker(settings),
            evidence=self.evidence,
            doubt=self.doubt,
            unknown_after_ms=int(settings.unknown_after_seconds * 1000),
            retention=self.retention,
            keep_ms=int(settings.ledger_keep_seconds * 1000),
        )

    async def load_keys(self) -> None:
        key = await secret_key(self.mongo.database.secret_keys, self.ring, "suppression")
        self.stores.suppressions.use(key)

    async def ensure_indexes(self) -> None:
        stores = self.stores
        indexed = (stores.campaigns, stores.leads, stores.deliveries, stores.batches)
        people = (self.lead_stores.imports, self.lead_stores.companies)
        more = (self.pauses, self.sights)
        for store in (
            *indexed,
            *people,
            *more,
            stores.suppressions,
            self.settlements,
            self.messages,
            self.templates,
            self.leases,
        ):
            await store.ensure_indexes()

    async def worker_died(self, owner: str) -> None:
        """A worker process is gone: the others have its partitions and batches now."""
        if not self.bus.connected:
            raise Unavailable("not connected to NATS")
        await end_of(owner, self.leases)
        await self.recovery.after(owner)

    async def connect(self) -> None:
        """Waits for its dependencies as long as it takes; what is kept in memory is read."""
        await asyncio.gather(self.mongo.connect(), self.bus.connect())
        await self.ensure_indexes()
        await self.load_keys()
        await self.stores.senders.load()
        await self.brakes.refresh()
        for relay in self.relays:
            await relay.start()

    async def close(self) -> None:
        for relay in self.relays:
            await relay.stop()
        await self.bus.stop()
        await self.mongo.close()
