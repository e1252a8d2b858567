"""Events as signed POSTs: to whom they should, in order, again when they failed, nowhere else."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from postfleet.cloudevents import Announcement
from postfleet.events.inbox import ReplyDetected
from tests.support import redelivery
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import API_KEY, RunningTracker, new_id, running_tracker, sent
from tests.support.webserver import Asked, Reply, web_server

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

PATH = "/api/public/v1/webhooks"
KEY = {"X-API-Key": API_KEY}


class Receiver:
    """Answers with `statuses` in turn, then 204; remembers what it was told."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.told: list[Asked] = []

    async def __call__(self, asked: Asked) -> Reply:
        self.told.append(asked)
        return (self.statuses.pop(0) if self.statuses else 204), b""

    @property
    def types(self) -> list[str]:
        return [json.loads(asked.body)["type"] for asked in self.told]


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(
        mongo_server.url, tmp_path, webhook_networks="127.0.0.0/8,::1/128"
    ) as running:
        yield running


async def _create(tracker: RunningTracker, url: str, *events: str) -> dict[str, Any]:
    answer = await tracker.http.post(PATH, json={"url": url, "events": list(events)}, headers=KEY)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def _until_told(tracker: RunningTracker, receiver: Receiver, count: int) -> None:
    async def told() -> bool:
        return len(receiver.told) >= count

    await tracker.until(told, 20)


def _story() -> list[Any]:
    mail = sent(new_id(), occurred_at=datetime.now(UTC))
    facts = mail.model_dump(include=set(ReplyDetected.model_fields))
    return [mail, ReplyDetected(**facts, text="Yes <b>")]


async def test_an_event_arrives_signed_and_with_its_own_id(tracker: RunningTracker) -> None:
    receiver = Receiver()
    async with web_server(receiver, None) as server:
        webhook = await _create(tracker, f"{server.url}/hook?a=1", "reply.detected")
        await tracker.say(*_story())
        await _until_told(tracker, receiver, 1)
        (asked,) = receiver.told
        payload = Webhook(webhook["secret"]).verify(asked.body, asked.headers)
        assert (asked.method, asked.target) == ("POST", "/hook?a=1")
        assert (payload["type"], payload["data"]["text"]) == ("reply.detected", "Yes <b>")
        ids = {h["ce-id"] for s, h, _ in await tracker.events() if s == "reply.detected"}
        assert {asked.headers["webhook-id"]} == ids
    shown = (await tracker.http.get(f"{PATH}/{webhook['id']}", headers=KEY)).json()
    assert "secret" not in shown
    assert shown["state"] == "active"


async def test_what_failed_is_tried_again_and_what_follows_it_waits(
    tracker: RunningTracker,
) -> None:
    receiver = Receiver(500)
    async with web_server(receiver, None) as server:
        webhook = await _create(tracker, server.url)
        await tracker.say(*_story())
        await _until_told(tracker, receiver, 3)
        assert receiver.types == ["email.sent", "email.sent", "reply.detected"]
        log = (await tracker.http.get(f"{PATH}/{webhook['id']}/deliveries", headers=KEY)).json()
        statuses = {(e["type"], e["attempt"]): e["status"] for e in log["items"]}
        assert statuses[("email.sent", 1)] == 500
        assert statuses[("email.sent", 2)] == 204


@pytest.mark.parametrize("seed", range(2))
async def test_what_comes_three_times_in_any_order_is_posted_once(
    tracker: RunningTracker, seed: int
) -> None:
    receiver = Receiver()
    async with web_server(receiver, None) as server:
        await _create(tracker, server.url)
        told = [Announcement(event, new_id()) for _ in range(6) for event in _story()]
        await redelivery.publish(tracker.bus.jetstream, told, seed)
        await tracker.until(lambda: _queued(tracker))
        await _until_told(tracker, receiver, len(told))
        later = Announcement(_story()[0], new_id())  # whatever was posted twice came before it
        await redelivery.publish(tracker.bus.jetstream, [later], seed, times=1)
        await _until_told(tracker, receiver, len(told) + 1)
    ids = [asked.headers["webhook-id"] for asked in receiver.told]
    assert sorted(ids) == sorted(one.id for one in [*told, later])


