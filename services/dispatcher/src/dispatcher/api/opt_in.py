"""Double opt-in: sending the question, and `/confirm/{token}`, where it is answered.

GET and HEAD change nothing, whoever sends them: scanners follow every link.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, field_validator

from dispatcher.api.confirm_page import Said, answer
from dispatcher.domain.mail import CannotCompose
from dispatcher.opt_in import PLACE, Invitation, OptIn
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.senders import Senders
from postfleet.addresses import check_text
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict
from postfleet.instants import now_ms
from postfleet.problems import invalid, not_found


class OptInBody(Strict):
    """`text` holds {{ confirm_url }}. `from` is a sender's id or address."""

    from_: Annotated[str, Field(alias="from", min_length=1, max_length=254)]
    subject: Annotated[str, Field(min_length=1, max_length=500)]
    text: Annotated[str, Field(min_length=1, max_length=100_000)]

    @field_validator("subject")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return check_text(value)

    @field_validator("text")
    @classmethod
    def _has_link(cls, value: str) -> str:
        if PLACE not in value:
            raise ValueError(f"the text must hold {PLACE}, where the link goes")
        return value


def build_opt_in(campaigns: Campaigns, senders: Senders, opt_in: OptIn) -> APIRouter:
    router = APIRouter()

    @router.post(
        f"{API}/campaigns/{{campaign_id}}/opt-in",
        status_code=202,
        tags=["leads"],
        dependencies=[require(Scope.SEND)],
    )
    async def ask(campaign_id: str, body: OptInBody) -> dict[str, Any]:
        """Ask every unconfirmed lead to confirm, by a transactional mail.

        Who has a link that is still good is not asked again.
        """
        campaign = await campaigns.get(campaign_id)
        if campaign is None:
            raise not_found("campaign", campaign_id)
        await senders.load()
        sender = senders.named(body.from_)
        if sender is None or sender.deleted:
            raise invalid("from", "unknown_sender", "no sender has this id or address")
        try:
            made = await opt_in.invite(campaign, sender, Invitation(body.subject, body.text))
        except CannotCompose as error:
            raise invalid(error.field, "invalid", str(error)) from error
        return {"campaign_id": campaign_id, "mails": made}

    @router.api_route("/confirm/{token}", methods=["GET", "HEAD"], tags=["public"])
    async def show(token: str, request: Request) -> Response:
        """A page with a button. Changes nothing."""
        question = opt_in.question(token)
        if question is None:
            return answer(request, Said.UNKNOWN)
        return answer(request, Said.EXPIRED if question.expires_at < now_ms() else Said.ASK)

    @router.post("/confirm/{token}", tags=["public"])
    async def confirm(token: str, request: Request) -> Response:
        """The button was pressed. The token is the authority; pressing twice changes nothing."""
        question = opt_in.question(token)
        if question is not None and question.expires_at < now_ms():
            return answer(request, Said.EXPIRED)
        known = question is not None and await opt_in.confirm(question.lead_key)
        return answer(request, Said.DONE if known else Said.UNKNOWN)

    return router
