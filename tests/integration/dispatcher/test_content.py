"""What a mail contains, from the request that describes it to the octets that a server accepted."""

import base64
import email
import email.policy
import re
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest

from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from tests.support.dispatcher import (
    MASTER_KEY,
    SENDER,
    Dispatcher,
    DispatcherWorld,
    dispatcher_world,
)
from tests.support.mongo import MongoServer

KEYS = TokenKeys(KeyRing.parse(MASTER_KEY))
LOGO, TERMS = b"\x89PNG\r\n.\r\n", b"%PDF" * 5000


@pytest.fixture
async def world(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[DispatcherWorld]:
    async with dispatcher_world(mongo_server, tmp_path) as world:
        await world.dispatcher().start()
        await world.until(world._sender_known, "the sender is known")
        yield world


def one(world: DispatcherWorld) -> Dispatcher:
    return world.dispatchers[0]


def body(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": "spring",
        "senders": ["s1"],
        "steps": list(steps),
        "postal_address": "1 Main St",
        **fields,
    }


def file(name: str, kind: str, content: bytes, **more: str) -> dict[str, str]:
    encoded = base64.b64encode(content).decode()
    return {"filename": name, "content_type": kind, "content": encoded, **more}


def received(world: DispatcherWorld, recipient: str) -> list[EmailMessage]:
    return [
        email.message_from_bytes(world.box.mail(record), policy=email.policy.default)
        for record in world.box.records("accepted")
        if record.recipient == recipient
    ]


async def test_files_travel_with_the_step_and_the_same_step_again_needs_no_content(
    world: DispatcherWorld,
) -> None:
    step = {
        "subject": "{Hi|Hello} {{ first_name | default: 'there' }}",
        "body_html": "<p>{{ first_name }} <img src='cid:logo'></p>",
        "attachments": [
            file("logo.png", "image/png", LOGO, content_id="logo"),
            file("Preise für 💌.pdf", "application/pdf", TERMS),
        ],
    }
    via = one(world)
    made = await via.api("POST", "/campaigns", json=body(step))
    shown = made["steps"][0]["attachments"]
    assert [f["size_bytes"] for f in shown] == [len(LOGO), len(TERMS)]
    assert all("content" not in f for f in shown)
    again = {**step, "attachments": shown, "subject": "Hi {{ first_name }}"}
    await via.api("PATCH", f"/campaigns/{made['id']}", json={"steps": [again]})
    leads = [{"email": "accept+1@people.test", "first_name": "Zoë <3"}]
    await via.api("POST", f"/campaigns/{made['id']}/leads", json=leads)
    await via.api("POST", f"/campaigns/{made['id']}/start")
    await world.settled(made["id"], 1, "accepted")
    (mail,) = received(world, "accept+1@people.test")
    assert mail["subject"] == "Hi Zoë <3"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related",
        "text/html", "image/png", "application/pdf",
    ]  # fmt: skip
    *_, logo, terms = mail.walk()
    assert (logo["content-id"], logo.get_payload(decode=True)) == ("<logo>", LOGO)
    assert (terms.get_filename(), terms.get_payload(decode=True)) == ("Preise für 💌.pdf", TERMS)


