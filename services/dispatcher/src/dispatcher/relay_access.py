"""Who may hand mail in: asked of the registry, remembered for seconds, guessed at few times."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from dispatcher.store.senders import Senders
from postfleet.addresses import canonical, domain_of
from postfleet.events.senders import SenderSnapshot
from postfleet.topology import RPC_RELAY

_CACHE_SECONDS = 4.0  # as for API keys: what is revoked stops within five
_CACHE_SIZE = 10_000
_WINDOW_SECONDS = 600.0
_FAILURES_OF_AN_IP = 10
_FAILURES_OF_A_LOGIN = 50  # from everywhere: slow guessing by many

#: `rpc.relay.authenticate`; raises Unavailable
Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Login:
    """A client that logged in: it may write as every sender of its domain."""

    sender_id: str
    domain: str


class RelayAccess:
    def __init__(self, ask: Ask, senders: Senders) -> None:
        self._ask, self._senders = ask, senders
        self._known: OrderedDict[tuple[str, str], tuple[float, str | None]] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def locked(self, ip: str, login: str) -> bool:
        """Too many log-ins failed: nobody is asked for a while."""
        failed_ip, failed_login = self._recent(f"ip {ip}"), self._recent(f"login {login.lower()}")
        return failed_ip >= _FAILURES_OF_AN_IP or failed_login >= _FAILURES_OF_A_LOGIN

    async def log_in(self, ip: str, login: str, password: bytes) -> Login | None:
        """Whose log-in it is. Raises Unavailable while the registry does not answer."""
        hashed = sha256(password).hexdigest()
        address = await self._address({"login": login, "hash": hashed}, (login, hashed))
        sender = await self._sender(address) if address else None
        if sender is None:
            self._fail(f"ip {ip}")
            self._fail(f"login {login.lower()}")
            return None
        return Login(sender.sender_id, sender.domain.lower())

    async def author(self, login: Login | None, ip: str, address: str) -> SenderSnapshot | None:
        """The registered sender with this address, if the client may write as it.

        Who logged in may use the senders of the log-in's domain; who did not, those whose settings
        let this network in. Raises Unavailable.
        """
        if login is None:
            allowed = await self._address({"ip": ip, "address": address}, (ip, address.lower()))
            return await self._sender(address) if allowed else None
        if domain_of(address) != login.domain:
            return None
        return await self._sender(address)

    async def _address(self, question: dict[str, Any], key: tuple[str, str]) -> str | None:
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        answer = await self._ask(RPC_RELAY, question)
        found = answer.get("email_address") if answer.get("sender_id") else None
        self._known[key] = (time.monotonic() + _CACHE_SECONDS, found)
        self._known.move_to_end(key)
        while len(self._known) > _CACHE_SIZE:
            self._known.popitem(last=False)
        return found

    async def _sender(self, address: str) -> SenderSnapshot | None:
        """One that takes mail over SMTP; the database knows of others than this replica heard of."""
        sender = self._senders.named(canonical(address))
        if sender is None:
            await self._senders.load()
            sender = self._senders.named(canonical(address))
        if sender is None or sender.deleted or sender.suspended:
            return None
        return sender if "smtp" in sender.access_methods else None

    def _recent(self, key: str) -> int:
        since = time.monotonic() - _WINDOW_SECONDS
        return sum(at > since for at in self._failures.get(key, ()))

    def _fail(self, key: str) -> None:
        times = self._failures.pop(key, [])
        self._failures[key] = [*times[-_FAILURES_OF_A_LOGIN:], time.monotonic()]
        while len(self._failures) > _CACHE_SIZE:
            self._failures.popitem(last=False)
