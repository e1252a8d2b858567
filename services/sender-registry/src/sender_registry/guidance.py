"""HTTP: what is known about providers, and where an address has its servers."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator

from postfleet.addresses import split_address
from postfleet.api_keys import Scope, require
from postfleet.events.senders import MailServer
from postfleet.http import API, Strict
from sender_registry.discovering import Discovery
from sender_registry.domain import advice
from sender_registry.domain.presets import PRESETS, VERSION, InboxType

Json = dict[str, Any]


def _address(value: str) -> str:
    split_address(value)
    return value


class Discover(Strict):
    """`POST /sender-accounts/discover`."""

    email_address: Annotated[str, AfterValidator(_address)]


def build_guidance_router(discovery: Discovery) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/sender-accounts", tags=["senders"], dependencies=[require(Scope.READ)]
    )

    @router.get("/presets")
    async def presets() -> Json:
        """Servers, limits and password guides of known providers, and good practice."""
        return {
            "version": VERSION,
            "items": [preset_view(kind) for kind in InboxType],
            "app_passwords": list(advice.APP_PASSWORDS),
            "low_limits": list(advice.LOW_LIMITS),
            "senders": list(advice.SENDERS),
            "ports": advice.RECOMMENDED_PORTS,
        }

    @router.post("/discover")
    async def discover(form: Discover) -> Json:
        """Where mail of this address is submitted and read, as far as anybody tells."""
        found = await discovery.find(form.email_address)
        return {
            "found_by": found.by,
            "problem": found.problem or None,
            "inbox_type": found.inbox_type.value,
            **_server("smtp", found.smtp),
            **_server("imap", found.imap),
            "preset": preset_view(found.inbox_type),
        }

    return router


def preset_view(kind: InboxType) -> Json:
    preset = PRESETS[kind]
    end = preset.password_end
    return {
        "inbox_type": kind.value,
        "smtp_host": preset.smtp_host or None,
        "smtp_port": preset.smtp_port,
        "smtp_use_tls": True,
        "smtp_username": preset.smtp_username or None,
        "imap_host": preset.imap_host or None,
        "imap_port": preset.imap_port,
        "imap_use_ssl": True,
        "max_daily_limit": preset.max_daily_limit,
        "hint": preset.hint,
        "guide": list(preset.guide),
        "note": preset.note or None,
        "password_end": {"on": end.on.isoformat(), "what": end.what} if end else None,
        "oauth": preset.oauth or None,
        "source": preset.source or None,
        "checked": preset.checked.isoformat(),
    }


def _server(protocol: str, server: MailServer | None) -> Json:
    if server is None:
        return {f"{protocol}_host": None}
    return {
        f"{protocol}_host": server.host,
        f"{protocol}_port": server.port,
        f"{protocol}_username": server.username,
        f"{protocol}_security": server.security.value,
    }
