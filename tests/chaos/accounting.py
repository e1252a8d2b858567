"""What became of runs: the mail world's ledger against ours, and against the events."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import nats
import orjson
from nats.js.api import ConsumerConfig, DeliverPolicy

from tests.chaos.stage import Run, Stage

_PAGE = 500
_EARLIER = timedelta(minutes=1)
Event = dict[str, Any]


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


def account(stage: Stage, runs: Mapping[Run, float]) -> list[Result]:
    """Compare, when the campaigns are completed; the runs come with their seconds to recover."""
    accepted: dict[str, Counter[str]] = {run.campaign_id: Counter() for run in runs}
    campaign_of = {address: run.campaign_id for run in runs for address in run.recipients}
    for record in stage.platform.sandbox("/ledger"):
        campaign_id = campaign_of.get(record.get("recipient", ""))
        if record["kind"] == "accepted" and campaign_id:
            accepted[campaign_id][record["recipient"]] += 1
    events = asyncio.run(_events(stage, list(runs)))
    return [
        _result(run, accepted[run.campaign_id], events[run.campaign_id], seconds)
        for run, seconds in runs.items()
    ]


def _result(run: Run, accepted: Counter[str], events: Sequence[Event], seconds: float) -> Result:
    told = _recipients(events, "email.sent")
    unknown = _recipients(events, "email.unknown")
    held = _recipients(events, "email.skipped")
    ids = Counter(event["id"] for event in events)
    lost = run.recipients - set(accepted) - held
    doubled = {recipient for recipient, count in accepted.items() if count > 1}
    missing = set(accepted) - told - held
    return Result(
        accepted=accepted.total(),
        lost=len(lost),
        duplicated=sum(count - 1 for count in accepted.values()),
        unexplained=len(doubled - unknown),
        unknown=len(unknown),
        events_missing=len(missing),
        events_doubled=sum(count - 1 for count in ids.values()),
        recover_seconds=round(seconds, 1),
        details=tuple(_details(lost=lost, doubled=doubled, missing=missing, held=held)),
    )


def _recipients(events: Sequence[Event], subject: str) -> set[str]:
    return {event["recipient"] for event in events if event["type"] == subject}


def _details(**sets: Iterable[str]) -> Iterable[str]:
    for name, addresses in sets.items():
        for address in sorted(addresses)[:5]:
            yield f"{name}: {address}"


async def _events(stage: Stage, runs: Sequence[Run]) -> Mapping[str, list[Event]]:
    """The delivery events that the stream holds since the first run began, by campaign, in order."""
    start = min(run.began for run in runs) - _EARLIER
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=start.isoformat().replace("+00:00", "Z"),  # type: ignore[arg-type]
        inactive_threshold=30,
    )
    found: dict[str, list[Event]] = defaultdict(list)
    client = await nats.connect(stage.platform.nats_url)
    try:
        pull = client.jetstream().pull_subscribe
        subscription = await pull("email.*", stream="EVENTS", config=config)
        while True:
            try:
                messages = await subscription.fetch(_PAGE, timeout=1)
            except (TimeoutError, nats.errors.TimeoutError):
                break
            for message in messages:
                body = _json(message.data)
                headers = message.headers or {}
                event = {**body, "type": message.subject, "id": headers.get("ce-id")}
                found[str(body.get("campaign_id"))].append(event)
                await message.ack()
        await subscription.unsubscribe()
        return found
    finally:
        await client.close()


def _json(body: bytes) -> Event:
    """The event's fields; none for what was poisoned on purpose."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
