"""Wiring: settings -> clients -> consumers and routers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from pymongo.errors import PyMongoError

from postfleet.api_keys import Authenticator, registry_lookup
from postfleet.bus import Bus
from postfleet.http import create_app
from postfleet.instants import now_ms
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay
from postfleet.pull import PullLimits
from postfleet.reachable import parse_networks
from postfleet.tasks import end
from postfleet.tls import client_context
from postfleet.tokens import TokenKeys
from tracker.api import (
    analytics,
    console_campaigns,
    console_dead_letters,
    console_fleet,
    console_mail,
    console_new_campaign,
    dashboard,
    people,
    rescores,
    unsubscribe,
    webhooks,
)
from tracker.api.clients import Clients
from tracker.api.console import Console
from tracker.api.pages import PACKAGE, build_pages
from tracker.api.protocol import protocol_for
from tracker.api.tracking import Tracking, TrackingPaths, count_answered
from tracker.consumption import Consumption
from tracker.corrections import Corrector
from tracker.dead_letters import DeadLetters
from tracker.destinations import Destinations
from tracker.figures import Figures
from tracker.gateway import Gateway
from tracker.handlers import events, history, hits
from tracker.handlers import webhooks as webhook_queue
from tracker.intake import Intake
from tracker.posting import Poster
from tracker.published import load_networks
from tracker.rescoring import Rescoring
from tracker.sessions import Sessions
from tracker.settings import SERVICE, Settings
from tracker.spool import Spool
from tracker.store.campaigns import CampaignStore
from tracker.store.deliveries import DeliveryStore
from tracker.store.hits import HitStore
from tracker.store.links import LinkStore
from tracker.store.people import PeopleStore
from tracker.store.rescores import Rescores
from tracker.store.standings import Standings
from tracker.store.statistics import StatisticsStore
from tracker.store.timelines import TimelineStore
from tracker.store.webhooks import WebhookStore
from tracker.webhooks import WebhookSender

log = logging.getLogger(__name__)

#: The larger the batch, the fewer writes a counter costs; a thousand events are half a megabyte.
COUNTED = PullLimits(prefetch=4000, batch=2000)
#: A message holds up to 500 hits: a batch must be recorded well within its `ack_wait`.
_HITS = PullLimits(prefetch=40, batch=20)
_FOLD_EVERY = 10.0  # seconds
_FORGET_EVERY = 3600.0
_WEBHOOKS_KEPT_DAYS = 30  # they can be replayed, and their log read, for so long
_DAY_MS = 24 * 3600 * 1000
_LINKS_LOADED = 100_000  # the newest; older ones are looked up when they are clicked


class Tracker:
    """The parts of the service, and their life from start to end.

    Either this process consumes, or it starts one that does (`consumer.py`).
    """

    def __init__(self, settings: Settings, *, consumes: bool) -> None:
        self.settings = settings
        self.consumption = None if consumes else Consumption()
        password = settings.nats_password
        self.mongo = Mongo(settings.mongodb_url, SERVICE, settings.database_prefix)
        self.bus = Bus(
            settings.nats_url,
            SERVICE,
            user=settings.nats_user,
            password=password.get_secret_value() if password else None,
            ca_file=settings.nats_ca_file,
        )
        # Who consumes writes much and acks after a flush; who answers requests writes little.
        database = self.mongo.grouped if consumes else self.mongo.database
        self.links = LinkStore(database)
        self.hits = HitStore(database)
        self.standings = Standings(database)
        self.deliveries = DeliveryStore(database)
        self.campaigns = CampaignStore(database)
        self.statistics = StatisticsStore(database)
        self.timelines = TimelineStore(database)
        self.webhooks = WebhookStore(database)
        self.people = PeopleStore(database)
        self.people_relay = OutboxRelay(self.people.erasures, self.bus)
        self.relays = (
            OutboxRelay(self.hits.hits, self.bus, one_event=True),
            OutboxRelay(self.standings.firsts, self.bus),
        )
        self.corrector = Corrector(
            self.hits, self.standings, self.links, load_networks(settings.networks_file)
        )
        self.webhook_relay = OutboxRelay(self.webhooks.endpoints, self.bus)
        self.sender = WebhookSender(
            self.webhooks,
            Poster(client_context(settings.tls_ca_file), settings.webhook_networks_allowed),
            settings.key_ring,
            self.webhook_relay,
        )
        self.rescores = Rescores(database)
        self.rescoring = Rescoring(
            self.rescores, self.corrector, self.deliveries, self.relays[1], self.mongo.flush
        )
        self.destinations = Destinations(self.links.get)
        self.intake = Intake(
            self.bus.put,
            lambda: self.bus.connected,
            Spool(settings.spool_dir, settings.spool_max_bytes),
            count_answered,
        )
        self.authenticator = Authenticator(
            settings.api_key.get_secret_value(), registry_lookup(self.bus.request)
        )
        self._running = False
        self._tasks: list[asyncio.Task[None]] = []
        if consumes:
            self._consume()

    def _consume(self) -> None:
        flush = self.mongo.flush
        handle_hits = hits.HitHandler(
            self.bus,
            self.corrector,
            self.deliveries,
            self.people,
            self.relays,
            self._behind,
            flush,
        )
        self.bus.consume_messages(hits.DURABLE, handle_hits, _HITS)
        handle_events = events.EventHandler(
            self.destinations,
            self.links,
            self.campaigns,
            self.statistics,
            self.settings.public_url,
        )
        self.bus.consume_batches(events.DURABLE, handle_events, COUNTED, flush)
        handle_history = history.HistoryHandler(self.deliveries, self.timelines, self.people)
        self.bus.consume_batches(history.DURABLE, handle_history, flush=flush)
        handle_webhooks = webhook_queue.WebhookHandler(self.webhooks)
        self.bus.consume_batches(webhook_queue.DURABLE, handle_webhooks, flush=flush)

    async def _behind(self) -> bool:
        waiting = await self.bus.jetstream.consumer_info("EVENTS", history.DURABLE)
        return bool(waiting.num_pending or waiting.num_ack_pending)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Requests are answered from the start; bus and database are joined when they answer."""
        self.intake.start()
        starting = asyncio.create_task(self._start(), name="tracker start")
        starting.add_done_callback(_tell_failure)
        try:
            yield
        finally:
            await end(starting)
            await self._stop()

    async def _stop(self) -> None:
        """Hits first: they need the bus, or the disk where it is gone."""
        try:
            await end(*self._tasks)
            await self.intake.stop()
            if self.consumption is not None:
                await self.consumption.stop()
            for relay in self.relays:
                await relay.stop()
            await self.webhook_relay.stop()
            await self.people_relay.stop()
            await self.bus.stop()
        finally:
            await self.mongo.close()

    async def _start(self) -> None:
        await asyncio.gather(self.bus.connect(), self._open_database())
        await self.bus.start()
        if self.consumption is not None:
            self.consumption.start()
            return
        for relay in self.relays:
            await relay.start()
        await self.webhook_relay.start()
        await self.people_relay.start()
        self._tasks = [
            asyncio.create_task(self._fold(), name="fold statistics"),
            asyncio.create_task(self.sender.run(), name="webhooks"),
            asyncio.create_task(self._forget(), name="retention"),
            asyncio.create_task(self.rescoring.run(), name="rescore"),
        ]
        self._running = True

    async def _fold(self) -> None:
        """Keep what readers have to add to the counters small."""
        while True:
            await asyncio.sleep(_FOLD_EVERY)
            try:
                await self.statistics.fold()
            except PyMongoError as error:
                log.warning("the counters are brought up to date later: %s", error)

    async def _forget(self) -> None:
        """Remove what is older than it may be kept."""
        while True:
            try:
                await self.people.forget(now_ms() - self.settings.retention_days * _DAY_MS)
                await self.webhooks.forget(now_ms() - _WEBHOOKS_KEPT_DAYS * _DAY_MS)
            except PyMongoError as error:
                log.warning("what is too old is removed later: %s", error)
            await asyncio.sleep(_FORGET_EVERY)

    async def _open_database(self) -> None:
        await self.mongo.connect()
        while True:
            try:
                for store in (
                    self.links,
                    self.hits,
                    self.deliveries,
                    self.campaigns,
                    self.statistics,
                    self.timelines,
                    self.webhooks,
                    self.rescores,
                ):
                    await store.ensure_indexes()
                self.destinations.add(await self.links.newest(_LINKS_LOADED))
                return
            except PyMongoError as error:
                log.warning("the database is not ready: %s", error)
                await asyncio.sleep(1)

    async def running(self) -> bool:
        if self.consumption is not None:
            return await self.consumption.running()
        return self._running


