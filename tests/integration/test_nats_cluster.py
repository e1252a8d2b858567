"""Three nodes as we deploy them, every stream three times: the leader dies, nothing is lost."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from postfleet import reconcile
from postfleet.bus import Bus
from postfleet.publishing import PUBLISH_TIMEOUT
from postfleet.topology import DURABLES, STREAMS
from tests.support.busworld import mailboxes
from tests.support.natscluster import NODES, NatsCluster

EVENTS = 5000
AT_ONCE = 250  # a relay's batch

pytestmark = pytest.mark.skipif(bool(NatsCluster.missing()), reason=str(NatsCluster.missing()))


@pytest.fixture(scope="module")
def cluster() -> Iterator[NatsCluster]:
    with NatsCluster() as three:
        yield three


@pytest.fixture
async def ops(cluster: NatsCluster) -> AsyncIterator[Client]:
    """Connected, with the streams made on three nodes."""
    client = await cluster.connect()
    await reconcile.apply(client.jetstream(timeout=30), replicas=3)
    yield client
    await client.close()


@pytest.fixture
async def bus(cluster: NatsCluster, ops: Client) -> AsyncIterator[Bus]:
    one = cluster.bus("mail-provisioner")
    await one.connect()
    yield one
    await one.stop()


async def _stored(ops: Client) -> list[str]:
    """The ids of all events in the stream, as its leader has them: a replica may lag behind."""
    jetstream = ops.jetstream(timeout=30)
    state = (await jetstream.stream_info("EVENTS")).state
    found = [
        await jetstream.get_msg("EVENTS", n) for n in range(state.first_seq, state.last_seq + 1)
    ]
    return [(message.headers or {})["ce-id"] for message in found]


async def test_streams_and_durables_are_on_three_nodes(ops: Client) -> None:
    jetstream = ops.jetstream(timeout=30)
    for stream in STREAMS:
        info = await jetstream.stream_info(stream.name)
        assert info.config.num_replicas == 3
        assert info.cluster is not None
        assert len(info.cluster.replicas or []) == 2
    for durable in DURABLES:
        consumer = await jetstream.consumer_info(durable.stream, durable.name)
        assert consumer.cluster is not None
        assert len(consumer.cluster.replicas or []) == 2


@pytest.mark.parametrize("with_certificate", [True, False])
def test_only_who_holds_a_certificate_of_the_authority_is_a_node(
    cluster: NatsCluster, with_certificate: bool
) -> None:
    context = ssl.create_default_context(cafile=cluster.ca_file)
    if with_certificate:
        folder = Path(cluster.ca_file).parent
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    assert _greeted(cluster.route_port(NODES[0]), context) == with_certificate


def _greeted(port: int, context: ssl.SSLContext) -> bool:
    """Whether the node talks to us; with TLS 1.3 a refusal comes at the first read."""
    try:
        with (
            socket.create_connection(("localhost", port), 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            return b"INFO" in tls.recv(4096)
    except (ssl.SSLError, ConnectionError):
        return False


async def test_the_leader_dies_while_5000_events_are_published_and_each_is_stored_once(
    cluster: NatsCluster, ops: Client, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    events = mailboxes(range(EVENTS))
    leader = await cluster.leader("EVENTS", ops)
    longest = refused = 0.0
    for start in range(0, EVENTS, AT_ONCE):
        left = events[start : start + AT_ONCE]
        began = time.monotonic()
        publishing = asyncio.create_task(bus.publish_each(left))
        if start == EVENTS // 2:
            await asyncio.sleep(0)  # the batch is on its way
            cluster.kill(leader)
        failed = await publishing
        while failed:  # as an outbox does: the same events under the same ids
            refused += 1
            failed = await bus.publish_each([event for event in left if event.id in failed])
        longest = max(longest, time.monotonic() - began)
    cluster.start(leader)
    stored = await _stored(ops)
    with capsys.disabled():
        print(
            f"\nleader {leader} killed: {EVENTS} events, longest wait {longest:.1f} s, "
            f"{refused:.0f} batches refused and said again"
        )
    assert sorted(stored) == sorted(event.id for event in events)
    assert longest < 2 * PUBLISH_TIMEOUT


async def test_a_publisher_waits_out_15_seconds_without_a_majority(
    cluster: NatsCluster, ops: Client, bus: Bus
) -> None:
    leader = await cluster.leader("EVENTS", ops)
    hung = [leader, next(node for node in NODES if node != leader)]
    for node in hung:
        cluster.pause(node)
    began = time.monotonic()
    publishing = asyncio.create_task(bus.publish_each(mailboxes(range(90_000, 90_010))))
    try:
        await asyncio.sleep(15)
        assert not publishing.done()
    finally:
        for node in hung:
            cluster.resume(node)
    assert await publishing == {}, "nobody had to say them again"
    assert time.monotonic() - began < PUBLISH_TIMEOUT
    stored = [
        id_ for id_ in await _stored(ops) if id_ in {a.id for a in mailboxes(range(90_000, 90_010))}
    ]
    assert len(stored) == 10
