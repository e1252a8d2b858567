"""deploy/nats/nats.conf on a real nats-server: each service can do its work, and nothing else.

The positive half runs our own `reconcile` and `Bus`, so that a permission that the code needs and
the file lacks fails here and not in production. The negative half is a table.
"""

import asyncio
import json
import re
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig

from postfleet import reconcile
from postfleet.bus import Bus
from postfleet.events import EVENTS
from postfleet.tls import tls_options
from postfleet.topology import DURABLES, JOBS, RPC_CREDENTIALS, SERVICES, STREAMS, durables_of
from tests.support.natsdeployed import (
    USERS,
    DeployedNats,
    make_certificates,
    password,
)

ROOT = Path(__file__).parents[2]
SAYS = {service.name: set(service.says) for service in SERVICES}

pytestmark = pytest.mark.skipif(bool(DeployedNats.missing()), reason=str(DeployedNats.missing()))

Connect = Callable[..., Coroutine[Any, Any, tuple[Client, list[str]]]]


@pytest.fixture(scope="module")
def server() -> Iterator[DeployedNats]:
    """A server with our configuration, and the streams and durables that ops has applied."""
    with DeployedNats() as running:
        asyncio.run(_apply(running))
        yield running


async def _apply(server: DeployedNats) -> None:
    ops = await server.connect("ops")
    try:
        for _ in range(2):  # running it again is allowed too
            done = await reconcile.apply(ops.jetstream())
        assert len(done) == len(STREAMS) + len(DURABLES)
    finally:
        await ops.close()


def _bus(server: DeployedNats, service: str) -> Bus:
    return Bus(
        server.url, service, user=service, password=password(service), ca_file=server.ca_file
    )


@pytest.fixture
async def connect(server: DeployedNats) -> AsyncIterator[Connect]:
    """Connects as a user; the list collects what the server refuses."""
    clients: list[Client] = []

    async def _connect(user: str) -> tuple[Client, list[str]]:
        refused: list[str] = []

        async def note(error: Exception) -> None:
            refused.append(str(error).lower())

        client = await server.connect(user, error_cb=note)
        clients.append(client)
        return client, refused

    yield _connect
    for client in clients:
        await client.close()


async def _refusals(client: Client, refused: list[str]) -> set[str]:
    """The subjects that the server refused so far: its -ERR precedes the PONG."""
    for _ in range(5):  # the callbacks run as tasks of their own
        await client.flush()
        await asyncio.sleep(0.05)
    found = (re.search(r'permissions violation for .* to "([^"]+)"', error) for error in refused)
    return {match.group(1) for match in found if match}


async def test_without_a_password_nobody_gets_in(server: DeployedNats) -> None:
    for credentials in ({}, {"user": "dispatcher", "password": "wrong"}):
        with pytest.raises(NatsError, match=r"(?i)authorization"):
            await nats.connect(
                server.url,
                allow_reconnect=False,
                **tls_options(server.url, server.ca_file),
                **credentials,
            )


async def test_nobody_speaks_in_clear(server: DeployedNats) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b'CONNECT {"user":"ops","pass":"secret"}\r\nPING\r\n')
    async with asyncio.timeout(10):
        said = await reader.read()  # until the server closes
    writer.close()
    assert b"INFO" not in said
    assert b"PONG" not in said


async def test_a_server_of_another_authority_is_not_told_the_password(
    server: DeployedNats, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "other")
    for ca_file in (str(tmp_path / "other/ca.crt"), None):
        with pytest.raises((ssl.SSLError, NatsError), match=r"(?i)certificate"):
            await nats.connect(
                server.url,
                user="ops",
                password=password("ops"),
                allow_reconnect=False,
                **tls_options(server.url, ca_file),
            )


def test_one_node_writes_to_disk_before_it_confirms(server: DeployedNats) -> None:
    with urllib.request.urlopen(f"{server.monitor_url}/jsz?config=1", timeout=5) as answer:
        effective = json.load(answer)["config"]
    assert effective["sync_always"] is True


@pytest.mark.parametrize("service", USERS[1:])
async def test_a_service_starts_with_its_own_user(server: DeployedNats, service: str) -> None:
    bus = _bus(server, service)
    async with asyncio.timeout(20):
        await bus.start()
        try:
            assert await bus.ready()
        finally:
            await bus.stop()


@pytest.mark.parametrize("service", USERS[1:])
async def test_a_service_says_its_own_events_and_no_others(connect: Connect, service: str) -> None:
    client, refused = await connect(service)
    for subject in EVENTS:
        await client.publish(subject, b"{}")
    assert await _refusals(client, refused) == set(EVENTS) - SAYS[service]


