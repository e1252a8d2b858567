"""MX lookups against a name server of our own: asked once, cached, and nobody waits for them."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from dispatcher.exchangers import Exchangers
from postfleet.tasks import end
from tests.support.nameserver import name_server

RECORDS = {
    ("acme.test", "MX"): ["10 aspmx.l.google.com.", "20 backup.acme.test."],
    ("own.test", "MX"): ["5 mail.own.test."],
}


@pytest.fixture
async def exchangers() -> AsyncIterator[Exchangers]:
    async with name_server(RECORDS) as address:
        host, _, port = address.rpartition(":")
        made = Exchangers(nameservers=(host,), port=int(port))
        running = asyncio.create_task(made.run())
        yield made
        await end(running)


async def until_known(exchangers: Exchangers, address: str, destination: str) -> None:
    deadline = time.monotonic() + 10
    while exchangers.destination(address) != destination:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_domain_is_itself_until_its_mx_is_known_and_then_its_provider(
    exchangers: Exchangers,
) -> None:
    assert exchangers.destination("jo@acme.test") == "acme.test"
    await until_known(exchangers, "jo@acme.test", "google")
    assert exchangers.of("acme.test") == ("aspmx.l.google.com", "backup.acme.test")
    assert exchangers.destination("jo@own.test") == "own.test"
    assert exchangers.destination("jo@gmail.com") == "google"


async def test_a_domain_without_mx_stays_a_domain_and_is_not_asked_for_again(
    exchangers: Exchangers,
) -> None:
    assert exchangers.destination("jo@nowhere.test") == "nowhere.test"
    await until_known(exchangers, "jo@acme.test", "google")
    await until_known(exchangers, "jo@nowhere.test", "nowhere.test")
    assert exchangers.of("nowhere.test") == ()


async def test_without_dns_every_domain_is_itself_and_nothing_is_asked() -> None:
    off = Exchangers(enabled=False)
    await off.run()
    assert off.destination("jo@acme.test") == "acme.test"
    assert not off._waiting


async def test_what_waits_for_an_answer_is_bounded() -> None:
    waiting = Exchangers()
    for number in range(5000):
        waiting.of(f"{number}.test")
    assert len(waiting._waiting) == 2000
