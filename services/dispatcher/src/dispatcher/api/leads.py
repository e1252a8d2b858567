"""Leads of a campaign: imported as a stream, looked for, changed, removed."""

import uuid
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from dispatcher.api.campaign_view import lead_named
from dispatcher.api.lead_bodies import LeadPatch, ResumeBody, lead_shown
from dispatcher.domain.campaigns import Campaign, LeadState
from dispatcher.domain.consent import Consent, mailable
from dispatcher.domain.import_progress import ImportState
from dispatcher.domain.lead_rows import Rows, UnusableFile
from dispatcher.domain.leads_csv import LeadReader
from dispatcher.domain.leads_json import JsonReader, NdjsonReader
from dispatcher.importing import LeadStores, RunningImport
from dispatcher.revival import Revival
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.imports import Import
from dispatcher.store.lead_documents import OPEN, Lead
from dispatcher.store.suppressions import Suppressions
from postfleet.addresses import InvalidAddress, canonical
from postfleet.api_keys import Scope, require
from postfleet.http import API, decode_cursor, encode_cursor
from postfleet.instants import now_ms, rfc3339
from postfleet.problems import FieldError, Problem, invalid, not_found

_READERS: dict[str, Callable[[], Rows]] = {
    "text/csv": LeadReader,
    "application/json": JsonReader,
    "application/x-ndjson": NdjsonReader,
}
ImportId = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def build_leads(
    campaigns: Campaigns, stores: LeadStores, suppressions: Suppressions, revival: Revival
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/campaigns/{{campaign_id}}", tags=["leads"])
    service = _LeadService(campaigns, stores, suppressions, revival)
    read, send = [require(Scope.READ)], [require(Scope.SEND)]
    for path, handler, method, scope in (
        ("/leads", service.add, "POST", send),
        ("/leads", service.list_all, "GET", read),
        ("/leads/resume", service.resume, "POST", send),
        ("/leads/{lead}", service.show, "GET", read),
        ("/leads/{lead}", service.change, "PATCH", send),
        ("/imports", service.imports, "GET", read),
        ("/imports/{import_id}", service.one_import, "GET", read),
    ):
        router.add_api_route(path, handler, methods=[method], dependencies=scope)
    router.add_api_route(
        "/leads/{lead}", service.delete, methods=["DELETE"], status_code=204, dependencies=send
    )
    return router


class _LeadService:
    def __init__(
        self,
        campaigns: Campaigns,
        stores: LeadStores,
        suppressions: Suppressions,
        revival: Revival,
    ) -> None:
        self._campaigns, self._stores, self._leads = campaigns, stores, stores.leads
        self._suppressions, self._revival = suppressions, revival

    # -- imports ---------------------------------------------------------------------------------

    async def add(
        self, campaign_id: str, request: Request, import_id: ImportId = None
    ) -> dict[str, Any]:
        """Import leads, streamed: `text/csv`, a JSON list, or `application/x-ndjson`.

        Answers at the end; with an `import_id` of your own you can look at its progress meanwhile.
        Repeating an import adds nobody twice.
        """
        campaign = await self._campaign(campaign_id)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _READERS:
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", f"send {', '.join(_READERS)}")
        chosen = import_id or uuid.uuid4().hex
        if not await self._stores.imports.begin(campaign_id, chosen):
            raise Problem(409, "IN_PROGRESS", f"the import {chosen} is running")
        running = RunningImport(self._stores, campaign, chosen)
        try:
            await running.run(request.stream(), _READERS[kind]())
        except UnusableFile as error:
            raise _unusable(error, chosen, running.tally.shown()) from error
        except ClientDisconnect as error:
            raise Problem(400, "DISCONNECTED", "the upload broke off; send it again") from error
        finally:
            await self._revival.of(campaign_id, running.tally.imported)
        return {"import_id": chosen, "state": ImportState.DONE, **running.tally.shown()}

    async def imports(
        self, campaign_id: str, limit: int = Query(50, ge=1, le=500), cursor: str | None = None
    ) -> dict[str, Any]:
        """The campaign's imports, the newest first."""
        await self._campaign(campaign_id)
        before = self._cursor(campaign_id, cursor)
        found = await self._stores.imports.page(campaign_id, before, limit + 1)
        return _page([(one.queue, _import_shown(one)) for one in found], limit)

    async def one_import(self, campaign_id: str, import_id: str) -> dict[str, Any]:
        """How far it is: `running`, `done`, `failed`, or `interrupted` (repeat it)."""
        found = await self._stores.imports.get(campaign_id, import_id)
        if found is None:
            raise not_found("import", import_id)
        return _import_shown(found)

    # -- looking ---------------------------------------------------------------------------------

    async def list_all(
        self,
        campaign_id: str,
        limit: int = Query(50, ge=1, le=500),
        cursor: str | None = None,
        state: LeadState | None = None,
        q: Annotated[str, Query(max_length=254)] = "",
    ) -> dict[str, Any]:
        """By state, active ones first; `q` is an address or a part of one."""
        await self._campaign(campaign_id)
        exact = await self._exactly(campaign_id, q, state)
        if exact is not None:
            return _page([(exact.queue, lead_shown(exact))], limit)
        after = self._cursor(campaign_id, cursor)
        found = await self._leads.page(campaign_id, after, limit + 1, state, q.lower())
        return _page([(lead.queue, lead_shown(lead)) for lead in found], limit)

    async def _exactly(self, campaign_id: str, text: str, state: LeadState | None) -> Lead | None:
        try:
            found = await self._leads.find(campaign_id, canonical(text))
        except InvalidAddress:
            return None
        return found if found and state in (None, found.state) else None

    async def show(self, campaign_id: str, lead: str) -> dict[str, Any]:
        """By id or by address."""
        return lead_shown(await lead_named(self._leads, campaign_id, lead))

    # -- changing --------------------------------------------------------------------------------

    async def change(self, campaign_id: str, lead: str, body: LeadPatch) -> dict[str, Any]:
        """Fields are merged, one set to null is removed. `state`: `active`, `paused`, `finished`."""
        campaign = await self._campaign(campaign_id)
        found = await lead_named(self._leads, campaign_id, lead)
        changes: dict[str, Any] = {}
        if body.fields is not None:
            merged = {**found.fields, **body.fields}
            changes["fields"] = {name: text for name, text in merged.items() if text is not None}
        consent = body.consent.domain(now_ms()) if body.consent else found.consent
        if body.consent:
            changes["consent"] = consent
        wanted = LeadState(body.state) if body.state else found.state
        changes |= await self._state(campaign, found, wanted, consent)
        if not await self._leads.change(found, **changes):
            raise Problem(409, "CONFLICT", "the lead has moved on meanwhile; read it again")
        await self._revival.of(campaign_id, int(changes.get("state") is LeadState.ACTIVE))
        return lead_shown(await lead_named(self._leads, campaign_id, found.lead_id))

    async def _state(
        self, campaign: Campaign, lead: Lead, wanted: LeadState, consent: Consent
    ) -> dict[str, Any]:
        """The state that follows, with the policies applied. Raises Problem (409)."""
        state = _after(campaign, wanted, consent)
        if state is lead.state:
            return {}
        if state is LeadState.ACTIVE:
            suppressed = await self._suppressions.of([lead.address])
            if suppressed:
                reason = suppressed[lead.address]
                raise Problem(409, "SUPPRESSED", f"suppressed ({reason}); lift that first")
        revived = lead.state not in OPEN and state in OPEN
        again = {"due": now_ms()} if revived else {}
        return {"state": state, "reason": "by an operator", **again}

    async def resume(self, campaign_id: str, body: ResumeBody) -> dict[str, Any]:
        """Let paused leads go on: all of them, or those of one company."""
        campaign = await self._campaign(campaign_id)
        resumed, cursor = 0, None
        while True:
            leads = await self._leads.page(campaign_id, cursor, 1000, LeadState.PAUSED)
            chosen = [lead for lead in leads if body.fits(lead.address, lead.fields)]
            by_state: dict[LeadState, list[Lead]] = {}
            for lead in chosen:
                state = _after(campaign, LeadState.ACTIVE, lead.consent)
                by_state.setdefault(state, []).append(lead)
            for state, mine in by_state.items():
                resumed += await self._leads.move_state(mine, state)
            if len(leads) < 1000:
                break
            cursor = leads[-1].queue
        await self._revival.of(campaign_id, resumed)
        return {"resumed": resumed}

    async def delete(self, campaign_id: str, lead: str) -> Response:
        """Nothing more goes to it from this campaign; an import may add it again."""
        found = await lead_named(self._leads, campaign_id, lead)
        await self._leads.delete(found.key)
        return Response(status_code=204)

    # -- finding ---------------------------------------------------------------------------------

    async def _campaign(self, campaign_id: str) -> Campaign:
        found = await self._campaigns.get(campaign_id)
        if found is None:
            raise not_found("campaign", campaign_id)
        return found

    def _cursor(self, campaign_id: str, cursor: str | None) -> str | None:
        """Raises Problem (422) for a cursor of another list."""
        after = decode_cursor(cursor) if cursor else None
        if after is not None and not after.startswith(f"{campaign_id}:"):
            raise invalid("cursor", "BAD_CURSOR", "use next_cursor as it was given")
        return after


def _after(campaign: Campaign, wanted: LeadState, consent: Consent) -> LeadState:
    """What becomes of a lead that somebody wants in a state: the opt-in policy has its say."""
    if wanted not in (LeadState.ACTIVE, LeadState.UNCONFIRMED):
        return wanted
    allowed = mailable(consent, campaign.require_opt_in)
    return LeadState.ACTIVE if allowed else LeadState.UNCONFIRMED


def _page(found: list[tuple[str, dict[str, Any]]], limit: int) -> dict[str, Any]:
    cursor = encode_cursor(found[limit - 1][0]) if len(found) > limit else None
    return {"items": [shown for _, shown in found[:limit]], "next_cursor": cursor}


def _unusable(error: UnusableFile, import_id: str, tally: dict[str, Any]) -> Problem:
    """What was read before is imported, and counted here."""
    field = "email" if error.code == "BAD_HEADING" else "body"
    errors = [FieldError(field, error.code, str(error))]
    return Problem(422, "INVALID", f"{field}: {error}", errors, import_id=import_id, **tally)


def _import_shown(one: Import) -> dict[str, Any]:
    return {
        "id": one.import_id,
        "import_id": one.import_id,
        "campaign_id": one.campaign_id,
        "state": one.state.value,
        **one.tally.shown(),
        "started_at": rfc3339(one.started_at),
        "changed_at": rfc3339(one.changed_at),
        "error": one.error or None,
    }
