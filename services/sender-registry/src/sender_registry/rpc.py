"""Requests in, over the bus: sealed credentials, whose an API key is, who may hand mail in."""

from typing import Any

from postfleet.bus import Bus
from postfleet.instants import now_ms
from postfleet.rpc import RequestRefused
from postfleet.topology import RPC_API_KEY, RPC_CREDENTIALS, RPC_RELAY, RPC_WARMUP
from sender_registry.key_store import KeyStore
from sender_registry.relay import authenticate
from sender_registry.store import SenderStore
from sender_registry.token_keeper import TokenKeeper
from sender_registry.warming import Warming


def answer(
    bus: Bus, senders: SenderStore, keys: KeyStore, tokens: TokenKeeper, warming: Warming
) -> None:
    """Register the answers; call it before `bus.start`."""

    async def credentials(request: dict[str, Any]) -> dict[str, Any]:
        return await sealed_credentials(senders, tokens, request)

    async def api_key(request: dict[str, Any]) -> dict[str, Any]:
        return await verify_key(keys, request)

    async def relay_login(request: dict[str, Any]) -> dict[str, Any]:
        return await authenticate(senders, request)

    bus.answer(RPC_WARMUP, warming.plan)
    bus.answer(RPC_RELAY, relay_login)
    bus.answer(RPC_CREDENTIALS, credentials)
    bus.answer(RPC_API_KEY, api_key)


async def sealed_credentials(
    senders: SenderStore, tokens: TokenKeeper, request: dict[str, Any]
) -> dict[str, Any]:
    """Ciphertext only: who holds MASTER_KEY opens it. Raises RequestRefused.

    Where the sender logs in with OAuth, what is sealed is an access token that is still good.
    """
    sender_id, protocol = request.get("sender_id"), request.get("protocol")
    if not isinstance(sender_id, str) or protocol not in ("smtp", "imap"):
        raise RequestRefused("ask with a sender_id and protocol smtp or imap")
    sender = await senders.get(sender_id)
    if sender is None:
        raise RequestRefused(f"there is no sender {sender_id}")
    if sender.suspension.by:
        raise RequestRefused(f"sender {sender_id} is suspended")
    if 0 < sender.grant.refresh_at_ms <= now_ms():
        await tokens.refresh(sender_id)  # the sweep is late, or we were down
    server = sender.smtp if protocol == "smtp" else sender.imap
    sealed = (await senders.secrets(sender_id)).get(protocol)
    if server is None or sealed is None:
        raise RequestRefused(f"sender {sender_id} has no {protocol} log-in")
    return {
        "sender_id": sender_id,
        "protocol": protocol,
        "username": server.username,
        "sealed": sealed,
        **({"auth_method": "xoauth2"} if server.auth_method == "xoauth2" else {}),
    }


async def verify_key(keys: KeyStore, request: dict[str, Any]) -> dict[str, Any]:
    """The key with this hash, or `{"id": null}`. Raises RequestRefused."""
    hashed = request.get("hash")
    if not isinstance(hashed, str):
        raise RequestRefused("ask with the hash of a key")
    found = await keys.by_hash(hashed)
    if found is None:
        return {"id": None}
    return {"id": found.id, "scopes": sorted(scope.value for scope in found.scopes)}