async def test_a_preview_is_what_the_lead_gets_and_a_test_mail_counts_for_nothing(
    world: DispatcherWorld,
) -> None:
    via = one(world)
    steps = (
        {"subject": "{a|b|c|d} {{ first_name }}", "body_text": "{a|b|c|d} see https://x.test/"},
        {"body_html": "<p>again {{ first_name }}</p>", "condition": "always", "delay": 3600,
         "attachments": [file("a.txt", "text/plain", b"x")]},
    )  # fmt: skip
    made = await via.api("POST", "/campaigns", json=body(*steps, tracking={"clicks": True}))
    path = f"/campaigns/{made['id']}"
    assert (await via.http.get(f"{path}/preview")).status_code == 404
    leads = [{"email": "accept+1@people.test", "first_name": "Jo"}]
    await via.api("POST", f"{path}/leads", json=leads)
    first = await via.api("GET", f"{path}/preview?lead=accept%2B1@people.test")
    second = await via.api("GET", f"{path}/preview?step=1&variant=A")
    assert second["subject"] == f"Re: {first['subject']}"
    assert second["attachments"][0]["filename"] == "a.txt"
    assert "again Jo" in second["text"]
    assert "again Jo" in second["html"]
    for wrong, field in (("step=2", "step"), ("variant=B", "variant")):
        answer = await via.http.get(f"{path}/preview?{wrong}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)

    sent = await via.api(
        "POST", f"{path}/test-send", json={"to": "accept+me@people.test", "step": 1}
    )

    async def accepted() -> bool:
        row = await via.http.get(f"/deliveries/{sent['delivery_id']}")
        return bool(row.is_success and row.json()["state"] == "accepted")

    await world.until(accepted, "the test mail is accepted", via.tail)
    (mail,) = received(world, "accept+me@people.test")
    assert mail["subject"] == second["subject"]
    assert mail["to"] == "accept+me@people.test"
    assert [f.get_filename() for f in mail.iter_attachments()] == ["a.txt"]
    stats = await via.api("GET", f"{path}/stats")
    assert (stats["deliveries"], stats["leads"]) == ({}, {"active": 1})

    await via.api("POST", f"{path}/start")
    await world.settled(made["id"], 1, "accepted")
    (real,) = received(world, "accept+1@people.test")
    assert real["subject"] == first["subject"]
    token = re.search(r"/c/([\w-]+)", cast(str, real.get_content()))
    assert token
    assert KEYS.read(Purpose.CLICK, token[1]) is not None
    assert cast(str, real.get_content())[:20] == first["text"][:20]


async def test_a_step_without_a_field_that_some_leads_lack_is_skipped_for_them_with_the_reason(
    world: DispatcherWorld,
) -> None:
    via = one(world)
    made = await via.api(
        "POST", "/campaigns", json=body({"subject": "x", "body_text": "{{ nick }}"})
    )
    path = f"/campaigns/{made['id']}"
    await via.api("POST", f"{path}/leads", json=[{"email": "accept+1@people.test"}])
    refused = await via.http.post(f"{path}/start")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "steps.0"
    assert "'nick'" in refused.json()["errors"][0]["message"]
    leads = [{"email": "accept+2@people.test", "nick": "Jo"}]
    await via.api("POST", f"{path}/leads", json=leads)
    await via.api("POST", f"{path}/start")
    rows = await world.settled(made["id"], 2)
    assert rows["accept+2@people.test"]["state"] == "accepted"
    skipped = rows["accept+1@people.test"]
    assert skipped["state"] == "skipped"
    assert "step 1, variant A: 'nick' is undefined" in skipped["reason"]


STEP = {"subject": "Hi", "body_text": "x"}


def row(wrong: dict[str, Any], field: str, id: str) -> tuple[str, str, dict[str, Any]]:  # noqa: A002
    return id, field, wrong


REFUSED = [
    row(body(STEP | {"body_text": "{{ v"}), "steps.0.body_text", id="not closed"),
    row(
        body(STEP, STEP | {"body_text": "{% for i in (1..9) %}{% endfor %}"}),
        "steps.1.body_text",
        id="an endless loop",
    ),
    row(
        body(
            STEP
            | {"body_text": '{{ "' + "a" * 999 + '"' + ' | replace: "a", "aaaaaaaaa"' * 9 + "}}"}
        ),
        "steps.0.body_text",
        id="a result of 1 GB",
    ),
    row(body(STEP | {"subject": "{{ email.__class__ }}"}), "steps.0.subject", id="an attribute"),
    row(body({"subject": "x"}), "steps.0", id="no body"),
    row(body({"variants": [{"name": "A", **STEP, "weight": 0}]}), "steps.0", id="no weight"),
    row(
        body(
            {
                "variants": [
                    {"name": "A", **STEP},
                    {"name": "B", **STEP, "body_html": "<a href='javascript:x'>y</a>"},
                ]
            }
        ),
        "steps.0.variants.1.body_html",
        id="a link that runs",
    ),
    row(
        body(STEP | {"subject": "a\r\nBcc: x@y.test"}),
        "steps.0.subject",
        id="a line end in a header",
    ),
    row(body(STEP | {"subject": "a\x00"}), "steps.0.subject", id="a control character"),
    row(body(STEP, postal_address=" "), "postal_address", id="no postal address"),
    row(
        body(STEP | {"attachments": [file("a", "message/rfc822", b"x")]}),
        "steps.0.attachments.0",
        id="a mail in a mail",
    ),
    row(
        body(STEP | {"attachments": [file("a\nb", "text/plain", b"x")]}),
        "steps.0.attachments.0",
        id="a line end in a file name",
    ),
    row(
        body(STEP | {"attachments": [file("a", "text/plain", b"x" * 4_000_000)] * 2}),
        "steps.0",
        id="too much to attach",
    ),
    row(
        body(
            STEP
            | {"attachments": [{"filename": "a", "content_type": "text/plain", "id": "0" * 64}]}
        ),
        "steps.0.attachments.0.id",
        id="a content that was never given",
    ),
]


async def test_a_text_that_could_never_be_sent_is_refused_with_its_field(
    world: DispatcherWorld,
) -> None:
    named = {}
    for name, _, wrong in REFUSED:
        answer = await one(world).http.post("/campaigns", json=wrong)
        assert answer.status_code == 422, name
        assert answer.headers["content-type"] == "application/problem+json"
        named[name] = answer.json()["errors"][0]["field"]
    assert named == {name: field for name, field, _ in REFUSED}
    assert await world.database.campaigns.count_documents({}) == 0


@pytest.mark.parametrize(
    ("kind", "expected"), [("internal", True), ("external", False)], ids=["ours", "unknown"]
)
async def test_a_campaign_may_ask_for_a_token_in_the_address_to_reply_to(
    world: DispatcherWorld, kind: str, expected: bool
) -> None:
    await world.say_sender(kind=kind)
    campaign = await world.campaign(one(world), ["accept+1@people.test"], reply_token=True)
    rows = await world.settled(campaign, 1, "accepted")
    (mail,) = received(world, "accept+1@people.test")
    assert SENDER in mail["from"]
    assert ("reply-to" in mail) == expected
    if expected:
        token = str(mail["reply-to"]).partition("+")[2].partition("@")[0]
        content = KEYS.read(Purpose.REPLY, token)
        assert content
        assert content.delivery_id == rows["accept+1@people.test"]["_id"]
