"""`/webhooks`: where events are posted to, what became of them, and sending them again."""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from pydantic import Field

from postfleet.api_keys import Scope, require
from postfleet.events import EVENTS
from postfleet.http import API, Strict, decode_cursor, page
from postfleet.instants import now_ms, rfc3339, to_ms
from postfleet.problems import Problem, invalid, not_found
from postfleet.reachable import WEB_PORTS, Network, refusal
from postfleet.secrets import KeyRing
from tracker.domain.webhooks import Endpoint
from tracker.store.webhooks import WebhookStore
from tracker.webhooks import seal_secret

_MAX_ENDPOINTS = 1000
_SECRET_BYTES = 32


class NewWebhook(Strict):
    """`events` are subjects such as `reply.detected`; none means all."""

    url: str = Field(min_length=1, max_length=2000)
    events: list[str] = Field(default_factory=list, max_length=200)
    description: str = Field("", max_length=500)


class Replay(Strict):
    """`since` is an RFC 3339 time."""

    since: str


def build_router(webhooks: WebhookStore, ring: KeyRing, networks: Sequence[Network]) -> APIRouter:
    """`networks` may be posted to although they are not on the internet, and over http."""
    router = APIRouter(prefix=f"{API}/webhooks", tags=["webhooks"])
    admin, read = [require(Scope.ADMIN)], [require(Scope.READ)]

    async def known(webhook_id: str) -> Endpoint:
        found = await webhooks.get(webhook_id)
        if found is None:
            raise not_found("webhook", webhook_id)
        return found

    @router.post("", status_code=201, dependencies=admin)
    async def create(wanted: NewWebhook, response: Response) -> dict[str, Any]:
        """Post events from now on. The secret is in this answer and in no other."""
        _check_url(wanted.url, networks)
        for place, subject in enumerate(wanted.events):
            if subject not in EVENTS:
                raise invalid(f"events.{place}", "UNKNOWN_EVENT", f"there is no event {subject!r}")
        if len(await webhooks.page("", _MAX_ENDPOINTS)) >= _MAX_ENDPOINTS:
            raise Problem(409, "TOO_MANY", f"there are {_MAX_ENDPOINTS} webhooks; delete one first")
        id_ = uuid4().hex
        secret = "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        endpoint = Endpoint(
            id_, wanted.url, seal_secret(ring, id_, secret), now_ms(), tuple(wanted.events),
            wanted.description,
        )  # fmt: skip
        await webhooks.create(endpoint)
        response.headers["Cache-Control"] = "no-store"
        return {**_shown(endpoint), "secret": secret}

    @router.get("", dependencies=read)
    async def all_webhooks(
        limit: Annotated[int, Query(ge=1, le=500)] = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """The webhooks and how they are."""
        after = decode_cursor(cursor) if cursor else ""
        return page([_shown(e) for e in await webhooks.page(after, limit + 1)], limit)

    @router.get("/{webhook_id}", dependencies=read)
    async def one(webhook_id: str) -> dict[str, Any]:
        return _shown(await known(webhook_id))

    @router.delete("/{webhook_id}", status_code=204, dependencies=admin)
    async def delete(webhook_id: str) -> None:
        """Post nothing more, and forget what waits."""
        if not await webhooks.delete(webhook_id):
            raise not_found("webhook", webhook_id)

    @router.get("/{webhook_id}/deliveries", dependencies=read)
    async def deliveries(
        webhook_id: str, limit: Annotated[int, Query(ge=1, le=500)] = 100
    ) -> dict[str, Any]:
        """The last tries, newest first."""
        await known(webhook_id)
        return {"items": [_try(entry) for entry in await webhooks.log(webhook_id, limit)]}

    @router.post("/{webhook_id}/replay", status_code=202, dependencies=admin)
    async def replay(webhook_id: str, wanted: Replay) -> dict[str, Any]:
        """Post again what came since then (30 days at most); a disabled webhook begins again."""
        await known(webhook_id)
        again = await webhooks.replay(webhook_id, to_ms(_moment(wanted.since)))
        await webhooks.enable(webhook_id)
        return {"webhook_id": webhook_id, "messages": again}

    return router


def _check_url(url: str, networks: Sequence[Network]) -> None:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or not url.isascii() or not url.isprintable() or " " in url:
        raise invalid("url", "INVALID_URL", "must look like https://example.com/path")
    if parts.scheme != "https" and not (networks and parts.scheme == "http"):
        raise invalid(
            "url",
            "NOT_HTTPS",
            "must start with https://; POSTFLEET_TRACKER_WEBHOOK_NETWORKS names networks beside us",
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise invalid("url", "INVALID_URL", "must hold no user, password or fragment")
    _check_address(parts, networks)


def _check_address(parts: SplitResult, networks: Sequence[Network]) -> None:
    """A host that is an address is judged at once; what a name stands for, with each POST."""
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return
    if why := refusal([address], parts.port or 443, networks, WEB_PORTS):
        raise invalid("url", "FORBIDDEN_ADDRESS", why)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("since", "INVALID_TIME", "use 2026-11-21T08:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "state": endpoint.state.value,
        "reason": endpoint.reason,
        "created_at": rfc3339(endpoint.created_ms),
        "failing_since": rfc3339(endpoint.failing_ms),
    }


def _try(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("event_id", "type", "attempt", "status", "error", "state")
    return {"at": rfc3339(entry["at_ms"]), **{name: entry[name] for name in names}}
