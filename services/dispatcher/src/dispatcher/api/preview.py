"""A step's mail before it goes: shown as one lead would get it, or sent to somebody of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from dispatcher.api.campaign_view import CampaignParts, lead_named
from dispatcher.domain.campaigns import Campaign, Variant, variant_for
from dispatcher.domain.headers import reply_subject
from dispatcher.domain.identity import delivery_id, lead_id
from dispatcher.domain.mail import barred, new_id
from dispatcher.domain.message import CannotFill, CompiledMessage, Filled, Letter
from dispatcher.domain.plus_addresses import author_of
from dispatcher.mail_intake import MailIntake
from dispatcher.store.attachments import Attachments
from dispatcher.store.lead_documents import Lead
from postfleet.addresses import InvalidAddress, canonical, domain_of
from postfleet.api_keys import Scope, require
from postfleet.events.senders import SenderSnapshot
from postfleet.http import API, Strict
from postfleet.instants import now, now_ms
from postfleet.problems import Problem, invalid, not_found

#: The tokens of such a mail belong to no delivery: nobody's open, click or unsubscription is counted.
_NOBODY = "0" * 32
_SHOWN_FIELDS = ("From", "To", "Subject", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post")


class TestSendBody(Strict):
    """`lead`, by id or address, fills the mail; without it the campaign's first lead does."""

    __test__ = False

    to: Annotated[str, Field(min_length=3, max_length=254)]
    step: Annotated[int, Field(ge=0, le=1000)] = 0
    variant: Annotated[str, Field(max_length=40)] | None = None
    lead: Annotated[str, Field(max_length=254)] | None = None


@dataclass(frozen=True, slots=True)
class PreviewParts:
    campaigns: CampaignParts
    attachments: Attachments
    intake: MailIntake


def build_preview(parts: PreviewParts) -> APIRouter:
    router = APIRouter(prefix=f"{API}/campaigns", tags=["campaigns"])

    @router.get("/{campaign_id}/preview", dependencies=[require(Scope.READ)])
    async def preview(
        campaign_id: str,
        lead: str | None = None,
        step: int = Query(0, ge=0, le=1000),
        variant: str | None = Query(None, max_length=40),
    ) -> dict[str, Any]:
        """The mail as one lead (by id or address; else the first) would get it; its links lead nowhere.

        `message` is the whole mail without its attachments, which are listed beside it.
        """
        campaign = await parts.campaigns.find(campaign_id)
        person = await _lead(parts.campaigns, campaign, lead)
        if person is None:
            raise not_found("lead", "of this campaign; add one first")
        sender = await _sender(parts.campaigns, campaign)
        chosen = _variant(campaign, step, variant, person.lead_id)
        letter = _letter(campaign, step, person, sender)
        filled = _filled(parts.campaigns, campaign, step, chosen, letter, None)
        return _shown(campaign, step, chosen, filled)

    @router.post("/{campaign_id}/test-send", status_code=202, dependencies=[require(Scope.SEND)])
    async def test_send(campaign_id: str, body: TestSendBody) -> dict[str, Any]:
        """Send the step's mail to one address as a mail of its own, by a sender of the campaign.

        Neither the campaign's leads nor its figures know of it; its links lead nowhere.
        """
        campaign = await parts.campaigns.find(campaign_id)
        try:
            canonical(body.to)
        except InvalidAddress as error:
            raise invalid("to", "invalid_address", str(error)) from error
        person = await _lead(parts.campaigns, campaign, body.lead)
        sender = await _sender(parts.campaigns, campaign, ready=True)
        who = person.lead_id if person else lead_id(body.to)
        chosen = _variant(campaign, body.step, body.variant, who)
        id_ = new_id()
        letter = _letter(campaign, body.step, person, sender, body.to)._replace(
            recipient=body.to,
            message_id=f"<{id_}.test@{domain_of(sender.email_address)}>",
        )
        files = await parts.attachments.contents(
            file.id for file in campaign.steps[body.step].attachments
        )
        filled = _filled(parts.campaigns, campaign, body.step, chosen, letter, files)
        mail = replace(
            parts.intake.mail(id_, sender, [body.to], now_ms()),
            subject=filled.subject,
            message_id=letter.message_id,
            to_each=False,
            via="test",
        )
        await parts.intake.accept(mail, filled.content)
        return {
            "delivery_id": id_,
            "sender_id": sender.sender_id,
            "recipient": body.to,
            "step": body.step,
            "variant": chosen.name,
            "subject": filled.subject,
        }

    return router


