"""One mail of a campaign as one lead would get it, and a test of it to an address of one's own."""

from typing import Any

from tracker.api.blocks import Block, Facts, Field, Form, Link, Page, Text
from tracker.api.console import segment
from tracker.gateway import Asking, NotAnswered

_MENU = Link("Campaigns", "/dashboard/campaigns")


async def mail_page(asking: Asking, campaign_id: str, mail: str, lead: str) -> Page:
    """`mail` is step and variant, as `0:A`; without a variant the one that the lead gets."""
    path, here = f"/campaigns/{segment(campaign_id)}", f"{_MENU.to}/{segment(campaign_id)}"
    campaign = await or_problem(asking, path)
    found = await or_problem(asking, f"{path}/preview", **wanted_mail(mail, lead))
    which = [
        Field("mail", "Mail", "select", mail, options=_mails(campaign.get("steps", []), mail)),
        Field("lead", "As this lead would get it", "email", lead),
    ]
    to = Field("to", "Send it to", "email", required=True)
    return Page(
        f"Mails of {campaign.get('name', campaign_id)}",
        "As one lead would get them; the links of a preview lead nowhere.",
        [
            Form("Which mail", f"{here}/mail", which, "Show", method="get"),
            *_shown(found),
            Form("Send a test", f"{here}/test-send", [to, *which], "Send"),
        ],
        problem=str(found.get("problem", "")),
        under=_MENU,
        buttons=[Link("Back to the campaign", here)],
    )


def wanted_mail(mail: str, lead: str) -> dict[str, Any]:
    """What the dispatcher is asked for."""
    step, _, variant = mail.partition(":")
    optional = {"variant": variant, "lead": lead}
    return {"step": int(step), **{name: value for name, value in optional.items() if value}}


async def or_problem(asking: Asking, path: str, **params: Any) -> dict[str, Any]:
    """A part of a page that may be missing: the rest is still worth showing."""
    try:
        found: dict[str, Any] = await asking.get(path, **params)
    except NotAnswered as error:
        return {"problem": str(error)}
    return found


def _shown(mail: dict[str, Any]) -> list[Block]:
    if "problem" in mail:
        return []
    blocks: list[Block] = [Facts("Header fields", list(mail["headers"].items()))]
    blocks += [Text("Text", mail["text"])] if mail["text"] else []
    blocks += [Text("HTML", mail["html"], html=True)] if mail["html"] else []
    files = [(one["filename"], f"{one['size_bytes']:,} bytes") for one in mail["attachments"]]
    return [*blocks, Facts("Attachments", files)] if files else blocks


def _mails(steps: list[dict[str, Any]], chosen: str) -> tuple[tuple[str, str], ...]:
    """Every variant of every step, and what a lead would get of it."""
    found = []
    for number, step in enumerate(steps):
        found.append((f"{number}:", f"Step {number + 1}, the variant of this lead"))
        found += [
            (f"{number}:{variant['name']}", f"Step {number + 1}, {variant['name']}")
            for variant in step["variants"]
        ]
    return tuple(found) or ((chosen, "Step 1"),)
