"""`postfleet events`: every event of the platform, as it happens."""

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Any

import typer
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

from postfleet.cloudevents import aggregate_of
from postfleet.topology import EVENT_STREAM
from postfleet_cli import bus_apply, streams
from postfleet_cli.output import AsJson, console

app = typer.Typer(no_args_is_help=True, help="Every event of the platform. Reads NATS at NATS_URL.")
_POLL_S = 0.2


@app.command()
def tail(
    subject: Annotated[
        str, typer.Option(help="Only these, such as email.sent, bounce.* or >.")
    ] = ">",
    since_start: Annotated[
        bool, typer.Option("--all", help="Everything that is kept (30 days), then what comes.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C, or stop at the end.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Print time, subject, what it is about and the event's fields; nothing is consumed."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(subject, since_start, follow, as_json))


async def _tail(subject: str, since_start: bool, follow: bool, as_json: bool) -> None:
    async with bus_apply.connection() as client:
        jetstream = client.jetstream()
        newest = await streams.last_sequence(jetstream, EVENT_STREAM.name)
        position = 0 if since_start else newest
        while True:
            position = await _print_after(jetstream, position, subject, as_json)
            if not follow:
                return
            await asyncio.sleep(_POLL_S)


async def _print_after(
    jetstream: JetStreamContext, position: int, subject: str, as_json: bool
) -> int:
    async for message in streams.after(jetstream, EVENT_STREAM.name, position, subject):
        position = message.seq or position
        if as_json:
            print(json.dumps(as_document(message), ensure_ascii=False), flush=True)
        else:
            console.print(as_line(message), markup=False, soft_wrap=True)
    return position


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
