"""Issuing log-ins for handing mail in, and saying whose a log-in is."""

import secrets
from dataclasses import replace
from typing import Any

from postfleet.api_keys import hash_key
from postfleet.problems import invalid
from postfleet.rpc import RequestRefused
from sender_registry.domain.relay import RelayAccess, RelayLogin, may_enter, relay_login
from sender_registry.domain.sender import Profile, Sender
from sender_registry.store import SenderStore

Json = dict[str, Any]


def wants_login(profile: Profile) -> bool:
    return "smtp" in profile.access_methods and profile.smtp_authentication == "user"


def issued(sender: Sender, access: RelayAccess) -> tuple[Sender, str]:
    """The sender with a new log-in, and its password, which is known now and never again."""
    if not wants_login(sender.profile):
        remedy = 'needs "smtp" in access_methods and smtp_authentication "user"'
        raise invalid("smtp_authentication", "NO_RELAY_LOGIN", remedy)
    password = secrets.token_urlsafe(24)  # 192 bits: a plain hash is enough
    login = relay_login(sender.profile.email_address, access.service_domain)
    return replace(sender, relay=RelayLogin(login, hash_key(password))), password


def relay_view(sender: Sender, access: RelayAccess, password: str | None = None) -> Json | None:
    """How mail is handed in; with the password only where it was issued just now."""
    if "smtp" not in sender.profile.access_methods:
        return None
    by_ip = sender.profile.smtp_authentication == "ip"
    ports: list[Json] = [{"port": access.submission_port, "tls": "required", "recommended": True}]
    if by_ip:
        ports.append({"port": access.plain_port, "tls": "optional", "recommended": False})
    return {
        "authentication": sender.profile.smtp_authentication,
        "login": None if by_ip else sender.relay.login or None,
        **({"password": password} if password else {}),
        "hosts": list(access.hosts),
        "ports": ports,
    }


async def authenticate(senders: SenderStore, request: Json) -> Json:
    """`{login, hash}` (of the password, SHA-256 in hexadecimal) or `{ip, address}` -> whose it is.

    `sender_id` is null for whoever may hand nothing in. Raises RequestRefused.
    """
    match request:
        case {"login": str(login), "hash": str(hashed)}:
            sender = await senders.by_relay_login(login.lower(), hashed)
        case {"ip": str(ip), "address": str(address)}:
            sender = await _by_ip(senders, ip, address)
        case _:
            raise RequestRefused("ask with login and hash, or with ip and address")
    if sender is None or sender.suspension.by or "smtp" not in sender.profile.access_methods:
        return {"sender_id": None}
    return {"sender_id": sender.id, "email_address": sender.profile.email_address}


async def _by_ip(senders: SenderStore, ip: str, address: str) -> Sender | None:
    try:
        sender = await senders.by_address(address)
    except ValueError:  # no address
        return None
    if sender is None or sender.profile.smtp_authentication != "ip":
        return None
    return sender if may_enter(ip, sender.profile.allowed_ips) else None
