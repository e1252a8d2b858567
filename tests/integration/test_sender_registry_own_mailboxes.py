"""Internal senders: from a domain and a prefix to a mailbox that sends, and back if that fails."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import nats
import orjson
import pytest

from postfleet import instants
from postfleet.cloudevents import Announcement
from postfleet.events.domains import DomainAdded, MailboxCreated, MailboxDeleted, MailboxFailed
from tests.support import redelivery
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry.world import (
    ACCOUNTS,
    Registry,
    documents,
    master_ring,
    registry,
    settings,
    until,
)

PASSWORD = "canary of the mailbox"


@dataclass
class Provisioner:
    """Answers as mail-provisioner does; `state` is how far a new mailbox is when it is asked for."""

    pair: MailPair
    state: str = "live"
    silent: bool = False
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answer(self, subject: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((subject, request))
        if subject == "rpc.mailbox.create":
            address = f"{request['prefix']}@{request['domain']}"
            if self.state == "refused":
                return {"state": "refused", "code": "NAME_INVALID", "reason": "no such names"}
            self.pair.add_mailbox(address, PASSWORD)
            return {"address": address, "state": self.state, "code": "", "reason": ""}
        if subject == "rpc.mailbox.delete":
            return {"state": "deleted"}
        sealed = master_ring().seal(
            PASSWORD, service="mail-provisioner", record=request["address"], name="password"
        )
        return {
            "sealed": sealed,
            "service": "mail-provisioner",
            "record": request["address"],
            "name": "password",
        }

    def requests(self, subject: str) -> list[dict[str, Any]]:
        return [request for said, request in self.asked if said == subject]


@pytest.fixture
async def provisioner(own_nats: NatsServer, mail_pair: MailPair) -> AsyncIterator[Provisioner]:
    found = Provisioner(mail_pair)
    client = await nats.connect(own_nats.url)

    async def reply(message: Any) -> None:
        if not found.silent:
            answer = found.answer(message.subject, orjson.loads(message.data))
            await message.respond(orjson.dumps(answer))

    await client.subscribe("rpc.mailbox.*", cb=reply)
    await client.flush()
    yield found
    await client.close()


@pytest.fixture
async def running(
    own_nats: NatsServer, mongo_server: MongoServer, mail_pair: MailPair
) -> AsyncIterator[Registry]:
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    configuration = settings(
        own_nats.url,
        mongo_server.url,
        prefix,
        tls_ca_file=str(mail_pair.ca_file),
        mail_host="127.0.0.1",
        mail_submission_port=mail_pair.submission_port,
        mail_imaps_port=mail_pair.imaps_port,
    )
    async with registry(configuration) as found:
        yield found


def request(**changes: Any) -> dict[str, Any]:
    names = {"domain": "one.test", "prefix": f"m{secrets.token_hex(5)}"}
    return {"kind": "internal", "display_name": "Ann", **names, **changes}


async def ready(running: Registry, sender_id: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        shown = await running.show(sender_id)
        return shown if shown["status"] == "ready" else None

    shown: dict[str, Any] = await until(found, "ready")
    return shown


@pytest.mark.seed("S1", "S2", "S9", "S10")
async def test_a_mailbox_is_made_logged_in_to_and_ready_without_a_password_being_typed(
    running: Registry, provisioner: Provisioner
) -> None:
    wanted = request()
    answer = await running.http.post(ACCOUNTS, json=wanted)
    made = answer.json()
    assert (answer.status_code, made["status"]) == (201, "ready"), answer.text
    assert made["email_address"] == f"{wanted['prefix']}@one.test"
    assert (made["kind"], made["provisioning"]["state"]) == ("internal", "ready")
    assert (made["validation"]["smtp"]["ok"], made["validation"]["imap"]["ok"]) == (True, True)
    asked, *again = provisioner.requests("rpc.mailbox.create")
    assert all(one == asked for one in again)  # an answer that came late is asked for again
    assert asked["request_id"] == made["id"]
    credentials = await running.ask(
        "rpc.sender.credentials", {"sender_id": made["id"], "protocol": "smtp"}
    )
    opened = master_ring().open(
        credentials["sealed"], service="sender-registry", record=made["id"], name="smtp_password"
    )
    assert opened == PASSWORD
    assert "canary" not in answer.text + repr(await documents(running, "senders"))
    await running.event("sender.ready", made["id"])


async def test_a_mailbox_that_takes_its_time_is_ready_when_it_is_announced(
    running: Registry, provisioner: Provisioner
) -> None:
    provisioner.state = "wanted"
    made = (await running.http.post(ACCOUNTS, json=request())).json()
    assert (made["status"], made["status_code"]) == ("restricted", "PROVISIONING")
    assert made["provisioning"]["state"] == "requested"
    validate = await running.http.post(f"{ACCOUNTS}/{made['id']}/validate")
    assert (validate.status_code, validate.json()["code"]) == (409, "NO_MAILBOX")
    for _ in range(2):  # it may be told twice
        await running.tell(
            MailboxCreated(
                occurred_at=instants.now(),
                address=made["email_address"],
                domain="one.test",
                request_id=made["id"],
            )
        )
    shown = await ready(running, made["id"])
    assert shown["provisioning"]["state"] == "ready"


async def test_a_name_that_is_refused_leaves_nothing_behind(
    running: Registry, provisioner: Provisioner
) -> None:
    provisioner.state = "refused"
    wanted = request()
    answer = await running.http.post(ACCOUNTS, json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "NAME_INVALID")
    assert (await running.http.get(ACCOUNTS)).json()["items"] == []
    provisioner.state = "live"
    assert (await running.http.post(ACCOUNTS, json=wanted)).status_code == 201


async def test_a_mailbox_that_fails_later_restricts_its_sender_and_says_why(
    running: Registry, provisioner: Provisioner
) -> None:
    provisioner.state = "wanted"
    made = (await running.http.post(ACCOUNTS, json=request())).json()
    await running.tell(
        MailboxFailed(
            occurred_at=instants.now(),
            address=made["email_address"],
            domain="one.test",
            request_id=made["id"],
            code="DISK_FULL",
            reason="no space",
        )
    )
    event = await running.event("sender.restricted", made["id"])
    assert event["code"] == "MAILBOX_FAILED"
    shown = await running.show(made["id"])
    assert shown["provisioning"] == {"state": "failed", "detail": "DISK_FULL: no space"}


@pytest.mark.parametrize("seed", range(3))
async def test_news_of_mailboxes_three_times_more_in_any_order_changes_nothing(
    running: Registry, provisioner: Provisioner, seed: int
) -> None:
    made, failed, deleted, again = await _four(running, provisioner)
    told = [
        Announcement(event, secrets.token_hex(16))
        for event in (
            MailboxCreated(**_named(made), request_id=made["id"]),
            MailboxFailed(**_named(failed), request_id=failed["id"], code="DISK_FULL", reason="no"),
            MailboxDeleted(**_named(deleted)),
            MailboxDeleted(**_named(again)),
            DomainAdded(occurred_at=instants.now(), domain="one.test"),
        )
    ]
    await redelivery.publish(running.nats.jetstream(), told, seed, times=1)
    await until(lambda: _heard(running), "news")
    validate = await running.http.post(f"{ACCOUNTS}/{again['id']}/validate")
    assert validate.status_code == 200, validate.text
    shown = [await running.show(one["id"]) for one in (made, failed, deleted, again)]
    codes = [one["status_code"] for one in shown]
    assert codes == [None, "MAILBOX_FAILED", "MAILBOX_DELETED", None]
    said = len(running.said)

    await redelivery.publish(running.nats.jetstream(), told, seed)
    await until(lambda: _heard(running), "all of it")
    assert [await running.show(one["id"]) for one in shown] == shown
    assert len(running.said) == said


async def _four(running: Registry, provisioner: Provisioner) -> list[dict[str, Any]]:
    """Two whose mailbox is awaited, two that are ready."""
    answers = []
    for provisioner.state in ("wanted", "wanted", "live", "live"):
        answers.append(await running.http.post(ACCOUNTS, json=request()))
    provisioner.state = "live"
    assert [answer.status_code for answer in answers] == [201] * 4
    return [answer.json() for answer in answers]


def _named(sender: dict[str, Any]) -> dict[str, Any]:
    return {
        "occurred_at": instants.now(),
        "address": sender["email_address"],
        "domain": "one.test",
    }


async def _heard(running: Registry) -> bool:
    info = await running.nats.jetstream().consumer_info("EVENTS", "sender-registry-mailboxes")
    return not info.num_pending and not info.num_ack_pending


async def test_a_mailbox_that_comes_after_its_sender_was_deleted_is_removed(
    running: Registry, provisioner: Provisioner
) -> None:
    provisioner.state = "wanted"
    made = (await running.http.post(ACCOUNTS, json=request())).json()
    confirm = {"confirm": made["email_address"]}
    assert (
        await running.http.delete(f"{ACCOUNTS}/{made['id']}", params=confirm)
    ).status_code == 204
    undo = {"address": made["email_address"], "request_id": made["id"]}
    assert provisioner.requests("rpc.mailbox.delete") == [undo]
    await running.tell(
        MailboxCreated(
            occurred_at=instants.now(),
            address=made["email_address"],
            domain="one.test",
            request_id=made["id"],
        )
    )

    async def undone_again() -> bool:
        return provisioner.requests("rpc.mailbox.delete") == [undo, undo]

    await until(undone_again, "the second removal")


async def test_a_mailbox_that_is_in_use_is_left_to_the_operator(
    running: Registry, provisioner: Provisioner
) -> None:
    made = (await running.http.post(ACCOUNTS, json=request())).json()
    await running.http.delete(f"{ACCOUNTS}/{made['id']}", params={"confirm": made["email_address"]})
    assert provisioner.requests("rpc.mailbox.delete") == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"domain": None}, "domain"),
        ({"prefix": None}, "prefix"),
        ({"prefix": "a b"}, "prefix"),
        ({"prefix": "a\r\nb"}, "prefix"),
        ({"smtp_password": "x"}, "smtp_password"),
        ({"email_address": "other@one.test"}, "email_address"),
        ({"domain": "no domain"}, "domain"),
    ],
)
async def test_what_an_internal_sender_needs_is_named(
    running: Registry, provisioner: Provisioner, changes: dict[str, Any], field: str
) -> None:
    answer = await running.http.post(ACCOUNTS, json=request(**changes))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert provisioner.asked == []
