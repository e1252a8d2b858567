"""Looks at every verified domain again and again, and says when something got worse."""

import asyncio
import contextlib
import logging

from pymongo.errors import PyMongoError

from mail_provisioner import gauges
from mail_provisioner.checking import Checks
from mail_provisioner.domain import checks
from mail_provisioner.domain.domains import Domain
from mail_provisioner.domain_store import DomainStore
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.domains import DomainDegraded, DomainDnsChanged
from postfleet.events.event import Event
from postfleet.instants import from_ms, now_ms
from postfleet.outbox import OutboxRelay
from postfleet.tasks import end

log = logging.getLogger(__name__)

_AT_ONCE = 10
_MEASURE_EVERY_MS = 60_000
_PAUSE = 1.0  # seconds between two looks for domains that are due


class Watch:
    """Each domain is looked at by one provisioner every `interval_ms`."""

    def __init__(
        self, store: DomainStore, relay: OutboxRelay, looks: Checks, interval_ms: int
    ) -> None:
        self._store, self._relay, self._looks = store, relay, looks
        self._interval_ms = interval_ms
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="domain watch")

    async def stop(self) -> None:
        await end(self._task)

    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        measured = 0
        while True:
            with contextlib.suppress(PyMongoError):  # the readiness check says it; try again
                looked = await self.look_at_due()
                if looked or now_ms() - measured > _MEASURE_EVERY_MS:
                    gauges.show([domain async for domain in self._store.all()])
                    measured = now_ms()
            await asyncio.sleep(_PAUSE)

    async def look_at_due(self) -> int:
        """One round; returns how many domains were looked at."""
        due = await self._store.due_for_checks(now_ms() - self._interval_ms, _AT_ONCE)
        results = await asyncio.gather(*map(self._look_at, due), return_exceptions=True)
        for domain, result in zip(due, results, strict=True):
            if isinstance(result, Exception):  # one domain must not keep the others waiting
                log.error("a look at %s failed", domain.name, exc_info=result)
        return len(due)

    async def _look_at(self, domain: Domain) -> None:
        at = now_ms()
        if not await self._store.claim_check(domain, at):
            return
        look = await self._looks.look(domain)
        gauges.looks.inc()
        events: list[Event] = []
        if worse := checks.degraded(domain.checks, look.checks):
            events.append(DomainDegraded(occurred_at=from_ms(at), domain=domain.name, checks=worse))
        if changed := checks.changed_records(domain.checks, look.steps):
            events.append(
                DomainDnsChanged(occurred_at=from_ms(at), domain=domain.name, records=changed)
            )
        said = [Announcement(e, derived_id(domain.name, at, e.subject)) for e in events]
        known = checks.remembered(domain.checks, look.checks, look.steps)
        await self._store.enter_checks(domain.name, at, known, *said)
        if said:
            log.warning("a domain got worse: %s", ", ".join([*worse, *changed]))
            self._relay.wake()
