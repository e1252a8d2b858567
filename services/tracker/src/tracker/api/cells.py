"""Documents as rows of the dashboard's tables."""

from typing import Any

from postfleet.instants import from_ms
from tracker.api.blocks import Cell, Link, Meter, Noted, State
from tracker.api.console import segment

_WARMUP_DAYS = 30


def moment(text: str | None) -> str:
    """An RFC 3339 time as people read it, in UTC; "" for none."""
    return (
        text.replace("T", " ").replace("+00:00", "Z").partition(".")[0].rstrip("Z") if text else ""
    )


def sender_row(s: dict[str, Any]) -> list[Cell]:
    sent, limit = int(s["sent_today"]), int(s["effective_limit"])
    return [
        Link(
            s["email_address"],
            f"/dashboard/senders/{segment(s['id'])}",
            note=s.get("status_reason") or "",
        ),
        State(s["status"]),
        str(s["health"]),
        Meter(sent, max(limit, 1), f"{sent:,} of {limit:,}"),
        str(s["binding_limit"]).replace("_", " "),
        warmup(s),
        moment(s.get("cooldown_until")),
    ]


def warmup(s: dict[str, Any]) -> Cell:
    """How far the warm-up is; "" where there is none."""
    plan = s.get("warmup")
    if not plan:
        return ""
    day = int(plan["day"])
    return Meter(day, max(_WARMUP_DAYS, day), f"day {day}, {plan['volume']} mails")


def domain_row(d: dict[str, Any]) -> list[Cell]:
    return [
        d["name"],
        State(d["state"]),
        Link("Checks", f"/dashboard/domains/{segment(d['name'])}"),
    ]


def check_rows(found: dict[str, Any]) -> list[list[Cell]]:
    return [
        [check["name"], State(check["state"]), Noted(check["text"], "\n".join(check["hints"]))]
        for check in found["checks"]
    ]


def delivery_row(entry: dict[str, Any]) -> list[Cell]:
    details = entry["details"]
    answer = f"{details.get('reply_code', '')} {details.get('reply_text', '')}".strip()
    return [
        shown_time(entry),
        entry["address"],
        Noted(
            str(details.get("author") or details.get("sender_id", "")),
            str(details.get("mail_subject", "")),
        ),
        answer,
        delivery_link(entry),
    ]


def delivery_link(entry: dict[str, Any]) -> Cell:
    id_ = str(entry["details"].get("delivery_id", ""))
    return Link("Why", f"/dashboard/deliveries?delivery={segment(id_)}") if id_ else ""


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
