"""The SLA clock of sender requests (S296): a request that is late is told once, and counted."""

from dataclasses import dataclass

from postfleet import metrics
from postfleet.instants import to_ms
from postfleet.outbox import OutboxRelay
from sender_registry.changing import Changes
from sender_registry.domain.requests import breach
from sender_registry.request_store import RequestStore


@dataclass(frozen=True, slots=True)
class SlaClock:
    """Looks at every request that is not settled. `relay` announces those of `store`."""

    store: RequestStore
    relay: OutboxRelay
    changes: Changes

    async def sweep(self) -> None:
        now_ms = to_ms(self.changes.clock())
        waiting = await self.store.open_ones()
        late = [request for request in waiting if request.due_ms < now_ms]
        metrics.sender_requests_open.set(len(waiting))
        metrics.sender_requests_overdue.set(len(late))
        for request in late:
            if not request.told:
                await self._tell(request.id)

    async def _tell(self, request_id: str) -> None:
        """What was settled meanwhile is told nothing; what changed meanwhile is met again."""
        request = await self.store.get(request_id)
        now = self.changes.clock()
        if request is None or not request.overdue(to_ms(now)) or request.breached_ms:
            return
        late, said = breach(request, now)
        if await self.store.save(late, [said]):
            metrics.sender_requests_breached.inc()
            self.relay.wake()