async def _queued(tracker: RunningTracker) -> bool:
    info = await tracker.bus.jetstream.consumer_info("EVENTS", "tracker-webhooks")
    return not info.num_pending and not info.num_ack_pending


async def test_a_dead_endpoint_harms_no_other(tracker: RunningTracker) -> None:
    receiver = Receiver()
    async with web_server(receiver, None) as server:
        await _create(tracker, "http://127.0.0.1:9/")
        await _create(tracker, server.url)
        for _ in range(5):
            await tracker.say(*_story())
        await _until_told(tracker, receiver, 10)
        assert len(receiver.told) == 10


async def test_a_redirect_is_not_followed(tracker: RunningTracker) -> None:
    receiver = Receiver(302)
    async with web_server(receiver, None) as server:
        webhook = await _create(tracker, server.url, "reply.detected")
        await tracker.say(*_story())
        await _until_told(tracker, receiver, 2)
        assert [asked.target for asked in receiver.told] == ["/", "/"]
        log = (await tracker.http.get(f"{PATH}/{webhook['id']}/deliveries", headers=KEY)).json()
        assert log["items"][-1]["status"] == 302


async def test_an_endpoint_that_is_gone_is_disabled_until_a_replay(tracker: RunningTracker) -> None:
    receiver = Receiver(410)
    async with web_server(receiver, None) as server:
        webhook = await _create(tracker, server.url, "reply.detected")
        since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        await tracker.say(*_story())

        async def disabled() -> bool:
            shown = await tracker.http.get(f"{PATH}/{webhook['id']}", headers=KEY)
            return bool(shown.json()["state"] == "disabled")

        async def said() -> bool:
            return any(s == "webhook.disabled" for s, _, _ in await tracker.events())

        await tracker.until(disabled)
        await tracker.until(said)
        await tracker.say(*_story())
        answer = await tracker.http.post(
            f"{PATH}/{webhook['id']}/replay", json={"since": since}, headers=KEY
        )
        assert answer.status_code == 202, answer.text
        await _until_told(tracker, receiver, 3)
        assert receiver.types == ["reply.detected"] * 3


async def test_a_webhook_does_not_reach_into_the_network(
    mongo_server: MongoServer, tmp_path: Path
) -> None:
    receiver = Receiver()
    async with (
        running_tracker(mongo_server.url, tmp_path) as tracker,
        web_server(receiver, None) as server,
    ):
        port = server.url.rsplit(":", 1)[1].rstrip("/")
        webhook = await _create(tracker, f"https://localhost:{port}/", "reply.detected")
        await tracker.say(*_story())

        async def logged() -> bool:
            log = await tracker.http.get(f"{PATH}/{webhook['id']}/deliveries", headers=KEY)
            return bool(log.json()["items"])

        await tracker.until(logged)
        log = (await tracker.http.get(f"{PATH}/{webhook['id']}/deliveries", headers=KEY)).json()
        assert "not on the internet" in log["items"][0]["error"]
        assert receiver.told == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"url": "ftp://example.com/"}, id="no web address"),
        pytest.param({"url": "https://169.254.169.254/"}, id="an address that is not public"),
        pytest.param({"url": "https://[::ffff:10.0.0.1]/"}, id="such an address in another form"),
        pytest.param({"url": "https://user:pw@example.com/"}, id="a password in it"),
        pytest.param({"url": "https:///path"}, id="no host"),
        pytest.param({"url": "https://example.com:0/"}, id="port 0"),
        pytest.param({"url": "https://example.com/ x"}, id="a space in it"),
        pytest.param(
            {"url": "https://example.com/", "events": ["email.eaten"]}, id="no such event"
        ),
        pytest.param({"url": "https://example.com/", "colour": "red"}, id="an unknown field"),
        pytest.param({}, id="nothing"),
    ],
)
async def test_a_webhook_that_cannot_work_is_refused(
    tracker: RunningTracker, body: dict[str, Any]
) -> None:
    answer = await tracker.http.post(PATH, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID")
    assert (await tracker.http.get(PATH, headers=KEY)).json()["items"] == []
