"""Why a mail went when it went, by whom, and who else might have: blocks of a delivery's page."""

from collections.abc import Iterator, Mapping
from typing import Any

from tracker.api.blocks import Block, Cell, Facts, Link, Noted, State, Table
from tracker.api.cells import moment
from tracker.api.console import segment
from tracker.api.sender_names import sender_link

_SHOWN = 100
_FACTS = (
    ("recipient", "Recipient"),
    ("mail_subject", "Subject"),
    ("category", "Category"),
    ("bounce_category", "Bounce"),
    ("reason", "Reason"),
    ("message_id", "Message-ID"),
)
_TIMES = (
    ("accepted_at", "Accepted"),
    ("opened_at", "Opened"),
    ("clicked_at", "Clicked"),
    ("replied_at", "Replied"),
    ("bounced_at", "Bounced"),
    ("next_attempt_at", "Next attempt"),
)


def senders_of(*documents: dict[str, Any]) -> Iterator[str]:
    """The ids that these decisions name, those that matter most first."""
    for document in documents:
        yield from (str(document.get(name) or "") for name in ("chosen", "sender_id"))
        yield from document.get("eligible") or []
    for document in documents:
        yield from (one["sender_id"] for one in document.get("excluded") or [])


def delivery_blocks(
    delivery: dict[str, Any], decisions: dict[str, Any], names: Mapping[str, str]
) -> list[Block]:
    items: list[tuple[str, Cell]] = [("State", State(delivery["state"]))]
    if delivery.get("sender_id"):
        items.append(("Sender", sender_link(delivery["sender_id"], names)))
    items += [(label, str(delivery[name])) for name, label in _FACTS if delivery.get(name)]
    answer = f"{delivery.get('reply_code') or ''} {delivery.get('reply_text') or ''}".strip()
    items += [("Answer", answer)] if answer else []
    items += [(label, moment(delivery[name])) for name, label in _TIMES if delivery.get(name)]
    if delivery.get("campaign_id"):
        campaign = segment(str(delivery["campaign_id"]))
        items.append(("Campaign", Link("Open", f"/dashboard/campaigns/{campaign}")))
    blocks: list[Block] = [Facts("What became of it", items), _attempts(decisions)]
    for plan in decisions.get("plans", []):
        blocks += plan_blocks(plan, f"Planned {moment(plan.get('planned_at'))}", names)
    return blocks


def _attempts(decisions: dict[str, Any]) -> Table:
    return Table(
        "Attempts",
        ("Attempt", "Time", "Outcome", "Answer", "Why", "Again at"),
        [
            [
                str(one["attempt"]),
                moment(one["at"]),
                State(one["outcome"]),
                f"{one['reply_code'] or ''} {one['reply_text'] or ''}".strip(),
                Noted(one["category"] or "", one["reason"] or ""),
                moment(one["retry_at"]),
            ]
            for one in decisions.get("attempts", [])
        ],
        empty="No attempt has been made yet.",
    )


def plan_blocks(plan: dict[str, Any], title: str, names: Mapping[str, str]) -> list[Block]:
    """Whom the planner chose among whom, and who was left out by which rule."""
    weights = plan.get("weights") or {}
    eligible = plan.get("eligible") or []
    counted = int(plan.get("eligible_count") or len(eligible))
    chosen = plan.get("chosen") or plan.get("sender_id")
    rules = plan.get("excluded_by_rule") or {}
    whom: Cell = sender_link(str(chosen), names) if chosen else "nobody yet"
    facts: list[tuple[str, Cell]] = [("Chosen", whom), ("Could have sent", f"{counted:,}")]
    facts += [(f"Left out: {rule.replace('_', ' ')}", f"{n:,}") for rule, n in rules.items()]
    whole = sum(float(weight) for weight in weights.values()) or 1.0
    weighed: list[list[Cell]] = [
        [sender_link(one, names), f"{float(weights.get(one, 0)) / whole:.1%}"]
        for one in eligible[:_SHOWN]
    ]
    excluded: list[list[Cell]] = [
        [sender_link(one["sender_id"], names), str(one["rule"]).replace("_", " "), one["detail"]]
        for one in (plan.get("excluded") or [])[:_SHOWN]
    ]
    blocks: list[Block] = [Facts(title, facts)]
    if weighed:
        table = Table("Eligible senders", ("Sender", "Share"), weighed, numbers=frozenset({1}))
        blocks.append(table)
    if excluded:
        blocks.append(Table("Excluded senders", ("Sender", "Rule", "Why"), excluded))
    return blocks


def lead_decision_blocks(found: dict[str, Any], names: Mapping[str, str]) -> list[Block]:
    """What a lead's next mail waits for, and when it would go."""
    waits = str(found.get("waits_for") or "nothing").replace("_", " ")
    items: list[tuple[str, Cell]] = [
        ("State", State(found["state"])),
        ("Next step", str(found["next_step"] + 1)),
        ("Waits for", Noted(waits, str(found.get("detail") or ""))),
        ("Would go at", moment(found.get("would_go_at")) or "not foreseen"),
    ]
    earlier = [
        [Link(f"Step {number}", f"/dashboard/deliveries?delivery={segment(one)}")]
        for number, one in enumerate(found.get("earlier_deliveries") or [], start=1)
    ]
    blocks: list[Block] = [Facts(str(found["email"]), items)]
    blocks += plan_blocks(found, "As the planner sees it now", names)
    return [*blocks, Table("Mails before", ("Mail",), earlier, empty="None yet.")]