async def _lead(parts: CampaignParts, campaign: Campaign, name: str | None) -> Lead | None:
    if name:
        return await lead_named(parts.leads, campaign.id, name)
    return await parts.leads.first(campaign.id)


async def _sender(
    parts: CampaignParts, campaign: Campaign, *, ready: bool = False
) -> SenderSnapshot:
    """One of the campaign's senders; one that may send now, if it must be `ready`."""
    await parts.author(campaign)
    found = await parts.senders.find(campaign.senders)
    if not ready:
        return found[0]
    reasons = [(sender, barred(sender, now_ms())) for sender in found]
    for sender, reason in reasons:
        if reason is None:
            return sender
    detail = "; ".join(f"{sender.email_address}: {why.detail}" for sender, why in reasons if why)
    raise Problem(409, "NO_SENDER_READY", f"no sender of the campaign may send now: {detail[:500]}")


def _variant(campaign: Campaign, step: int, name: str | None, lead: str) -> Variant:
    if step >= len(campaign.steps):
        raise invalid("step", "no_such_step", f"the campaign has {len(campaign.steps)} steps")
    if name is None:
        return variant_for(campaign.steps[step], lead, campaign.id)
    for variant in campaign.steps[step].variants:
        if variant.name == name:
            return variant
    names = ", ".join(variant.name for variant in campaign.steps[step].variants)
    raise invalid("variant", "no_such_variant", f"the step has {names}")


def _letter(
    campaign: Campaign, step: int, lead: Lead | None, sender: SenderSnapshot, to: str = ""
) -> Letter:
    address = lead.address if lead else to
    return Letter(
        delivery_id=_NOBODY,
        message_id=f"<preview@{domain_of(sender.email_address)}>",
        author=author_of(sender),
        recipient=address,
        date=now(),
        values={**(lead.fields if lead else {}), "email": address},
        seed=delivery_id(campaign.id, lead.lead_id if lead else lead_id(to), step),
    )


def _filled(
    parts: CampaignParts,
    campaign: Campaign,
    step: int,
    variant: Variant,
    letter: Letter,
    files: Mapping[str, bytes] | None,
) -> Filled:
    """As the worker would: a follow-up without a subject answers the first mail."""
    try:
        if step and not variant.subject:
            lead = lead_id(letter.values["email"])
            first = variant_for(campaign.steps[0], lead, campaign.id)
            seed = delivery_id(campaign.id, lead, 0)
            before = _filled(parts, campaign, 0, first, letter._replace(seed=seed), None)
            letter = letter._replace(reply_subject=reply_subject(before.subject))
        compiled = CompiledMessage(campaign, step, variant, parts.keys, parts.public_url, files)
        return compiled.fill(letter)
    except CannotFill as error:
        raise invalid("lead", "cannot_fill", str(error)) from error


def _shown(campaign: Campaign, step: int, variant: Variant, filled: Filled) -> dict[str, Any]:
    mail = message_from_bytes(filled.content, policy=policy.default)
    return {
        "step": step,
        "variant": variant.name,
        "subject": filled.subject,
        "headers": {name: str(mail[name]) for name in _SHOWN_FIELDS if mail[name] is not None},
        "text": _body(mail, "plain"),
        "html": _body(mail, "html"),
        "attachments": [
            {
                "filename": file.name,
                "content_type": file.content_type,
                "size_bytes": file.size_bytes,
                "content_id": file.content_id,
            }
            for file in campaign.steps[step].attachments
        ],
        "message": filled.content.decode(),
    }


def _body(mail: EmailMessage, subtype: str) -> str | None:
    part = mail.get_body((subtype,))
    if part is None:
        return None
    content: str = part.get_content()
    return content.replace("\r\n", "\n")
