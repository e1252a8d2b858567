"""The other services as the dashboard sees them: answers of the size and shape that theirs have."""

import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.webserver import Asked, Reply

_API = "/api/public/v1"


def sender(number: int) -> dict[str, Any]:
    return {
        "id": f"s{number:05}",
        "email_address": f"ann{number}@fleet{number // 10}.test",
        "display_name": "Ann",
        "tags": ["emea"],
        "status": ("ready", "warmup", "restricted")[number % 3],
        "status_reason": "day 3 of 30" if number % 3 == 1 else None,
        "health": 100 - number % 40,
        "sent_today": 7,
        "sent_this_month": 140,
        "daily_limit": 50,
        "monthly_limit": 1000,
        "effective_limit": 12,
        "binding_limit": "age_ramp",
        "cooldown_until": None,
        "warmup_mode": number % 3 == 1,
        "warmup": {"day": 3, "volume": 6, "course": "steady"} if number % 3 == 1 else None,
        "warnings": [],
        "suspended": None,
        "created_at": "2026-11-01T08:00:00Z",
    }


def campaign(id_: str, name: str = "Spring", status: str = "running") -> dict[str, Any]:
    variants = [
        {"name": "A", "weight": 1, "subject": "A question", "body_text": "Hello {{ first_name }}"},
        {"name": "B", "weight": 1, "subject": "An idea", "body_text": "Hi {{ first_name }}"},
    ]
    return {
        "id": id_,
        "name": name,
        "status": status,
        "revision": 3,
        "senders": ["all"],
        "steps": [
            {"delay": 0.0, "condition": "always", "variants": variants},
            {"delay": 259200.0, "condition": "not_replied", "variants": variants[:1]},
        ],
        "winners": {"0": {"variant": "B", "reason": "replied 9.0 % to 4.0 %", "at": "2026-11-20"}},
    }


def stats(id_: str) -> dict[str, Any]:
    one = {"sent": 500, "opened": 200, "clicked": 40, "replied": 20, "bounced": 5, "failed": 1}
    return {
        "campaign_id": id_,
        "status": "running",
        "leads": {"active": 800, "finished": 150, "replied": 50},
        "deliveries": {"accepted": 1500, "deferred": 3},
        "steps": [
            {
                "step": 0,
                "condition": "always",
                "skipped_by_condition": 0,
                "winner": "B",
                "variants": [{"name": "A", **one}, {"name": "B", **one, "replied": 45}],
            },
            {
                "step": 1,
                "condition": "not_replied",
                "skipped_by_condition": 31,
                "winner": None,
                "variants": [{"name": "A", **one}],
            },
        ],
    }


def plan(id_: str, senders: int) -> dict[str, Any]:
    return {
        "campaign_id": id_,
        "status": "running",
        "without_domains": [],
        "starts_at": "2026-11-22T08:00:00Z",
        "finishes_at": "2026-12-04T15:20:00Z",
        "leads": 1000,
        "leads_complete": True,
        "mails": 2000,
        "never_sent": 12,
        "days": [{"day": f"2026-11-{day}", "mails": 180} for day in range(22, 31)],
        "senders": [
            {
                "sender_id": f"s{n:05}",
                "email_address": f"ann{n}@fleet{n // 10}.test",
                "domain": f"fleet{n // 10}.test",
                "mails": 2 * n,
                "effective_limit": 12,
            }
            for n in range(min(senders, 10_000))
        ],
        "excluded": [{"sender_id": "s1", "rule": "status", "detail": "the sender is restricted"}],
        "assumes": "every mail is accepted at its first try",
    }


NASTY = "<img src=x onerror=alert(1)> & Co"


def preview() -> dict[str, Any]:
    return {
        "step": 0,
        "variant": "A",
        "subject": NASTY,
        "headers": {"From": "Ann <ann@one.test>", "To": "bob@x.test", "Subject": NASTY},
        "text": f"Hello Bob, {NASTY}",
        "html": f"<p>Hello <b>Bob</b></p><script>alert(1)</script>{NASTY}",
        "attachments": [],
        "message": "",
    }


def lead_decisions(campaign_id: str, lead: str) -> dict[str, Any]:
    return {
        "campaign_id": campaign_id,
        "lead_id": "l1",
        "email": lead,
        "state": "active",
        "next_step": 1,
        "earlier_deliveries": ["0" * 32],
        "waits_for": "schedule",
        "detail": "opens on Monday at 09:00",
        "would_go_at": "2026-11-23T09:00:00Z",
        "sender_id": "s00001",
        **_reasons(),
    }


def _reasons() -> dict[str, Any]:
    return {
        "chosen": "s00001",
        "eligible": ["s00001", "s00002"],
        "weights": {"s00001": 0.75, "s00002": 0.25},
        "eligible_count": 2,
        "excluded": [{"sender_id": "bob", "rule": "daily_limit", "detail": f"over limit {NASTY}"}],
        "excluded_by_rule": {"daily_limit": 1},
    }


