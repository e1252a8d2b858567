"""After a restore: nothing goes that may have gone between the backup and the loss.

Campaigns are paused for somebody to look at. A mail that was in an open batch is `unknown`, as after
a crash between attempt and settlement: the Sent folder, a reply or a bounce settles it. A rerun
after a crash goes on where it stopped.
"""

import logging
import uuid

from dispatcher.announcer import Announcer
from dispatcher.domain.campaigns import Campaign, CampaignState
from dispatcher.domain.ledger import Batch
from dispatcher.doubt import Doubt
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.store.batches import Batches, Claim, claim_of
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.restored import Restored
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.campaigns import CampaignPaused
from postfleet.instants import now, now_ms

log = logging.getLogger(__name__)

_LIMIT = 200
_LEASE_MS = 60_000
_OWNER = "restore"


class Holding:
    def __init__(
        self,
        restored: Restored,
        campaigns: Campaigns,
        batches: Batches,
        attempts: Attempts,
        doubt: Doubt,
        announcer: Announcer,
    ) -> None:
        self._restored, self._campaigns, self._batches = restored, campaigns, batches
        self._attempts, self._doubt, self._announcer = attempts, doubt, announcer

    async def at_start(self) -> None:
        """Before anything is sent; does nothing where nobody restored."""
        backup_at = await self._restored.asked()
        if backup_at is None:
            return
        paused, doubtful = 0, 0
        while running := await self._campaigns.in_state(CampaignState.RUNNING):
            for campaign in running:
                paused += await self._pause(campaign, backup_at)
        while waiting := await self._batches.ready_since(now_ms() + 1, _LIMIT):
            for batch in waiting:
                doubtful += await self._take(batch)
        while held := await self._batches.claimed(_LIMIT):  # by workers of another life
            for claim in held:
                doubtful += await self._take_over(claim)
        await self._restored.done()
        log.warning(
            "restored from the backup of %s: %d campaigns paused, %d mails in doubt",
            *(backup_at, paused, doubtful),
        )

    async def _pause(self, campaign: Campaign, backup_at: str) -> bool:
        event = CampaignPaused(
            occurred_at=now(),
            campaign_id=campaign.id,
            name=campaign.name,
            by=_OWNER,
            reason=f"restored from the backup of {backup_at}: mails may have left since then",
        )
        said = Announcement(event, derived_id(campaign.id, event.subject, _OWNER, backup_at))
        return await self._campaigns.move(campaign, CampaignState.PAUSED, [said])

    async def _take(self, batch: Batch) -> int:
        mine = uuid.uuid4().hex
        taken = await self._batches.claim([batch.id], mine, _OWNER, _LEASE_MS)
        if batch.id not in taken:
            return 0
        return await self._doubt_batch(batch, claim_of(mine, taken[batch.id]))

    async def _take_over(self, claim: Claim) -> int:
        mine = uuid.uuid4().hex
        taken = await self._batches.take_over(claim, mine, _OWNER, _LEASE_MS)
        return await self._doubt_batch(claim.batch, mine) if taken else 0

    async def _doubt_batch(self, batch: Batch, claim_id: str) -> int:
        """Begin every attempt of it that nobody has begun, in its name; then it is a crashed one."""
        settled = await self._doubt.settled(batch.id)
        open_items = [item for item in batch.items if item.key not in settled]
        if open_items:
            await self._attempts.begin(
                [Attempt(item.key, batch.id, uuid.uuid4().hex[:16]) for item in open_items]
            )
        unknown = await self._doubt.begun_here(batch)
        await self._announcer.settle(batch, unknown)
        await self._batches.finish([(batch.id, claim_id)])
        return len(unknown)
