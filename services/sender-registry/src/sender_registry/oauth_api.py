"""HTTP: letting the holder of a mailbox allow its use, instead of handing over a password."""

import html
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import Field

from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict
from postfleet.instants import from_ms, iso, now_ms
from postfleet.problems import Problem, invalid
from sender_registry.accounts import Accounts
from sender_registry.credentials import Credentials, from_tokens, provider_name, provider_problem
from sender_registry.domain.oauth import GrantRefused, ProviderFailed, authorization_url
from sender_registry.domain.presets import InboxType
from sender_registry.domain.sender import Sender
from sender_registry.flow_store import KEPT_MS, Flow, FlowStore
from sender_registry.forms import NewSender, SenderFields, new_profile

CALLBACK = f"{API}/sender-accounts/oauth/callback"

Text = Annotated[str, Query(max_length=4096)]


class Again(Strict):
    """`POST /sender-accounts/{id}/oauth/start`."""

    provider: Annotated[str, Field(pattern="^(google|microsoft)$")] | None = None


@dataclass(frozen=True, slots=True)
class Flows:
    """Begins and finishes authorizations."""

    accounts: Accounts
    store: FlowStore
    public_url: str

    @property
    def redirect_uri(self) -> str:
        return self.public_url + CALLBACK

    async def begin(self, flow: Flow, address: str) -> dict[str, Any]:
        """What the caller shows to the account holder."""
        endpoints = self.accounts.providers.get(flow.provider)
        if endpoints is None:
            raise invalid("oauth", "NOT_CONFIGURED", f"no client is configured for {flow.provider}")
        state = secrets.token_urlsafe(32)
        await self.store.begin(state, flow)
        url = authorization_url(
            endpoints,
            redirect_uri=self.redirect_uri,
            state=state,
            verifier=flow.verifier,
            address=address,
        )
        return {"authorization_url": url, "expires_at": iso(from_ms(now_ms() + KEPT_MS))}

    async def finish(self, state: str, code: str) -> Sender:
        """The sender, registered or connected again. Raises Problem."""
        flow = await self.store.finish(state)
        if flow is None:
            raise Problem(404, "NOT_FOUND", "this authorization is not known any more; begin again")
        credentials = await self._exchange(flow, code)
        if flow.sender_id:
            form = SenderFields(auth_method="xoauth2")
            return await self.accounts.reconnect(flow.sender_id, form, credentials)
        new = NewSender.model_validate_json(flow.form)
        return (await self.accounts.register(new, credentials)).sender

    async def _exchange(self, flow: Flow, code: str) -> Credentials:
        providers = self.accounts.providers
        try:
            tokens = await providers.exchange(flow.provider, code, flow.verifier, self.redirect_uri)
        except (GrantRefused, ProviderFailed) as error:
            raise provider_problem(error) from error
        if not tokens.refresh:
            remedy = "the provider gave no refresh token; remove the old grant there, begin again"
            raise Problem(422, "NO_REFRESH_TOKEN", remedy)
        return from_tokens(flow.provider, tokens)


def build_oauth_router(flows: Flows) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-accounts", tags=["senders"])
    admin = require(Scope.ADMIN)

    @router.post("/oauth/start", dependencies=[admin])
    async def start(form: NewSender) -> dict[str, Any]:
        """Begin to register a sender that logs in with OAuth: `auth_method` is `xoauth2`."""
        for name in ("smtp_password", "imap_password", "oauth"):
            if getattr(form, name) is not None:
                raise invalid(name, "UNUSED", "the account holder is asked instead")
        if form.auth_method != "xoauth2":
            raise invalid("auth_method", "INVALID", "must be xoauth2 here")
        new_profile(form, flows.accounts.changes.clock())
        flow = _flow(flows, None, form.inbox_type, "", form.model_dump_json(exclude_unset=True))
        return await flows.begin(flow, form.email_address)

    @router.post("/{sender_id}/oauth/start", dependencies=[admin])
    async def start_again(sender_id: str, form: Again | None = None) -> dict[str, Any]:
        """Begin to connect a sender with OAuth that is registered already."""
        sender = await flows.accounts.get(sender_id)
        asked = form.provider if form else None
        kind = sender.profile.inbox_type
        flow = _flow(flows, asked or sender.grant.provider or None, kind, sender.id, "")
        return await flows.begin(flow, sender.profile.email_address)

    @router.get("/oauth/callback", response_class=HTMLResponse)
    async def callback(state: Text, code: Text = "", error: Text = "") -> HTMLResponse:
        """Where the provider sends the account holder back to; `state` was made by us."""
        if error or not code:
            raise Problem(422, "NOT_ALLOWED", "the provider says that access was not allowed")
        sender = await flows.finish(state, code)
        return _page(f"{sender.profile.email_address} is connected ({sender.status.value}).")

    return router


def _flow(flows: Flows, provider: str | None, kind: InboxType, sender_id: str, form: str) -> Flow:
    name = provider_name(provider, kind, flows.accounts.providers)
    return Flow(name, secrets.token_urlsafe(48), sender_id, form)


def _page(text: str) -> HTMLResponse:
    content = f"<!doctype html><meta charset=utf-8><title>Postfleet</title><p>{html.escape(text)}"
    policy = {"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(content, headers={**policy, "Cache-Control": "no-store"})
