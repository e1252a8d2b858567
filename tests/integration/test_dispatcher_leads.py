"""Leads over the API of a dispatcher that runs as a process: imports, states, colleagues."""

import asyncio
import quopri
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.dispatcher import Dispatcher, DispatcherWorld, dispatcher_world
from tests.support.mongo import MongoServer

CSV = {"Content-Type": "text/csv"}


async def draft(one: Dispatcher, **fields: Any) -> str:
    body = {
        "name": "spring",
        "senders": ["s1"],
        "steps": [{"subject": "Hello", "body_text": "Hi {{ email }}"}],
        "postal_address": "1 Main St",
        **fields,
    }
    return str((await one.api("POST", "/campaigns", json=body))["id"])


async def test_an_import_can_be_watched_and_repeated_after_its_process_died(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    campaign = await draft(one)
    leads, held = f"/campaigns/{campaign}/leads", asyncio.Event()

    async def file() -> AsyncIterator[bytes]:
        yield b"email,name\n"
        yield b"".join(b"l%d@people.test,L%d\n" % (n, n) for n in range(3000))
        yield b"nobody,X\n"
        await held.wait()

    upload = asyncio.create_task(
        one.http.post(leads, params={"import_id": "mine"}, content=file(), headers=CSV)
    )
    path = f"/campaigns/{campaign}/imports/mine"

    async def some() -> bool:
        answer = await one.http.get(f"http://127.0.0.1:{one.port}/api/public/v1{path}")
        return answer.is_success and answer.json()["rows_read"] == 3001

    await world.until(some, "progress is seen", one.tail)
    seen = await one.api("GET", path)
    assert (seen["state"], seen["invalid"]) == ("running", 1)
    again = await one.http.post(leads, params={"import_id": "mine"}, content=b"", headers=CSV)
    assert (again.status_code, again.json()["code"]) == (409, "IN_PROGRESS")
    one.kill()
    held.set()
    with pytest.raises(httpx.TransportError):
        await upload
    await one.start()
    await world.database.imports.update_one({}, {"$inc": {"changed_at": -60_000}})  # a minute later
    assert (await one.api("GET", path))["state"] == "interrupted"
    report = await one.api("POST", leads, params={"import_id": "mine"}, content=file(), headers=CSV)
    assert report["import_id"] == "mine"
    assert report["imported"] + report["duplicates"] == 3000
    assert report["rows"] == [{"row": 3002, "field": "email", "reason": "'nobody': there is no @"}]
    assert (await one.api("GET", path))["state"] == "done"
    (listed,) = (await one.api("GET", f"/campaigns/{campaign}/imports"))["items"]
    assert listed["import_id"] == "mine"
    assert (await one.api("GET", f"/campaigns/{campaign}/stats"))["leads"] == {"active": 3000}


@pytest.mark.parametrize(
    ("kind", "body", "status", "told", "imported"),
    [
        ("application/json", b'[{"email": "a@x.test"}, {"email"', 422, "behind entry 1", 1),
        ("application/x-ndjson", b'{"email": "a@x.test"}\n', 200, "", 1),
        ("text/csv", b"mail;name\na@x.test;A", 200, "", 1),
        ("text/csv", b"name\nA", 422, "no column email", 0),
        ("application/xml", b"<a/>", 415, "send text/csv", 0),
    ],
)
async def test_every_format_and_what_is_wrong_with_it(
    mongo_server: MongoServer,
    tmp_path: Path,
    kind: str,
    body: bytes,
    status: int,
    told: str,
    imported: int,
) -> None:
    async with dispatcher_world(mongo_server, tmp_path) as world:
        one = world.dispatcher()
        await one.start()
        campaign = await draft(one)
        headers = {"Content-Type": kind}
        answer = await one.http.post(f"/campaigns/{campaign}/leads", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert told in answer.text
        assert answer.json().get("imported", 0) == imported
        found = (await one.api("GET", f"/campaigns/{campaign}/leads"))["items"]
        assert [lead["email"] for lead in found] == ["a@x.test"] * imported
        imports = (await one.api("GET", f"/campaigns/{campaign}/imports"))["items"]
        expected = {200: ["done"], 422: ["failed"], 415: []}[status]
        assert [one["state"] for one in imports] == expected


async def test_leads_are_found_changed_and_removed(world: DispatcherWorld) -> None:
    one = world.dispatcher()
    await one.start()
    campaign = await draft(one)
    leads = f"/campaigns/{campaign}/leads"
    await one.api("POST", leads, json=[{"email": f"l{n}@x.test", "n": n} for n in range(7)])
    page = await one.api("GET", leads, params={"limit": 4})
    rest = await one.api("GET", leads, params={"limit": 4, "cursor": page["next_cursor"]})
    assert len({lead["id"] for lead in page["items"] + rest["items"]}) == 7
    assert rest["next_cursor"] is None
    l3 = f"{leads}/l3@x.test"
    changed = await one.api("PATCH", l3, json={"state": "paused", "fields": {"n": None, "m": "1"}})
    assert (changed["state"], changed["fields"]) == ("paused", {"m": "1"})
    (found,) = (await one.api("GET", leads, params={"state": "paused"}))["items"]
    assert (found["email"], found["reason"]) == ("l3@x.test", "by an operator")
    assert len((await one.api("GET", leads, params={"q": "@x.te"}))["items"]) == 7
    (exact,) = (await one.api("GET", leads, params={"q": "L4@x.test"}))["items"]
    assert exact["email"] == "l4@x.test"
    assert (await one.api("POST", f"{leads}/resume", json={}))["resumed"] == 1
    assert (await one.api("GET", l3))["state"] == "active"
    assert (await one.http.delete(l3)).status_code == 204
    assert (await one.http.get(l3)).status_code == 404
    for body in ({"state": "replied"}, {"fields": {"a": "\x00"}}, {"color": 1}):
        assert (await one.http.patch(f"{leads}/l4@x.test", json=body)).status_code == 422
    await one.api("POST", "/suppressions", json={"entry": "l5@x.test"})
    refused = await one.http.patch(f"{leads}/l5@x.test", json={"state": "active"})
    assert (refused.status_code, refused.json()["code"]) == (409, "SUPPRESSED")


@pytest.mark.seed("S302", "C31")
async def test_without_a_confirmed_opt_in_nobody_is_mailed_where_it_is_required(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    await world.until(world._sender_known, "the sender is known")
    campaign = await draft(one, require_opt_in=True)
    leads = f"/campaigns/{campaign}/leads"
    people = b"email,consent\naccept+1@people.test,confirmed\naccept+2@people.test,given\n"
    await one.api("POST", leads, content=people, headers=CSV)
    await one.api("POST", f"/campaigns/{campaign}/start")
    await world.settled(campaign, 1)
    waiting = await one.api("GET", f"{leads}/accept+2@people.test")
    assert waiting["state"] == "unconfirmed"
    assert waiting["consent"]["level"] == "given"
    kept = await one.http.patch(f"{leads}/accept+2@people.test", json={"state": "active"})
    assert kept.json()["state"] == "unconfirmed", "an operator's wish is no opt-in"
    assert world.accepted() == {"accept+1@people.test": 1}
    consent = {"level": "confirmed", "source": "answered our mail"}
    await one.api(
        "PATCH", f"{leads}/accept+2@people.test", json={"consent": consent, "state": "active"}
    )
    await world.settled(campaign, 2)
    assert world.accepted()["accept+2@people.test"] == 1


@pytest.mark.seed("S302")
async def test_a_lead_confirms_by_the_link_in_its_mail_and_only_by_the_button(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    await world.until(world._sender_known, "the sender is known")
    campaign = await draft(one, require_opt_in=True)
    leads, who = f"/campaigns/{campaign}/leads", "accept+1@people.test"
    await one.api("POST", leads, json=[{"email": who, "consent": "given"}])
    ask = {"from": "s1", "subject": "Please confirm", "text": "Here: {{ confirm_url }}\n"}
    wrong = await one.http.post(f"/campaigns/{campaign}/opt-in", json={**ask, "text": "no link"})
    assert wrong.status_code == 422
    assert (await one.api("POST", f"/campaigns/{campaign}/opt-in", json=ask))["mails"] == 1
    assert (await one.api("POST", f"/campaigns/{campaign}/opt-in", json=ask))["mails"] == 0

    async def arrived() -> bool:
        return world.accepted()[who] == 1

    await world.until(arrived, "the question arrives", one.tail)
    (mail,) = world.box.records("accepted")
    content = quopri.decodestring(world.box.mail(mail)).decode()
    (path,) = re.findall(r"/confirm/[A-Za-z0-9_-]+", content)
    url = f"http://127.0.0.1:{one.port}{path}"
    for method in ("GET", "HEAD"):
        assert (await one.http.request(method, url)).status_code == 200
    assert (await one.api("GET", f"{leads}/{who}"))["state"] == "unconfirmed"
    assert (await one.http.post(f"{url}x")).status_code == 404
    for _ in range(2):
        assert (await one.http.post(url)).status_code == 200
    found = await one.api("GET", f"{leads}/{who}")
    assert (found["state"], found["consent"]["level"]) == ("active", "confirmed")
    assert found["consent"]["source"].startswith("confirmed by link; before: import ")
