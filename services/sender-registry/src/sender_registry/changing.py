"""Load a sender, decide, write it with its events; again from the start if another was faster."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from postfleet.outages import Unavailable
from postfleet.outbox import OutboxRelay
from sender_registry.domain.announcing import Change, settle
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.sender import Sender
from sender_registry.store import Secrets, SenderStore

log = logging.getLogger(__name__)

_ATTEMPTS = 20

Decide = Callable[[Sender], Sender]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a change of a sender needs. `clock` gives aware UTC."""

    store: SenderStore
    relay: OutboxRelay
    rules: LimitRules
    clock: Callable[[], datetime]

    def settle(self, before: Sender, after: Sender) -> Change | None:
        return settle(before, after, self.clock(), self.rules)

    async def change(
        self, sender_id: str, decide: Decide, secrets: Secrets | None = None
    ) -> Sender | None:
        """The sender afterwards, or None if there is none. A decision without effect writes nothing."""
        for _ in range(_ATTEMPTS):
            before = await self.store.get(sender_id)
            if before is None:
                return None
            change = self.settle(before, decide(before))
            if change is None:
                return before
            if await self.store.save(change, secrets=secrets):
                self.relay.wake()
                return change.after
        raise Unavailable(f"sender {sender_id} changes too fast")
