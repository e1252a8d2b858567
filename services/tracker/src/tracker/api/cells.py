"""Documents as rows of the dashboard's tables: a cell is a text, (text, note), a state or a link."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from postfleet.instants import from_ms


def campaign_row(c: dict[str, Any]) -> list[Any]:
    action = {"running": "pause", "paused": "resume"}.get(str(c["status"]), "")
    return [
        c["name"] or c["id"],
        {"state": c["status"]},
        f"{c['sent']:,}",
        *(
            (f"{c[count]:,}", f"{c[rate]:.1%}")
            for count, rate in (
                ("opened", "open_rate"),
                ("clicked", "click_rate"),
                ("replied", "reply_rate"),
                ("bounced_hard", "bounce_rate"),
            )
        ),
        {"action": action, "to": f"/dashboard/campaigns/{quote(c['id'], safe='')}"}
        if action
        else "",
    ]


def sender_row(s: dict[str, Any]) -> list[Any]:
    return [
        (s["email_address"], s.get("status_reason") or ""),
        {"state": s["status"]},
        str(s["health"]),
        f"{s['sent_today']:,}",
        f"{s['effective_limit']:,}",
        str(s["binding_limit"]),
        str(s.get("cooldown_until") or ""),
    ]


def domain_row(d: dict[str, Any]) -> list[Any]:
    checks = {"link": f"/dashboard/domains/{quote(d['name'])}", "text": "Checks"}
    return [d["name"], {"state": d["state"]}, checks]


def check_rows(found: dict[str, Any]) -> list[list[Any]]:
    return [
        [check["name"], {"state": check["state"]}, (check["text"], " ".join(check["hints"]))]
        for check in found["checks"]
    ]


def delivery_row(entry: dict[str, Any]) -> list[Any]:
    details = entry["details"]
    answer = f"{details.get('reply_code', '')} {details.get('reply_text', '')}".strip()
    return [
        shown_time(entry),
        entry["address"],
        details.get("sender_id", ""),
        answer,
        delivery_link(entry),
    ]


def delivery_link(entry: dict[str, Any]) -> Any:
    id_ = entry["details"].get("delivery_id", "")
    return (
        {"link": f"/dashboard/deliveries?delivery={quote(str(id_))}", "text": "Why"} if id_ else ""
    )


def flat(value: Any, name: str = "") -> Iterator[list[str]]:
    """A document as rows: the path of each value, and the value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name} {key}".strip().replace("_", " "))
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from flat(inner, f"{name} {number}")
    elif value not in (None, ""):
        yield [name, str(value)]


def shown_time(entry: dict[str, Any]) -> str:
    return from_ms(int(entry["at_ms"])).strftime("%Y-%m-%d %H:%M:%S")


def detail(details: dict[str, Any]) -> str:
    names = (
        "verdict",
        "reason",
        "category",
        "url",
        "reply_code",
        "reply_text",
        "text",
        "diagnostic",
    )
    return " · ".join(str(details[n]) for n in names if details.get(n))[:200]
