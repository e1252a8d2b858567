"""The flow of a campaign in a dispatcher that runs as a process: conditions, winners, changes."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.inbox import ReplyDetected
from postfleet.events.tracking import EmailClicked, EmailOpened, Verdict, VerdictChanged
from postfleet.instants import now
from tests.support.dispatcher import Dispatcher, DispatcherWorld

HTML = "<p>Read <a href='https://x.test/more'>this</a></p>"
TRACKED = {"opens": True, "clicks": True}


@pytest.fixture
async def one(world: DispatcherWorld) -> Dispatcher:
    dispatcher = world.dispatcher()
    await dispatcher.start(POSTFLEET_DISPATCHER_JUDGE_VARIANTS_EVERY_SECONDS="0.2")
    return dispatcher


class People:
    """The tracker and the inbox-watcher, played by the test."""

    def __init__(self, world: DispatcherWorld) -> None:
        self.tracker, self.watcher = Bus(world.nats.url, "tracker"), Bus(world.nats.url, "watcher")

    async def __aenter__(self) -> "People":
        await asyncio.gather(self.tracker.connect(), self.watcher.connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self.tracker.stop(), self.watcher.stop())

    async def did(self, kind: Any, row: dict[str, Any], **more: Any) -> None:
        about = {"delivery_id": row["_id"], "campaign_id": row["campaign_id"]}
        about |= {"step": row["step"], "variant": row["variant"], "lead_id": row["lead_id"]}
        about |= {"sender_id": row["sender_id"], "recipient": row["recipient"]}
        about |= {"message_id": row["message_id"]}
        event = kind(occurred_at=now(), **about, **more)
        bus = self.watcher if kind is ReplyDetected else self.tracker
        verdict = more.get("verdict", "")
        await bus.publish(Announcement(event, derived_id(row["_id"], event.subject, verdict)))

    async def opened(self, row: dict[str, Any], verdict: Verdict = Verdict.HUMAN) -> None:
        await self.did(EmailOpened, row, verdict=verdict, first=verdict is Verdict.HUMAN)

    async def clicked(self, row: dict[str, Any]) -> None:
        hit = {"verdict": Verdict.HUMAN, "first": True, "url": "https://x.test/more"}
        await self.did(EmailClicked, row, **hit)

    async def corrected(self, row: dict[str, Any], kind: str, **moved: Any) -> None:
        told = {"hit_id": f"h-{row['_id']}", "hit_kind": kind, "rules": 2, **moved}
        human = "counted" in moved
        verdicts = [Verdict.BOT, Verdict.HUMAN] if human else [Verdict.HUMAN, Verdict.BOT]
        await self.did(VerdictChanged, row, old_verdict=verdicts[0], verdict=verdicts[1], **told)

    async def replied(self, row: dict[str, Any]) -> None:
        about = {"text": "Yes", "reply_subject": "Re: Hello"}
        fields = ReplyDetected.model_fields
        known = {k: v for k, v in about.items() if k in fields}
        needed = {"received_at": now(), "matched_by": "message_id", "inbound_id": "i1"}
        known |= {k: v for k, v in needed.items() if k in fields}
        await self.did(ReplyDetected, row, **known)


def step(condition: str, delay: float, subject: str) -> dict[str, Any]:
    text = {"subject": subject, "body_text": "Hi", "body_html": HTML}
    return {"condition": condition, "delay": delay, **text}


async def subjects(world: DispatcherWorld, campaign_id: str) -> dict[str, list[str]]:
    """recipient -> the subjects of the mails that were accepted, in the order of the steps."""
    found: dict[str, list[str]] = {}
    query = {"campaign_id": campaign_id, "state": "accepted"}
    rows = [row async for row in world.database.deliveries.find(query).limit(1000)]
    for row in sorted(rows, key=lambda row: row["step"]):
        found.setdefault(row["recipient"].split("@")[0], []).append(row["mail_subject"])
    return found


async def completed(world: DispatcherWorld, one: Dispatcher, campaign_id: str) -> dict[str, Any]:
    async def over() -> Any:
        campaign = await one.api("GET", f"/campaigns/{campaign_id}")
        return campaign if campaign["status"] == "completed" else None

    found: dict[str, Any] = await world.until(over, "the campaign is completed", one.tail)
    return found


@pytest.mark.seed("S185")
async def test_each_step_goes_to_those_who_meet_its_condition_and_the_campaign_ends(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    names = ["still", "opener", "clicker", "replier", "proxied"]
    campaign_id = await world.campaign(
        one,
        [f"{name}@people.test" for name in names],
        steps=[
            step("always", 0, "first"),
            step("not_opened", 3, "unread"),
            step("clicked", 0, "clicked"),
            step("not_replied", 0, "last"),
        ],
        tracking=TRACKED,
        check_reply=False,
    )
    await world.settled(campaign_id, 5)
    rows = {address.split("@")[0]: row for address, row in (await world.rows(campaign_id)).items()}
    async with People(world) as people:
        await people.opened(rows["opener"])
        await people.clicked(rows["clicker"])
        await people.replied(rows["replier"])
        await people.opened(rows["proxied"], Verdict.PROXY)
    await completed(world, one, campaign_id)
    assert await subjects(world, campaign_id) == {
        "still": ["first", "unread", "last"],
        "opener": ["first", "last"],
        "clicker": ["first", "clicked", "last"],
        "replier": ["first", "unread"],
        "proxied": ["first", "unread", "last"],
    }
    stats = await one.api("GET", f"/campaigns/{campaign_id}/stats")
    assert [s["skipped_by_condition"] for s in stats["steps"]] == [0, 2, 4, 1]
    (first,) = stats["steps"][0]["variants"]
    assert (first["sent"], first["opened"], first["clicked"], first["replied"]) == (5, 1, 1, 1)
    skipped = await world.database.deliveries.find_one({"meaning": "condition", "step": 1})
    decisions = await one.api("GET", f"/deliveries/{skipped['_id']}/decisions")
    assert decisions["attempts"][0]["reason"] == "condition: not_opened is not met"


async def test_an_open_after_its_step_was_decided_changes_nothing(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    steps = [step("always", 0, "first"), step("opened", 1, "read"), step("always", 2, "last")]
    campaign_id = await world.campaign(one, ["late@people.test"], steps=steps, tracking=TRACKED)

    async def passed_over() -> Any:
        return await world.database.deliveries.find_one({"meaning": "condition"})

    await world.until(passed_over, "step 1 is passed over", one.tail)
    row = await world.database.deliveries.find_one({"step": 0})
    async with People(world) as people:
        await people.opened(row)
    await completed(world, one, campaign_id)
    assert await subjects(world, campaign_id) == {"late": ["first", "last"]}


async def test_a_verdict_that_changes_changes_who_gets_the_next_step(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    steps = [
        step("always", 0, "first"),
        step("not_opened", 4, "unread"),
        step("clicked", 0, "clicked"),
    ]
    names = ["machine", "person", "opener"]
    people_of = [f"{name}@people.test" for name in names]
    campaign_id = await world.campaign(one, people_of, steps=steps, tracking=TRACKED)
    rows = {
        address.split("@")[0]: row for address, row in (await world.settled(campaign_id, 3)).items()
    }
    async with People(world) as people:
        await people.corrected(rows["machine"], "clicked", uncounted=1, uncounted_at=now())
        await people.clicked(rows["machine"])  # heard late: it is taken back already
        await people.opened(rows["opener"])
        await people.opened(rows["person"], Verdict.BOT)
        await people.corrected(rows["person"], "clicked", counted=1, counted_at=now())
    await completed(world, one, campaign_id)
    assert await subjects(world, campaign_id) == {
        "machine": ["first", "unread"],
        "person": ["first", "clicked"],
        "opener": ["first"],
    }
    stats = await one.api("GET", f"/campaigns/{campaign_id}/stats")
    (first,) = stats["steps"][0]["variants"]
    assert (first["opened"], first["clicked"]) == (1, 1)


async def test_a_variant_that_people_open_more_wins_once_and_gets_the_new_leads(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    two = [{"name": n, "subject": n, "body_text": "Hi", "body_html": HTML} for n in "AB"]
    winner = {"metric": "opened", "minimum_sample": 20, "after": 0}
    campaign_id = await world.campaign(
        one,
        [f"accept+p{n}@people.test" for n in range(70)],
        steps=[{"variants": two, "winner": winner}, step("not_replied", "P9D", "later")],
        tracking=TRACKED,
    )
    rows = await world.settled(campaign_id, 70)
    async with People(world) as people:
        for place, row in enumerate(rows.values()):
            if row["variant"] == "B" or place % 9 == 0:
                await people.opened(row)
        for row in rows.values():  # what machines load does not count
            await people.opened(row, Verdict.BOT)

    async def chosen() -> Any:
        return (await one.api("GET", f"/campaigns/{campaign_id}"))["winners"].get("0")

    # The first look may come before the opens: then the next is at twice the sample.
    more = [f"accept+q{n}@people.test" for n in range(90)]
    await asyncio.sleep(1)
    if not (await chosen() or {}).get("variant"):
        await one.api("POST", f"/campaigns/{campaign_id}/leads", json=[{"email": a} for a in more])
        rows = await world.settled(campaign_id, 160)
        async with People(world) as people:
            for address in more:
                if rows[address]["variant"] == "B":
                    await people.opened(rows[address])

    async def decided() -> Any:
        return (await chosen() or {}).get("variant")

    assert await world.until(decided, "a winner", one.tail) == "B"
    last = [f"accept+r{n}@people.test" for n in range(30)]
    await one.api("POST", f"/campaigns/{campaign_id}/leads", json=[{"email": a} for a in last])
    rows = await world.settled(campaign_id, len(rows) + 30)
    assert Counter(rows[address]["variant"] for address in last) == {"B": 30}
    assert (await world.said())["campaign.variant_chosen"] == 1
    stats = await one.api("GET", f"/campaigns/{campaign_id}/stats")
    assert stats["steps"][0]["winner"] == "B"


async def test_the_steps_to_come_of_a_running_campaign_can_be_changed(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    steps = [step("always", 0, "first"), step("always", "P9D", "second")]
    campaign_id = await world.campaign(one, ["a@people.test"], steps=steps)
    await world.settled(campaign_id, 1)
    path = f"/campaigns/{campaign_id}"
    refused = await one.http.patch(path, json={"steps": [step("always", 0, "other"), steps[1]]})
    assert (refused.status_code, refused.json()["code"]) == (409, "STEP_BEGUN")
    assert refused.json()["errors"][0]["field"] == "steps.0"
    refused = await one.http.patch(path, json={"tracking": TRACKED})
    assert (refused.status_code, refused.json()["code"]) == (409, "RUNNING")
    refused = await one.http.patch(path, json={"steps": [steps[0], step("opened", 0, "x")]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "steps.1.condition")
    before = (await one.api("GET", path))["revision"]
    changed = [steps[0], step("always", 0, "changed"), step("always", 0, "added")]
    shown = await one.api("PATCH", path, json={"steps": changed, "name": "summer"})
    assert (shown["name"], shown["revision"], len(shown["steps"])) == ("summer", before + 1, 3)
    await completed(world, one, campaign_id)
    assert await subjects(world, campaign_id) == {"a": ["first", "changed", "added"]}
    refused = await one.http.patch(path, json={"steps": changed})
    assert (refused.status_code, refused.json()["code"]) == (409, "COMPLETED")


async def test_a_draft_can_be_copied_and_deleted_and_what_has_sent_can_not(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    sent = await world.campaign(one, ["a@people.test"])
    await completed(world, one, sent)
    refused = await one.http.delete(f"/campaigns/{sent}")
    assert (refused.status_code, refused.json()["code"]) == (409, "WRONG_STATE")
    copy = await one.api("POST", f"/campaigns/{sent}/duplicate")
    assert (copy["name"], copy["status"], copy["revision"]) == ("spring (copy)", "draft", 0)
    named = await one.api("POST", f"/campaigns/{sent}/duplicate", json={"name": "fall"})
    leads = [{"email": "b@people.test"}]
    await one.api("POST", f"/campaigns/{named['id']}/leads", json=leads)

    async def listed(**params: str) -> set[str]:
        found = await one.api("GET", "/campaigns", params=params)
        return {campaign["name"] for campaign in found["items"]}

    assert await listed() == {"spring", "spring (copy)", "fall"}
    assert await listed(status="draft", name="FALL") == {"fall"}
    assert (await one.http.delete(f"/campaigns/{named['id']}")).status_code == 204
    assert (await one.http.get(f"/campaigns/{named['id']}")).status_code == 404
    assert (await one.http.delete(f"/campaigns/{named['id']}")).status_code == 404
    assert await listed() == {"spring", "spring (copy)"}
    assert await world.database.leads.find_one({"campaign_id": named["id"]}) is None
    assert (await one.http.get("/campaigns", params={"status": "odd"})).status_code == 422
    stop = f"/campaigns/{copy['id']}"
    assert (await one.http.post(f"{stop}/start")).json()["code"] == "NO_LEADS"
    assert (await one.http.post(f"{stop}/pause")).json()["code"] == "WRONG_STATE"
