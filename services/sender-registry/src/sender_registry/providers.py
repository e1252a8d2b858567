"""Asking OAuth providers for tokens."""

from collections.abc import Mapping
from urllib.parse import urlencode

from postfleet.instants import now_ms
from sender_registry.connecting import Reach
from sender_registry.domain.oauth import Endpoints, ProviderFailed, Tokens, read_tokens
from sender_registry.fetching import FetchFailed, Request, fetch

_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class Providers:
    """The providers that the operator has registered a client with, by name."""

    def __init__(self, known: Mapping[str, Endpoints], reach: Reach) -> None:
        self._known = known
        self._reach = reach

    def get(self, name: str) -> Endpoints | None:
        return self._known.get(name)

    async def exchange(self, name: str, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """The tokens for a code. Raises GrantRefused or ProviderFailed."""
        return await self._ask(
            name,
            {
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": verifier,
                "redirect_uri": redirect_uri,
            },
        )

    async def refresh(self, name: str, refresh_token: str) -> Tokens:
        """New tokens. Raises GrantRefused or ProviderFailed."""
        return await self._ask(
            name, {"grant_type": "refresh_token", "refresh_token": refresh_token}
        )

    async def _ask(self, name: str, form: dict[str, str]) -> Tokens:
        endpoints = self._known.get(name)
        if endpoints is None:
            raise ProviderFailed(f"no client is configured for {name}")
        form |= {"client_id": endpoints.client_id, "client_secret": endpoints.client_secret}
        body = urlencode({name: value for name, value in form.items() if value}).encode()
        asked = now_ms()  # so that a slow answer makes the token look older, not younger
        try:
            answer = await fetch(Request(endpoints.token_url, "POST", _FORM, body), self._reach)
        except FetchFailed as failure:
            raise ProviderFailed(str(failure)) from failure
        return read_tokens(answer.status, answer.body, asked)
