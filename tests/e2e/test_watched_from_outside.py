"""The demo with tracing on: what a collector and the log files show, and what they must not."""

import json
import secrets
from collections import defaultdict
from collections.abc import Iterator

import httpx
import pytest

from postfleet_cli import demo_campaign
from tests.support.collector import Collector, Seen
from tests.support.platform import Platform

_SERVICES = ("sender-registry", "dispatcher", "inbox-watcher", "tracker", "mail-provisioner")


class Watched:
    """What was left after the demo: log lines, spans, and what must be in neither."""

    def __init__(self, up: Platform, collector: Collector) -> None:
        self.keys = [(up.data / name).read_text().strip() for name in ("master-key", "api-key")]
        self.addresses = {
            record["recipient"] for record in up.sandbox("/ledger") if record["kind"] == "accepted"
        }
        with up.api() as api:
            senders = api.get("/sender-accounts", params={"limit": 100}).json()["items"]
        self.addresses |= {sender["email_address"] for sender in senders}
        self.senders = len(senders)
        self.canaries = _play_canaries(up)
        assert up.stop() == 0
        self.spans = list(collector.spans)
        self.logs = {
            name: (up.data / "logs" / f"{name}.log").read_text().splitlines()
            for name in (*_SERVICES, "gateway")
        }


def _play_canaries(up: Platform) -> list[str]:
    """Secrets and a text that pass through the services, the right ways and the wrong ones."""
    password, wrong, text = (f"canary-{secrets.token_hex(8)}" for _ in range(3))
    at = up.endpoints()
    control = f"http://127.0.0.1:{at['control_port']}/accounts"
    account = {"address": "canary@fleet.test", "password": password, "saves_sent": True}
    made = httpx.post(control, json=account, trust_env=False)
    assert made.status_code == 201
    names = dict.fromkeys(("email_address", "smtp_username", "imap_username"), account["address"])
    known = next(iter(demo_campaign.SENDERS))
    form = demo_campaign.sender(known, password, made.json()) | names
    with up.api() as api:
        refused = api.post("/sender-accounts", json={**form, "smtp_password": wrong})
        assert refused.status_code == 422, refused.text
        sender = api.post("/sender-accounts", json=form)
        assert sender.status_code == 201, sender.text
        mail = {"from": account["address"], "to": [f"{text}@people.test"]}
        mail |= {"subject": text, "text": text}
        up.wait_until(
            lambda: api.post("/messages", json=mail).status_code == 202, 30, "its sender known"
        )
        assert api.get("/campaigns", headers={"X-API-Key": wrong}).status_code == 401
        up.wait_until(lambda: text in str(up.sandbox("/ledger")), 30, "the canary's mail")
        assert api.get(f"/recipients/{text}@people.test").status_code in (200, 404)
    return [password, wrong, text]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Collector() as collector:
        data = tmp_path_factory.mktemp("watched") / "data"
        env = {"POSTFLEET_OTLP_ENDPOINT": collector.url, "POSTFLEET_LOG_LEVEL": "DEBUG"}
        with Platform(data, demo=True, env=env) as up:
            up.wait_for("│ unsubscribed │", 180)
            yield Watched(up, collector)


def _traces(watched: Watched) -> dict[str, list[Seen]]:
    traces = defaultdict(list)
    for span in watched.spans:
        traces[span.trace_id].append(span)
    return traces


@pytest.mark.timeout(300)
def test_a_delivery_is_one_trace_from_its_planning_through_smtp_to_those_who_heard_of_it(
    watched: Watched,
) -> None:
    mailed = [spans for spans in _traces(watched).values() if any(s.name == "SMTP" for s in spans)]
    assert len(mailed) > 100
    for spans in mailed:
        (root,) = [span for span in spans if not span.parent_id]
        ids = {span.span_id for span in spans}
        assert (root.service, root.name) in (
            ("dispatcher", "planned"),
            ("dispatcher", "mail taken in"),
        )
        assert all(span.parent_id in ids for span in spans if span.parent_id), "no hole in it"
    sent = [s for s in mailed if any(x.name == "publish email.sent" for x in s)]
    assert len(sent) > 100
    for spans in sent:
        heard = {(s.service, s.name) for s in spans if s.name.endswith(" email.sent")}
        assert ("inbox-watcher", "inbox-watcher-feed email.sent") in heard
        assert ("tracker", "tracker-events email.sent") in heard
        assert ("sender-registry", "sender-registry-outcomes email.sent") in heard
    answered = {s.name for spans in sent for s in spans}
    assert {"publish reply.detected", "publish email.opened"} <= answered


@pytest.mark.timeout(300)
def test_no_span_names_a_person_or_a_secret(watched: Watched) -> None:
    told = "\n".join(span.text for span in watched.spans)
    assert watched.senders
    assert len(watched.addresses) > 50
    found = [
        word for word in (*watched.addresses, *watched.keys, *watched.canaries) if word in told
    ]
    assert not found
    assert "@" not in told


@pytest.mark.timeout(300)
def test_every_line_of_the_logs_is_one_json_object_and_names_no_person_and_no_secret(
    watched: Watched,
) -> None:
    for name, lines in watched.logs.items():
        assert lines or name == "gateway", f"{name} said something: even at DEBUG it must be clean"
        for line in lines:
            said = json.loads(line)
            assert {"ts", "level", "service", "message"} <= set(said), line
        told = "\n".join(lines)
        secrets = (*watched.keys, *watched.canaries)
        found = [word for word in (*watched.addresses, *secrets) if word in told]
        assert not found, f"{name} names {found[:3]}"