def _tell_failure(starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and (error := starting.exception()):
        log.critical("the tracker cannot start", exc_info=error)


def build(settings: Settings) -> FastAPI:
    tracker = Tracker(settings, consumes=not settings.consumer_process)
    pages = build_pages()
    keys = TokenKeys(settings.key_ring)
    figures = Figures(tracker.statistics, tracker.campaigns)
    clients = Clients(
        parse_networks(settings.trusted_proxies), settings.hits_per_second, settings.hits_burst
    )
    tracking = Tracking(keys, tracker.destinations, tracker.intake, clients)
    sessions = Sessions(settings.key_ring, tracker.authenticator, settings.session_seconds)
    gateway = Gateway(settings.gateway_url or settings.public_url)
    console = Console(sessions, gateway, pages, settings.public_url)
    app = create_app(
        SERVICE,
        authenticator=tracker.authenticator,
        checks={
            "bus": tracker.bus.ready,
            "database": tracker.mongo.ready,
            "consumers": tracker.running,
        },
        routers=[
            unsubscribe.build_router(keys, tracker.intake, clients, pages),
            analytics.build_router(
                figures, tracker.campaigns, tracker.timelines, tracker.deliveries
            ),
            people.build_router(tracker.people, tracker.people_relay),
            rescores.build_router(tracker.rescores),
            webhooks.build_router(
                tracker.webhooks, settings.key_ring, settings.webhook_networks_allowed
            ),
            console_new_campaign.build_router(console),
            console_campaigns.build_router(console, figures),
            console_fleet.build_router(console, figures),
            console_dead_letters.build_router(
                console, DeadLetters(tracker.bus), tracker.authenticator
            ),
            console_mail.build_router(console, figures, tracker.timelines, tracker.deliveries),
            dashboard.build_router(figures, sessions, pages, settings.public_url),
        ],
        idempotency=tracker.mongo.database.idempotency,
        lifespan=tracker.lifespan,
    )
    app.mount("/dashboard/static", StaticFiles(directory=PACKAGE / "static"))
    app.add_middleware(TrackingPaths, tracking=tracking)
    app.state.protocol = protocol_for(tracking)
    return app
