"""Master keys are changed while everything goes on, and no ciphertext is of use elsewhere."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postfleet.mongo import Mongo
from postfleet.secrets import CannotOpen, KeyRing
from sender_registry.settings import Settings
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry.world import (
    ACCOUNTS,
    MASTER_KEY,
    Registry,
    documents,
    registry,
    settings,
    started,
    until,
)

PASSWORD = "canary"
NEW_KEY = KeyRing.generate()
ROTATE = f"{ACCOUNTS}/rotate-keys"


@pytest.fixture
def configuration(
    nats_server: NatsServer, mongo_server: MongoServer, mail_pair: MailPair
) -> Settings:
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    return settings(nats_server.url, mongo_server.url, prefix, tls_ca_file=str(mail_pair.ca_file))


@pytest.fixture
async def running(configuration: Settings) -> AsyncIterator[Registry]:
    async with registry(configuration) as found:
        yield found


async def register(running: Registry, pair: MailPair) -> dict[str, Any]:
    address = f"{secrets.token_hex(6)}@one.test"
    pair.add_mailbox(address, PASSWORD)
    answer = await running.http.post(
        ACCOUNTS,
        json={
            "email_address": address,
            "smtp_host": "127.0.0.1",
            "smtp_port": pair.submission_port,
            "smtp_password": PASSWORD,
        },
    )
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def with_keys(configuration: Settings, keys: str) -> Settings:
    return settings(
        configuration.nats_url,
        configuration.mongodb_url,
        configuration.database_prefix,
        master_key=keys,
        tls_ca_file=configuration.tls_ca_file,
    )


@pytest.mark.seed("S23", "S24", "C33")
async def test_the_master_key_is_rotated_under_load_without_an_error(
    configuration: Settings, mail_pair: MailPair
) -> None:
    async with registry(configuration) as first:
        made = [await register(first, mail_pair) for _ in range(5)]
    both = with_keys(configuration, f"{NEW_KEY},{MASTER_KEY}")
    answers: list[int] = []
    rotated = asyncio.Event()
    async with registry(both) as running:

        async def load(sender_id: str) -> None:
            """Changes and log-in tests, for as long as the rotation takes.

            Ended by a flag: aiosmtplib waits by Python 3.11's wait_for, which may swallow a
            cancellation.
            """
            number = 0
            while not rotated.is_set():
                number += 1
                patch = {"name": f"name {number}"}
                path = f"{ACCOUNTS}/{sender_id}"
                answers.append((await running.http.patch(path, json=patch)).status_code)
                answers.append((await running.http.post(f"{path}/validate")).status_code)

        busy = [asyncio.create_task(load(sender["id"])) for sender in made]
        await until(lambda: _more_than(answers, 5), "some load")
        cursor, rewrapped = None, 0
        while True:
            done = (await running.http.post(ROTATE, json={"cursor": cursor, "limit": 2})).json()
            assert done["unreadable"] == []
            rewrapped += done["rewrapped"]
            cursor = done["next_cursor"]
            if cursor is None:
                break
        before = len(answers)
        await until(lambda: _more_than(answers, before + 5), "load afterwards")
        rotated.set()
        await asyncio.gather(*busy)
        again = (await running.http.post(ROTATE, json={})).json()
    assert rewrapped == 5
    assert set(answers) == {200}
    assert (again["rewrapped"], again["unchanged"]) == (0, 5)
    assert again["key_id"] == KeyRing.parse(NEW_KEY).newest
    async with started(with_keys(configuration, NEW_KEY)) as http:  # the old key is gone
        await until(lambda: _ready(http), "ready")
        for sender in made:
            tested = await http.post(f"{ACCOUNTS}/{sender['id']}/validate")
            assert tested.json()["validation"]["smtp"]["ok"] is True


@pytest.mark.seed("C33")
async def test_a_ciphertext_that_is_moved_to_another_sender_does_not_open(
    running: Registry, mail_pair: MailPair
) -> None:
    victim, thief = await register(running, mail_pair), await register(running, mail_pair)
    configuration = running.configuration
    mongo = Mongo(configuration.mongodb_url, "sender-registry", configuration.database_prefix)
    stored = {d["_id"]: d["secrets"] for d in await documents(running, "senders")}
    await mongo.database["senders"].update_one(
        {"_id": thief["id"]}, {"$set": {"secrets": stored[victim["id"]]}}
    )
    await mongo.close()
    with pytest.raises(CannotOpen):
        configuration.key_ring.open(
            stored[victim["id"]]["smtp"],
            service="sender-registry",
            record=thief["id"],
            name="smtp_password",
        )
    path = f"{ACCOUNTS}/{thief['id']}"
    tested = await running.http.post(f"{path}/validate")
    assert (tested.status_code, tested.json()["code"]) == (409, "SECRET_UNREADABLE")
    mended = await running.http.patch(path, json={"smtp_password": PASSWORD})
    assert mended.json()["status"] == "ready"
    assert (await running.http.post(f"{path}/validate")).status_code == 200


async def test_a_certificate_that_ends_soon_is_told_after_it_was_looked_at_again(
    configuration: Settings, mail_pair: MailPair
) -> None:
    """The certificates of the mail pair live for two days."""
    async with registry(configuration) as first:
        sender = await register(first, mail_pair)
    async with registry(configuration) as second:
        event = await second.event("credential.expiring", sender["id"])
        assert (event["what"], event["daily_volume"]) == ("smtp_certificate", 30)
    async with registry(configuration) as third:
        await asyncio.sleep(0.5)
        assert third.events("credential.expiring", sender["id"]) == []


async def _more_than(answers: list[int], count: int) -> bool:
    return len(answers) > count


async def _ready(http: Any) -> bool:
    return bool((await http.get("/readyz")).status_code == 200)
