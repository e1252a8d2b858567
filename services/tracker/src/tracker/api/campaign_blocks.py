"""A campaign's documents as blocks of its page."""

from collections.abc import Mapping
from typing import Any

from tracker.api.blocks import Block, Button, Cell, Facts, Link, Meter, Noted, State, Table
from tracker.api.cells import moment
from tracker.api.console import segment
from tracker.api.sender_names import sender_link
from tracker.domain.intervals import interval

_PATH = "/dashboard/campaigns"
_SENDERS_SHOWN = 50
_RATES = (
    ("opened", "open_rate"),
    ("clicked", "click_rate"),
    ("replied", "reply_rate"),
    ("bounced_hard", "bounce_rate"),
)
_DAY = 86_400.0


def campaign_row(c: dict[str, Any]) -> list[Cell]:
    action = {"draft": "start", "running": "pause", "paused": "resume"}.get(str(c["status"]))
    to = f"{_PATH}/{segment(c['id'])}"
    sure = "Its mails begin to go out at the next open hour." if action == "start" else ""
    return [
        Link(c["name"] or c["id"], to),
        State(c["status"]),
        f"{c['sent']:,}",
        *(Noted(f"{c[count]:,}", f"{c[rate]:.1%}") for count, rate in _RATES),
        Button(action.capitalize(), to, (("action", action),), sure=sure) if action else "",
    ]


def steps_table(campaign: dict[str, Any], stats: dict[str, Any]) -> Table:
    """A row for each variant of each step, with the winner and the interval of its reply rate."""
    figures = {step["step"]: step for step in stats.get("steps", [])}
    rows: list[list[Cell]] = []
    for number, step in enumerate(campaign["steps"]):
        told = figures.get(number, {"variants": [], "skipped_by_condition": 0})
        chosen = campaign["winners"].get(str(number), {})
        by_name = {variant["name"]: variant for variant in told["variants"]}
        for variant in step["variants"]:
            found = by_name.get(variant["name"], {})
            rows.append(_variant_row(campaign["id"], number, step, variant, found, chosen))
    return Table(
        "Steps and variants",
        ("Mail", "When", "Sent", "Opened", "Clicked", "Replied", "Bounced", "Winner"),
        rows,
        note="The interval is that of the reply rate (95 %): where two overlap, none is better yet.",
        numbers=frozenset(range(2, 7)),
    )


def _variant_row(
    campaign_id: str,
    number: int,
    step: dict[str, Any],
    variant: dict[str, Any],
    found: dict[str, Any],
    chosen: dict[str, Any],
) -> list[Cell]:
    name = variant["name"]
    sent, replied = int(found.get("sent", 0)), int(found.get("replied", 0))
    low, high = interval(replied, sent)
    address = f"{_PATH}/{segment(campaign_id)}/mail?mail={number}:{segment(name)}"
    subject = variant.get("subject") or "answers the first mail"
    wins = chosen.get("variant") == name
    return [
        Link(f"Step {number + 1}, {name}", address, note=subject),
        Noted(_delay(step), str(step["condition"]).replace("_", " ")),
        f"{sent:,}",
        *(_share(found, metric, sent) for metric in ("opened", "clicked")),
        Noted(f"{replied:,}", f"{low:.1%} to {high:.1%}" if sent else ""),
        _share(found, "bounced", sent),
        Noted("Winner", str(chosen.get("reason", ""))) if wins else "",
    ]


def _share(found: dict[str, Any], metric: str, sent: int) -> Noted:
    count = int(found.get(metric, 0))
    return Noted(f"{count:,}", f"{count / sent:.1%}" if sent else "")


def _delay(step: dict[str, Any]) -> str:
    seconds = float(step["delay"])
    if not seconds:
        return "at once"
    for unit, length in (("day", _DAY), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            return f"after {seconds / length:.3g} {unit}{'' if seconds == length else 's'}"
    return f"after {seconds:.3g} seconds"


def plan_blocks(plan: dict[str, Any], names: Mapping[str, str]) -> list[Block]:
    """When it ends, mails a day, and the load of each sender; nothing where there is no plan."""
    if "days" not in plan:
        return []
    most = max((day["mails"] for day in plan["days"]), default=1) or 1
    senders = sorted(plan["senders"], key=lambda one: -one["mails"])
    return [
        Facts(
            "Plan",
            [
                ("Begins", moment(plan["starts_at"]) or "nothing is left to send"),
                ("Ends", moment(plan["finishes_at"]) or "not foreseen"),
                ("Mails to come", f"{plan['mails']:,}"),
                ("Leads without an open way", f"{plan['never_sent']:,}"),
            ],
            note=f"Assumes that {plan['assumes']}.",
        ),
        Table(
            "Mails a day",
            ("Day", "Mails"),
            [[d["day"], Meter(d["mails"], most, f"{d['mails']:,}")] for d in plan["days"]],
            empty="No mail is to come.",
        ),
        Table(
            "Load of the senders",
            ("Sender", "Mails", "Limit today"),
            [
                [
                    sender_link(one["sender_id"], {one["sender_id"]: one["email_address"]}),
                    f"{one['mails']:,}",
                    f"{one['effective_limit']:,}",
                ]
                for one in senders[:_SENDERS_SHOWN]
            ],
            empty="No sender may send for this campaign.",
            note=f"The {_SENDERS_SHOWN} busiest of {len(senders):,}."
            if len(senders) > _SENDERS_SHOWN
            else "",
            numbers=frozenset({1, 2}),
        ),
        *_excluded(plan["excluded"], names),
    ]


def _excluded(excluded: list[dict[str, Any]], names: Mapping[str, str]) -> list[Block]:
    rows: list[list[Cell]] = [
        [sender_link(one["sender_id"], names), str(one["rule"]).replace("_", " "), one["detail"]]
        for one in excluded[:_SENDERS_SHOWN]
    ]
    return [Table("Senders that are left out", ("Sender", "Rule", "Why"), rows)] if rows else []


def lead_facts(stats: dict[str, Any]) -> Facts:
    items = [(name.replace("_", " "), f"{n:,}") for name, n in stats.get("leads", {}).items()]
    return Facts("Leads", items or [("So far", "No lead yet: add them as CSV or over the API.")])


def import_table(imports: list[dict[str, Any]]) -> Table:
    rows: list[list[Cell]] = []
    for one in imports:
        known = sum(int(one.get(name) or 0) for name in ("imported", "duplicates", "invalid"))
        read = int(one.get("rows_read") or 0)
        rows.append(
            [
                moment(one["started_at"]),
                State(one["state"]),
                Meter(known, max(read, 1), f"{known:,} of {read:,}"),
                f"{one.get('imported', 0):,}",
                f"{one.get('duplicates', 0):,}",
                Noted(f"{one.get('invalid', 0):,}", one.get("error") or _first_bad(one)),
            ]
        )
    return Table(
        "Imports of leads",
        ("Started", "State", "Progress", "New", "Known already", "Unusable"),
        rows,
        empty="No import yet.",
        numbers=frozenset({3, 4}),
    )


def _first_bad(one: dict[str, Any]) -> str:
    """The first rows that were not taken, and why."""
    bad = [f"row {row['row']}: {row['reason']}" for row in (one.get("rows") or [])[:3]]
    return "; ".join(bad)
