"""An OAuth 2.0 provider that plays Google or Microsoft: codes with PKCE, refresh, introspection."""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.support.webserver import Asked, Reply

CLIENT_ID, CLIENT_SECRET = "the-client", "canary-client-secret"


@dataclass
class OAuthProvider:
    """Give `answer` to a web server: `/token` is RFC 6749's, `/introspect` RFC 7662's.

    `lifetime` is that of the access tokens in seconds; `broken` answers 500 to everybody.
    """

    lifetime: int = 3600
    broken: bool = False
    refreshes: int = 0
    _codes: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    _refresh: dict[str, str] = field(default_factory=dict)
    _access: dict[str, tuple[str, float]] = field(default_factory=dict)

    def consent(self, authorization_url: str, account: str) -> dict[str, str]:
        """The account holder clicks "allow": the parameters of the callback."""
        query = dict(parse_qsl(urlsplit(authorization_url).query))
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        code = secrets.token_urlsafe(16)
        self._codes[code] = (account, query)
        return {"code": code, "state": query["state"]}

    def grant(self, account: str) -> str:
        """A refresh token, as somebody has it who was allowed before."""
        token = f"canary-refresh-{secrets.token_urlsafe(16)}"
        self._refresh[token] = account
        return token

    def revoke(self, account: str) -> None:
        """The account holder takes it all back."""
        self._refresh = {t: a for t, a in self._refresh.items() if a != account}
        self._access = {t: a for t, a in self._access.items() if a[0] != account}

    async def answer(self, asked: Asked) -> Reply:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if self.broken:
            return 500, b"out of order"
        if asked.target == "/introspect":
            return 200, json.dumps(self._introspect(form)).encode()
        status, body = self._token(form)
        return status, json.dumps(body).encode()

    def _introspect(self, form: Mapping[str, str]) -> dict[str, object]:
        account, until = self._access.get(form.get("token", ""), ("", 0.0))
        good = bool(account) and until > time.time()
        return {"active": good, "username": account, "scope": "mail"}

    def _token(self, form: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") == "authorization_code":
            account = self._redeem(form)
            refresh = self.grant(account) if account else ""
        else:
            refresh = form.get("refresh_token", "")
            account = self._refresh.get(refresh, "")
            self.refreshes += 1
        if not account:
            return 400, {"error": "invalid_grant"}
        access = f"canary-access-{secrets.token_urlsafe(16)}"
        self._access[access] = (account, time.time() + self.lifetime)
        tokens = {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime}
        return 200, {**tokens, "refresh_token": refresh}

    def _redeem(self, form: Mapping[str, str]) -> str:
        account, query = self._codes.pop(form.get("code", ""), ("", {}))
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        proven = urlsafe_b64encode(digest).rstrip(b"=").decode() == query.get("code_challenge")
        same = form.get("redirect_uri") == query.get("redirect_uri")
        return account if account and proven and same else ""
