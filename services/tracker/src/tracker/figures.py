"""The figures that the API and the dashboard both show."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from postfleet.instants import now
from tracker.domain.facts import OVERALL, Counter
from tracker.domain.figures import RATES, Bucket, activity, buckets, counts, figures, recent
from tracker.domain.intervals import interval
from tracker.domain.providers import reputation_tool
from tracker.store.campaigns import CampaignStore
from tracker.store.statistics import StatisticsStore

_DASHBOARD_DAYS = 30
_FEWEST_DAYS = 14  # that the chart shows, however young the installation
_DASHBOARD_CAMPAIGNS = 50


class Figures:
    def __init__(self, statistics: StatisticsStore, campaigns: CampaignStore) -> None:
        self._statistics = statistics
        self._campaigns = campaigns

    async def overview(self) -> dict[str, Any]:
        return figures(await self._statistics.counter(OVERALL))

    async def activity(
        self, start: datetime, end: datetime, bucket: Bucket
    ) -> list[dict[str, Any]]:
        names = buckets(start, end, bucket)
        wanted = [Counter(bucket, (("bucket", name),)) for name in names]
        found = await self._statistics.counters(wanted)
        return activity(names, {document["bucket"]: document for document in found.values()})

    async def campaigns(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A row for each of these campaigns."""
        wanted = {d["_id"]: Counter("campaign", (("campaign", d["_id"]),)) for d in documents}
        found = await self._statistics.counters(wanted.values())
        return [
            {
                "id": document["_id"],
                "name": document["name"],
                "status": document["status"],
                **figures(found.get(wanted[document["_id"]].id)),
            }
            for document in documents
        ]

    async def campaign(self, campaign_id: str) -> dict[str, Any] | None:
        """One campaign with its steps and senders; None if nobody spoke of it yet."""
        document = await self._campaigns.get(campaign_id)
        if document is None:
            return None
        row = (await self.campaigns([document]))[0]
        steps = await self._statistics.of_campaign("step", campaign_id)
        senders = await self._statistics.of_campaign("campaign-sender", campaign_id)
        return {
            **row,
            "steps": [{"step": int(s["step"]), **figures(s)} for s in _by_step(steps)],
            "senders": [{"sender_id": s["sender"], **figures(s)} for s in senders],
        }

    async def variants(self, campaign_id: str) -> list[dict[str, Any]] | None:
        """The variants of each step; None if nobody spoke of the campaign yet."""
        if await self._campaigns.get(campaign_id) is None:
            return None
        found = await self._statistics.of_campaign("variant", campaign_id)
        return [
            {
                "step": int(v["step"]),
                "variant": v["variant"] or None,
                **figures(v),
                "intervals": {
                    rate: interval(int(v.get(metric, 0)), int(v.get("sent", 0)))
                    for rate, metric in RATES.items()
                },
            }
            for v in _by_step(found)
        ]

    async def bounces(self) -> list[dict[str, Any]]:
        """Bounces by category, the most frequent first."""
        found = await self._statistics.of_scope("bounce")
        rows = [{"category": d["category"], **figures(d)} for d in found]
        return sorted(rows, key=lambda row: -(row["bounced_hard"] + row["bounced_soft"]))

    async def of_sender(self, sender_id: str) -> dict[str, int]:
        """The counts of one sender; zeros where nothing was counted."""
        return counts(await self._statistics.counter(Counter("sender", (("sender", sender_id),))))

    async def of_scope(
        self, scope: str, limit: int = 1000, after: str = ""
    ) -> list[dict[str, Any]]:
        """The figures of each `sender`, `domain` or `receiver` behind that counter's id, by name.

        Receivers come with their own tool.
        """
        found = await self._statistics.of_scope(scope, limit, after)
        rows = [{scope: d[scope], **figures(d)} for d in found]
        if scope == "receiver":
            return [{**row, "reputation_tool": reputation_tool(row[scope])} for row in rows]
        return rows

    async def dashboard(self) -> dict[str, Any]:
        """All that the dashboard shows, at this moment."""
        moment = now()
        start = moment - timedelta(days=_DASHBOARD_DAYS - 1)
        overview, days, campaigns = await asyncio.gather(
            self.overview(), self.activity(start, moment, "day"), self._latest_campaigns()
        )
        return {
            "at": moment.isoformat(timespec="seconds"),
            "overview": overview,
            "activity": recent(days, _FEWEST_DAYS),
            "campaigns": campaigns,
        }

    async def _latest_campaigns(self) -> list[dict[str, Any]]:
        return await self.campaigns(await self._campaigns.latest(_DASHBOARD_CAMPAIGNS))


def _by_step(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda d: (int(d["step"]), d.get("variant", "")))