@pytest.mark.parametrize("service", USERS[1:])
async def test_a_service_pulls_acknowledges_and_buries_on_its_own_durables_only(
    connect: Connect, service: str
) -> None:
    client, refused = await connect(service)
    of_others: set[str] = set()
    for durable in DURABLES:
        place = f"{durable.stream}.{durable.name}"
        subjects = {
            f"$JS.API.CONSUMER.INFO.{place}",
            f"$JS.API.CONSUMER.MSG.NEXT.{place}",
            f"$JS.ACK.{place}.1.1.1.1.0",  # before server 2.15
            f"$JS.ACK._.hash.{place}.1.1.1.1.0.token",  # since
            f"dead.{durable.part_of or durable.name}.email.sent",
        }
        for subject in subjects:
            await client.publish(subject, b"{}")
        if durable not in durables_of(service):
            of_others |= {subject.lower() for subject in subjects}
    assert await _refusals(client, refused) == of_others


@pytest.mark.parametrize("service", USERS[1:])
async def test_no_service_administers_the_bus(connect: Connect, service: str) -> None:
    client, refused = await connect(service)
    administration = [
        "$JS.API.STREAM.CREATE.EVENTS",
        "$JS.API.STREAM.UPDATE.EVENTS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.STREAM.MSG.GET.EVENTS",
        "$JS.API.DIRECT.GET.EVENTS",
        "$JS.API.CONSUMER.CREATE.EVENTS.own",
        "$JS.API.CONSUMER.DELETE.EVENTS.tracker-events",
        "$JS.API.CONSUMER.PAUSE.EVENTS.tracker-events",
        "$SYS.REQ.SERVER.PING",
        "_INBOX_ops.anything",
        "anything.else",
    ]
    for subject in administration:
        await client.publish(subject, b"{}")
    assert await _refusals(client, refused) == {subject.lower() for subject in administration}


@pytest.mark.parametrize("service", USERS[1:])
async def test_no_service_listens_in(connect: Connect, service: str) -> None:
    client, refused = await connect(service)
    elsewhere = [">", "email.sent", "job.>", "hit.>", "dead.>", "rpc.>", "$JS.>", "_INBOX.>"]
    for subject in [*elsewhere, "_INBOX_ops.>"]:
        await client.subscribe(subject)
    assert await _refusals(client, refused) == {s.lower() for s in [*elsewhere, "_INBOX_ops.>"]}


async def test_only_ops_makes_consumers(connect: Connect) -> None:
    client, _ = await connect("ops")
    config = ConsumerConfig(durable_name="somebody-elses", filter_subject="email.sent")
    await client.jetstream().add_consumer("EVENTS", config)
    await client.jetstream().delete_consumer("EVENTS", "somebody-elses")


@pytest.mark.parametrize(
    ("caller", "answered"),
    [
        pytest.param("dispatcher", True, id="the dispatcher gets credentials"),
        pytest.param("inbox-watcher", True, id="the watcher gets credentials"),
        pytest.param("tracker", False, id="the tracker does not"),
        pytest.param("mail-provisioner", False, id="the provisioner does not"),
        pytest.param("ops", False, id="the operator does not"),
    ],
)
async def test_who_may_ask_for_credentials(
    server: DeployedNats, connect: Connect, caller: str, answered: bool
) -> None:
    registry = _bus(server, "sender-registry")

    async def credentials(_: dict[str, Any]) -> dict[str, Any]:
        return {"ciphertext": "..."}

    registry.answer(RPC_CREDENTIALS, credentials)
    await registry.start()
    try:
        client, refused = await connect(caller)
        if answered:
            reply = await client.request(RPC_CREDENTIALS, b'{"sender_id": "s1"}', timeout=5)
            assert b"ciphertext" in reply.data
        else:
            with pytest.raises(NatsError):
                await client.request(RPC_CREDENTIALS, b"{}", timeout=0.3)
            assert await _refusals(client, refused)
    finally:
        await registry.stop()


@pytest.mark.parametrize("service", [name for name in USERS[1:] if name != "sender-registry"])
async def test_nobody_else_answers_for_the_registry(connect: Connect, service: str) -> None:
    client, refused = await connect(service)
    for group in ("", service, "sender-registry"):
        refused.clear()
        await client.subscribe(RPC_CREDENTIALS, queue=group)
        assert await _refusals(client, refused)


async def test_only_the_dispatcher_makes_work_for_itself(connect: Connect) -> None:
    for service in USERS[1:]:
        client, refused = await connect(service)
        await client.publish("job.send", b"{}")
        assert bool(await _refusals(client, refused)) == (service != "dispatcher")
    assert JOBS.subjects == ("job.>",)
