"""`postfleet events`: every event of the platform, as it happens and as it happened."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from nats.aio.client import Client
from nats.js.api import RawStreamMsg

from postfleet.cloudevents import aggregate_of
from postfleet.topology import EVENT_STREAM
from postfleet_cli import bus_apply, streams
from postfleet_cli.output import AsJson, console
from postfleet_cli.periods import Since, Until, period

app = typer.Typer(no_args_is_help=True, help="Every event of the platform. Reads NATS at NATS_URL.")
_POLL_S = 0.2

Type = Annotated[
    str,
    typer.Option("--type", "--subject", help="Only these, such as email.sent, bounce.* or >."),
]
Campaign = Annotated[str | None, typer.Option(help="Only those of the campaign with this id.")]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events; the times are when the stream stored them."""

    subject: str = ">"
    campaign: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    last: int | None = None  # the number of the last message that is wanted

    def is_past(self, message: RawStreamMsg) -> bool:
        """This one and all that follow are too late."""
        if self.last is not None and (message.seq or 0) > self.last:
            return True
        return message.time is not None and self.is_over(message.time)

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until

    def has(self, message: RawStreamMsg) -> bool:
        if self.campaign is None:
            return True
        body = _body(message)
        return isinstance(body, dict) and body.get("campaign_id") == self.campaign


@app.command()
def tail(
    subject: Type = ">",
    campaign: Campaign = None,
    since: Since = None,
    until: Until = None,
    since_start: Annotated[
        bool, typer.Option("--all", help="Everything that is kept (30 days), then what comes.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C, or stop at the end.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Print events as they happen: time, subject, what it is about, fields. Nothing is consumed."""
    first, last = period(since, until)
    selection = Selection(subject, campaign, first, last)
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(selection, since_start, follow, as_json))


@app.command()
def replay(
    subject: Type = ">",
    campaign: Campaign = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Print what happened, oldest first, as far back as the stream keeps it (30 days), and end.

    Example: postfleet events replay --since 2h --type "bounce.*" --json. Times are those of storing
    in the stream. Nobody hears an event again by this.
    """
    first, last = period(since, until)
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(Selection(subject, campaign, first, last), True, False, as_json))


async def _tail(selection: Selection, since_start: bool, follow: bool, as_json: bool) -> None:
    async with bus_apply.connection() as client:
        newest = await streams.last_sequence(client.jetstream(), EVENT_STREAM.name)
        position = 0 if since_start or selection.since else newest
        if not follow:
            selection = replace(selection, last=newest)
        since = selection.since
        while True:
            position = await _print_after(client, position, since, selection, as_json)
            if not follow or selection.is_over(datetime.now(UTC)):
                return
            since = since if position == 0 else None
            await asyncio.sleep(_POLL_S)


async def _print_after(
    client: Client, position: int, since: datetime | None, selection: Selection, as_json: bool
) -> int:
    stored = streams.after(client, EVENT_STREAM.name, position, selection.subject, since)
    async for message in stored:
        if selection.is_past(message):
            break
        position = message.seq or position
        if selection.has(message):
            _print(message, as_json)
    return position


def _print(message: RawStreamMsg, as_json: bool) -> None:
    if as_json:
        print(json.dumps(as_document(message), ensure_ascii=False), flush=True)
    else:
        console.print(as_line(message), markup=False, soft_wrap=True)


def as_document(message: RawStreamMsg) -> dict[str, Any]:
    """The event with its envelope, one object a line."""
    headers = message.headers or {}
    return {
        "sequence": message.seq,
        "subject": message.subject,
        "id": headers.get("ce-id", ""),
        "source": headers.get("ce-source", ""),
        "time": headers.get("ce-time", ""),
        "aggregate": aggregate_of(headers),
        "data": _body(message),
    }


def as_line(message: RawStreamMsg) -> str:
    """The event for people."""
    event = as_document(message)
    body = event["data"]
    shown = json.dumps(body, ensure_ascii=False) if isinstance(body, dict) else str(body)
    return f"{event['time']}  {event['subject']:<24} {event['aggregate']}  {shown}"


def _body(message: RawStreamMsg) -> Any:
    try:
        return json.loads(message.data or b"")
    except ValueError:
        return (message.data or b"").decode(errors="replace")
