"""NATS: reachable, JetStream on, streams and durables as this version declares them, no backlog."""

from collections.abc import Mapping
from datetime import timedelta

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from postfleet.topology import DEAD_LETTERS, DURABLES, STREAMS, Durable, Stream
from postfleet_cli import bus_apply
from postfleet_cli.doctor.findings import Finding, ok, trouble, warning
from postfleet_cli.exits import Refused

_OLDEST_SERVER = (2, 12)  # schedules, atomic batches
_BACKLOG = 10_000
_APPLY = "run `postfleet bus apply`"


async def look(environ: Mapping[str, str], url: str) -> list[Finding]:
    """Everything about NATS; one finding alone if it does not answer."""
    try:
        async with bus_apply.connection(environ, url=url) as client:
            return [_server(client, url), *await _jetstream(client)]
    except Refused as refusal:
        remedy = (
            "start it (`postfleet up`, `docker compose up nats`), or set NATS_URL and NATS_USER"
        )
        return [trouble("NATS", refusal.lines[0], remedy)]


def _server(client: Client, url: str) -> Finding:
    version = client.connected_server_version
    told = f"nats-server {version} at {url}"
    if (version.major, version.minor) < _OLDEST_SERVER:
        return trouble(
            "NATS", told, f"use nats-server {_OLDEST_SERVER[0]}.{_OLDEST_SERVER[1]} or newer"
        )
    return ok("NATS", told)


async def _jetstream(client: Client) -> list[Finding]:
    findings: list[Finding] = []
    try:
        for stream in STREAMS:
            findings.append(await _stream(client, stream))
        for durable in DURABLES:
            findings.append(await _durable(client, durable))
    except (TimeoutError, NatsError) as error:
        remedy = (
            "the user needs the rights of `ops`; JetStream must be on (`jetstream {}` in nats.conf)"
        )
        findings.append(trouble("JetStream", f"does not answer: {error or 'no answer'}", remedy))
    return findings


async def _stream(client: Client, stream: Stream) -> Finding:
    check = f"stream {stream.name}"
    try:
        info = await client.jetstream(timeout=5).stream_info(stream.name)
    except NotFoundError:
        return trouble(check, "does not exist", _APPLY)
    wanted_age = stream.max_age.total_seconds() if stream.max_age else 0
    different = [
        name
        for name, same in (
            ("subjects", set(info.config.subjects or ()) == set(stream.subjects)),
            ("max_age", (info.config.max_age or 0) == wanted_age),
            (
                "duplicate_window",
                info.config.duplicate_window == stream.duplicate_window.total_seconds(),
            ),
        )
        if not same
    ]
    if different:
        return trouble(check, f"differs in {', '.join(different)} from this version's", _APPLY)
    if stream.name == DEAD_LETTERS.name and info.state.messages:
        told = f"{info.state.messages} events that a consumer could not use"
        return warning(check, told, "postfleet dead-letters list")
    lost = [
        str(p.name)
        for p in (info.cluster.replicas if info.cluster else None) or ()
        if not p.current
    ]
    if lost:
        return warning(check, f"replicas behind: {', '.join(lost)}", "look at those NATS nodes")
    return ok(check, f"{info.state.messages} messages, {info.state.bytes / 1024**2:.1f} MiB")


async def _durable(client: Client, durable: Durable) -> Finding:
    check = f"durable {durable.name}"
    try:
        info = await client.jetstream(timeout=5).consumer_info(durable.stream, durable.name)
    except NotFoundError:
        return trouble(check, f"does not exist: {durable.service} is not ready without it", _APPLY)
    if set(_subjects(info)) != set(durable.subjects):
        return trouble(check, "hears other subjects than this version declares", _APPLY)
    if timedelta(seconds=info.config.ack_wait or 0) != durable.ack_wait:
        return trouble(check, "has another ack_wait than this version declares", _APPLY)
    waiting = info.num_pending or 0
    if waiting > _BACKLOG:
        remedy = f"is {durable.service} running? If so, start another replica of it"
        return warning(check, f"{waiting} messages wait", remedy)
    return ok(check, f"{waiting} wait, {info.num_ack_pending or 0} in work")


def _subjects(info: ConsumerInfo) -> list[str]:
    one = info.config.filter_subject
    return [one] if one else list(info.config.filter_subjects or ())