def decisions(id_: str) -> dict[str, Any]:
    attempt = {
        "attempt": 1,
        "at": "2026-11-20T08:00:00Z",
        "outcome": "deferred",
        "reply_code": 451,
        "reply_text": f"4.7.1 Greylisted {NASTY}",
        "category": "greylisted",
        "reason": "",
        "retry_at": "2026-11-20T08:05:00Z",
    }
    plan = {"batch_id": "b1", "planned_at": "2026-11-20T07:59:00Z", "sender_id": "s00001"}
    return {
        "id": id_,
        "state": "accepted",
        "next_attempt_at": None,
        "plans": [{**plan, **_reasons()}],
        "attempts": [attempt],
    }


def checks(name: str) -> dict[str, Any]:
    return {
        "domain": name,
        "state": "warn",
        "checks": [
            {"name": "spf", "state": "ok", "text": "one record", "hints": []},
            {"name": "dmarc", "state": "warn", "text": "no policy", "hints": [NASTY, "ask us"]},
        ],
    }


def answer_as_fleet(asked: Asked, senders: int = 10) -> Reply:
    """What the gateway would answer; lists have as many rows as were asked for."""
    address = urlsplit(asked.target)
    path = address.path.removeprefix(_API)
    limit = int(parse_qs(address.query).get("limit", ["50"])[0])
    document = _one(path, senders) or _list(path, min(limit, senders))
    if document is None:
        return 404, b'{"detail": "there is no such thing"}'
    return 200, json.dumps(document).encode()


def _list(path: str, count: int) -> dict[str, Any] | None:
    rows: dict[str, Any] = {
        "/campaigns": lambda n: campaign(f"c{n:04}", f"Campaign {n}"),
        "/sender-accounts": sender,
        "/domains": lambda n: {"id": f"f{n}", "name": f"fleet{n}.test", "state": "verified"},
        "/pauses": _pause,
        "/suppressions": _suppression,
        "/deliveries": _delivery,
    }
    if path.endswith("/imports"):
        rows[path] = _import
    if path not in rows:
        return None
    return {"items": [rows[path](n) for n in range(count)], "next_cursor": "bmV4dA"}


def _one(path: str, senders: int) -> dict[str, Any] | None:
    match path.split("/")[1:]:
        case ["campaigns", id_, "preview"]:
            return preview()
        case ["campaigns", id_, "leads", lead, "decisions"]:
            return lead_decisions(id_, unquote(lead))
        case ["deliveries", id_]:
            return {**_delivery(0), "id": id_}
        case ["deliveries", id_, "decisions"]:
            return decisions(id_)
        case ["domains", name, "checks"]:
            return checks(name)
        case ["campaigns", id_]:
            return campaign(id_)
        case ["campaigns", id_, "stats"]:
            return stats(id_)
        case ["campaigns", id_, "plan"]:
            return plan(id_, senders)
        case ["sender-accounts", id_] if id_.removeprefix("s").isdecimal():
            return sender(int(id_.removeprefix("s")))
    return None


def _import(number: int) -> dict[str, Any]:
    return {
        "id": f"i{number}",
        "state": "done",
        "rows_read": 1000,
        "imported": 990,
        "duplicates": 7,
        "invalid": 3,
        "started_at": "2026-11-20T08:00:00Z",
        "changed_at": "2026-11-20T08:01:00Z",
        "error": None,
    }


def _pause(number: int) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "kind": "domain",
        "value": f"fleet{number}.test",
        "status": "resumed" if number % 2 else "paused",
        "trouble": "refused",
        "reason": "3 of 4 senders degraded within an hour",
        "senders": ["s1", "s2"],
        "paused_at": "2026-11-20T08:00:00Z",
        "resumed_at": "2026-11-20T09:00:00Z" if number % 2 else None,
    }


def _suppression(number: int) -> dict[str, Any]:
    return {
        "id": f"p{number}@x.test",
        "entry": f"p{number}@x.test",
        "kinds": {"unsubscribed": "2026-11-20T08:00:00Z"},
        "reason": "one click",
        "source": "tracker",
        "created_at": "2026-11-20T08:00:00Z",
    }


def _delivery(number: int) -> dict[str, Any]:
    return {
        "id": f"{number:032x}",
        "state": "accepted",
        "campaign_id": "c0007",
        "step": 0,
        "variant": "A",
        "sender_id": "s00001",
        "recipient": "p77@x77.test",
        "mail_subject": "A question",
        "reply_code": 250,
        "reply_text": "2.0.0 Ok",
        "updated_at": "2026-11-20T08:00:00Z",
    }
