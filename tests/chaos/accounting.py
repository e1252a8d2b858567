"""What became of a run: the mail world's ledger against ours, and against the events."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import nats
import orjson
from nats.js.api import ConsumerConfig, DeliverPolicy

from tests.chaos.stage import Run, Stage

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Result:
    """Numbers of one run. `unexplained` are duplicates of deliveries that were never in doubt."""

    accepted: int
    lost: int
    duplicated: int
    unexplained: int
    unknown: int
    events_missing: int
    events_doubled: int
    recover_seconds: float
    details: tuple[str, ...] = field(default=())


def account(stage: Stage, run: Run, recover_seconds: float) -> Result:
    """Compare, when the campaign is completed."""
    records = [
        record
        for record in stage.platform.sandbox("/ledger")
        if record["kind"] == "accepted" and record["recipient"] in run.recipients
    ]
    accepted = Counter(record["recipient"] for record in records)
    events = asyncio.run(_events(stage.platform.nats_url, run.campaign_id))
    sent = [event for event in events if event["type"] == "email.sent"]
    unknown = {event["recipient"] for event in events if event["type"] == "email.unknown"}
    told = {event["recipient"] for event in sent}
    ids = Counter(event["id"] for event in events)
    held = {event["recipient"] for event in events if event["type"] == "email.skipped"}
    lost = run.recipients - set(accepted) - held
    doubled = {recipient for recipient, count in accepted.items() if count > 1}
    missing = set(accepted) - told - held
    return Result(
        accepted=len(records),
        lost=len(lost),
        duplicated=sum(count - 1 for count in accepted.values()),
        unexplained=len(doubled - unknown),
        unknown=len(unknown),
        events_missing=len(missing),
        events_doubled=sum(count - 1 for count in ids.values()),
        recover_seconds=round(recover_seconds, 1),
        details=tuple(_details(lost=lost, doubled=doubled, missing=missing, held=held)),
    )


def _details(**sets: Iterable[str]) -> Iterable[str]:
    for name, addresses in sets.items():
        for address in sorted(addresses)[:5]:
            yield f"{name}: {address}"


async def _events(url: str, campaign_id: str) -> list[dict[str, Any]]:
    """The delivery events of this campaign that the stream holds, in order."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        subscription = await stream.pull_subscribe(
            "email.*",
            stream="EVENTS",
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL, inactive_threshold=30),
        )
        found: list[dict[str, Any]] = []
        while True:
            try:
                messages = await subscription.fetch(_PAGE, timeout=1)
            except (TimeoutError, nats.errors.TimeoutError):
                break
            for message in messages:
                body = orjson.loads(message.data)
                if body.get("campaign_id") == campaign_id:
                    headers = message.headers or {}
                    found.append({**body, "type": message.subject, "id": headers.get("ce-id")})
                await message.ack()
        await subscription.unsubscribe()
        return found
    finally:
        await client.close()
