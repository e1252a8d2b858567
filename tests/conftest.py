"""Servers that many tests share: started by the first test that asks, stopped after the last."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

# The same examples on every machine, however slow: what a run finds, the next one finds too.
settings.register_profile(
    "postfleet", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("postfleet")


@pytest.fixture(scope="session")
def mail_pair() -> Iterator[MailPair]:
    """Domains one.test and two.test; every test adds mailboxes of its own."""
    if reason := MailPair.missing():
        pytest.skip(reason)
    with MailPair(domains=["one.test", "two.test"]) as pair:
        yield pair


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """Shared: use stream and subject prefixes of your own, and do not kill it."""
    if reason := NatsServer.missing():
        pytest.skip(reason)
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="module")
def own_nats() -> Iterator[NatsServer]:
    """A module's own: it may hold the real streams and durables, and be killed."""
    if reason := NatsServer.missing():
        pytest.skip(reason)
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoServer]:
    """Shared: name databases by `mongo_server.database(...)`, and do not kill it."""
    if reason := MongoServer.missing():
        pytest.skip(reason)
    with MongoServer() as server:
        yield server
