"""`postfleet why`: the account of a delivery, or of all that a person was sent and will be."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_json

Document = Mapping[str, Any]
_WENT_WELL = {"opened_at": "opened", "clicked_at": "clicked", "replied_at": "replied"}
_CAME_BACK = {
    "auto_replied_at": "answered by a machine",
    "bounced_at": "bounced",
    "soft_bounced_at": "bounced for now",
    "complained_at": "complained about as spam",
    "delayed_at": "reported as delayed by the receiving side",
}


def why(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A delivery's id, or a recipient's address.")
    ],
    as_json: AsJson = False,
) -> None:
    """Explain a mail: why it went when it went, or why it has not and when it would.

    With an address: every campaign that knows it, all it was sent, and what comes next.
    """
    api = Api.from_environment()
    if "@" in what:
        found = api.call("GET", "/deliveries", params={"recipient": what})
        _print(found, of_person(found), as_json)
        return
    delivery = api.call("GET", f"/deliveries/{what}")
    decisions = api.call("GET", f"/deliveries/{what}/decisions")
    both = {"delivery": delivery, "decisions": decisions}
    _print(both, of_delivery(delivery, decisions), as_json)


def _print(document: Any, account: Iterator[str], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    for line in account:
        console.print(line, markup=False, soft_wrap=True)


def of_delivery(delivery: Document, decisions: Document) -> Iterator[str]:
    """Head, plans and attempts in their order, what came back, and what comes next."""
    yield f"{delivery['id']} to {delivery.get('recipient', '')}: {delivery['state']}"
    if delivery.get("campaign_id"):
        variant = f", variant {delivery['variant']}" if delivery.get("variant") else ""
        step = (delivery.get("step") or 0) + 1
        yield f"  step {step} of campaign {delivery['campaign_id']}{variant}"
    for plan in decisions.get("plans", []):
        yield from _plan(plan)
    for attempt in decisions.get("attempts", []):
        yield from _attempt(attempt)
    for name, words in (_WENT_WELL | _CAME_BACK).items():
        if delivery.get(name):
            yield f"  {clock(delivery[name])}  {words}"
    yield from _next(delivery, decisions)


def _plan(plan: Document) -> Iterator[str]:
    if not plan.get("sender_id"):
        return  # nothing was to be sent: the attempt below says why
    eligible = plan.get("eligible_count") or len(plan.get("eligible", []))
    chosen = f"planned for {plan['sender_id']}, one of {eligible} senders that could"
    yield f"  {clock(plan['planned_at'])}  {chosen}"
    for out in plan.get("excluded", []):
        yield f"      not {out['sender_id']}: {out['rule']}, {out['detail']}"


def _attempt(attempt: Document) -> Iterator[str]:
    said = " ".join(str(attempt[n]) for n in ("reply_code", "reply_text") if attempt.get(n))
    because = attempt.get("reason") or attempt.get("category") or ""
    parts = [attempt["outcome"], said and f"the server said {said}", because]
    words = "; ".join(part for part in parts if part)
    yield f"  {clock(attempt['at'])}  attempt {attempt['attempt']}: {words}"
    if attempt.get("retry_at"):
        yield f"      to be looked at again at {clock(attempt['retry_at'])}"


def _next(delivery: Document, decisions: Document) -> Iterator[str]:
    at = decisions.get("next_attempt_at") or delivery.get("next_attempt_at")
    if delivery["state"] in ("deferred", "postponed", "scheduled") and at:
        yield f"  it goes at {clock(at)} at the earliest"
    elif delivery["state"] in ("scheduled", "queued", "transmitting"):
        yield "  it goes as soon as a worker has taken it"
    elif delivery["state"] == "unknown":
        yield (
            "  the connection broke after the mail was handed over (RFC 1047): it is not sent again "
            "blindly, but settled by what is seen of it"
        )


def of_person(found: Document) -> Iterator[str]:
    """Whether mail may go at all, then each campaign, then each delivery, the newest first."""
    yield found["recipient"]
    if found.get("suppressed"):
        yield f"  suppressed: {found['suppressed']}; nothing is sent to it"
    if not found["leads"] and not found["items"]:
        yield "  nobody knows this address: no campaign has it as a lead, nothing was sent to it"
    for lead in found["leads"]:
        yield f"  campaign {lead['campaign'] or lead['campaign_id']}: {_standing(lead)}"
    for item in found["items"]:
        about = item.get("mail_subject") or item.get("reason") or ""
        at = item.get("accepted_at") or item.get("updated_at") or item.get("next_attempt_at")
        when = clock(at)
        yield f"  {when}  {item['state']:<9} {item['id']}  {about}"


def _standing(lead: Document) -> str:
    if lead["state"] != "active":
        return f"the lead is {lead['state']}, nothing more is sent"
    if lead["next_step"] is None:
        return "it has had the last step"
    step = f"step {lead['next_step'] + 1} is next"
    if lead["campaign_status"] != "running":
        return f"{step}, but the campaign is {lead['campaign_status']}"
    return (
        f"{step}, at {clock(lead['due_at'])} at the earliest" if lead["due_at"] else f"{step}, now"
    )


def clock(moment: str | None) -> str:
    """`2026-11-21 15:04:05` in UTC, from RFC 3339."""
    return (moment or "")[:19].replace("T", " ")
