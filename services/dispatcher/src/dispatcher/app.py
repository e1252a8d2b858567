"""Wiring: the parts, the consumers and the routers. No rule, no query."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from fastapi import FastAPI

from dispatcher.api.campaign_view import CampaignParts
from dispatcher.api.campaigns import build_campaigns
from dispatcher.api.deliveries import build_deliveries
from dispatcher.api.leads import build_leads
from dispatcher.api.ledger import build_ledger
from dispatcher.api.messages import MessageParts, build_messages
from dispatcher.api.opt_in import build_opt_in
from dispatcher.api.pauses import build_pauses
from dispatcher.api.plan import build_plan
from dispatcher.api.preview import PreviewParts, build_preview
from dispatcher.api.recipients import build_recipients
from dispatcher.api.suppressions import build_suppressions
from dispatcher.api.templates import build_templates
from dispatcher.hits import DURABLE as HITS
from dispatcher.life import Running
from dispatcher.parts import SERVICE, Parts
from dispatcher.settings import Settings
from dispatcher.sorting import UNSORTED, sort_jobs
from dispatcher.worker_processes import WorkerProcesses
from postfleet.api_keys import Authenticator, registry_lookup
from postfleet.http import create_app
from postfleet.tasks import end


def build(settings: Settings) -> FastAPI:
    parts = Parts(settings)
    processes = None
    if settings.workers > 1:
        processes = WorkerProcesses(settings.workers, settings.instance, parts.worker_died)
    running = Running(parts, processes)
    parts.bus.consume("dispatcher-feedback", dict(parts.feedback.reactions()))
    parts.bus.consume_batches(HITS, parts.hits.apply)
    parts.bus.consume_messages(UNSORTED, partial(sort_jobs, parts.bus))

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        starting = asyncio.create_task(running.start())
        try:
            yield
        finally:
            await end(starting)
            await running.stop()

    stores = parts.stores
    campaigns = CampaignParts(
        campaigns=stores.campaigns,
        leads=stores.leads,
        policies=parts.policies,
        deliveries=stores.deliveries,
        senders=stores.senders,
        relay=parts.relays[0],
        keys=parts.keys,
        public_url=settings.public_url,
        wake_planner=parts.planner.wake,
        attachments=parts.attachments,
        templates=parts.templates,
    )
    return create_app(
        SERVICE,
        authenticator=Authenticator(
            settings.api_key.get_secret_value(), registry_lookup(parts.bus.request)
        ),
        checks={
            "bus": running.ready,
            "database": parts.mongo.ready,
            **({"workers": processes.running} if processes else {}),
        },
        routers=[
            build_campaigns(campaigns),
            build_preview(PreviewParts(campaigns, parts.attachments, parts.intake)),
            build_leads(stores.campaigns, parts.lead_stores, stores.suppressions, parts.revival),
            build_opt_in(stores.campaigns, stores.senders, parts.opt_in),
            build_plan(stores.campaigns, stores.leads, parts.outlook),
            build_deliveries(
                stores.deliveries, stores.batches, parts.attempts, parts.settlements, parts.messages
            ),
            build_messages(
                MessageParts(
                    messages=parts.messages,
                    deliveries=stores.deliveries,
                    batches=stores.batches,
                    senders=stores.senders,
                    templates=parts.templates,
                    intake=parts.intake,
                    max_bytes=settings.message_max_bytes,
                )
            ),
            build_templates(parts.templates),
            build_recipients(
                stores.deliveries,
                parts.messages,
                stores.leads,
                stores.campaigns,
                stores.suppressions,
            ),
            build_suppressions(stores.suppressions, parts.suppressing),
            build_pauses(parts.pauses, parts.relays[2].wake),
            build_ledger(parts.settlements, parts.announcer),
        ],
        idempotency=parts.idempotency,
        lifespan=lifespan,
    )
