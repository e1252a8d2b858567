"""OAuth 2.0 for mailboxes: what is asked of a provider (RFC 6749, RFC 7636) and what it answers."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeGuard
from urllib.parse import urlencode

REFRESH_AHEAD_MS = 5 * 60_000  # before a token ends a new one is asked for
CLAIM_MS = 60_000  # how long one replica has the refreshing of a sender to itself
RETRY_MS = 60_000  # after a provider that did not answer
_DEFAULT_TOKEN_SECONDS = 3600
_MAX_SECONDS = 10 * 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Grant:
    """What an account holder allowed us. `provider` is "" where there is none; times may be 0.

    `until_ms` is the end of the refresh token, 0 where the provider tells of none.
    """

    provider: str = ""
    token_until_ms: int = 0
    until_ms: int = 0
    refresh_at_ms: int = 0  # when a new token is due; 0: never, the grant has ended

    def renewed(self, tokens: "Tokens") -> "Grant":
        """With the times of new tokens; a provider that repeats no end keeps the one it said."""
        return replace(
            self,
            token_until_ms=tokens.until_ms,
            until_ms=tokens.grant_until_ms or self.until_ms,
            refresh_at_ms=max(1, tokens.until_ms - REFRESH_AHEAD_MS),
        )


@dataclass(frozen=True, slots=True)
class Endpoints:
    """One provider, with the client that the operator registered there."""

    provider: str
    authorize_url: str
    token_url: str
    scope: str
    client_id: str
    client_secret: str = field(repr=False)
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """`refresh` is "" where the provider gave no new one."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    until_ms: int
    grant_until_ms: int


#: RFC 6749 §4.1.2.1 and §5.2, OpenID Connect §3.1.2.6: anything else may be an echo of what we sent
_ERRORS = {
    "access_denied",
    "consent_required",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
}


class GrantRefused(Exception):
    """The provider says no, and will say so again. The text is one of RFC 6749's error codes."""


class ProviderFailed(Exception):
    """The provider did not answer, or nothing that means anything; trying again later is right."""


def challenge(verifier: str) -> str:
    """PKCE, method S256 (RFC 7636 §4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(
    endpoints: Endpoints, *, redirect_uri: str, state: str, verifier: str, address: str
) -> str:
    """Where the account holder allows us to use the mailbox."""
    query = {
        "response_type": "code",
        "client_id": endpoints.client_id,
        "redirect_uri": redirect_uri,
        "scope": endpoints.scope,
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        "login_hint": address,
        **dict(endpoints.extra),
    }
    return f"{endpoints.authorize_url}?{urlencode(query)}"


def read_tokens(status: int, body: bytes, now_ms: int) -> Tokens:
    """The provider's answer (RFC 6749 §5). Raises GrantRefused or ProviderFailed."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ProviderFailed(f"the provider answers {status} and no JSON")
    error = answer.get("error")
    if 400 <= status < 500 and status != 429 and isinstance(error, str):
        raise GrantRefused(error if error in _ERRORS else "refused")
    access, refresh = answer.get("access_token"), answer.get("refresh_token", "")
    if refresh != "" and not _is_token(refresh):
        raise ProviderFailed("the provider's refresh token is malformed")
    if status != 200 or not _is_token(access):
        raise ProviderFailed(f"the provider answers {status} without a token")
    lives = _seconds(answer.get("expires_in")) or _DEFAULT_TOKEN_SECONDS
    grant_lives = _seconds(answer.get("refresh_token_expires_in"))
    return Tokens(
        access,
        refresh,
        until_ms=now_ms + lives * 1000,
        grant_until_ms=now_ms + grant_lives * 1000 if grant_lives else 0,
    )


def _is_token(value: Any) -> TypeGuard[str]:
    """Printable ASCII (RFC 6749 appendix A.12): nothing that could end a line in SMTP or IMAP."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= 8192
        and value.isascii()
        and value.isprintable()
    )


def _seconds(value: Any) -> int:
    try:
        seconds = int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return seconds if 0 < seconds <= _MAX_SECONDS else 0
