"""What providers answer, and what is made of it."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sender_registry.domain.oauth import (
    Endpoints,
    Grant,
    GrantRefused,
    ProviderFailed,
    authorization_url,
    challenge,
    read_tokens,
)

NOW_MS = 1_000_000


def answer(**fields: Any) -> bytes:
    return json.dumps({"access_token": "a", "expires_in": 3600, **fields}).encode()


@pytest.mark.parametrize(
    ("body", "until_ms", "grant_until_ms"),
    [
        pytest.param(answer(), NOW_MS + 3_600_000, 0, id="as usual"),
        pytest.param(answer(expires_in="60"), NOW_MS + 60_000, 0, id="a number as text"),
        pytest.param(answer(expires_in=-1), NOW_MS + 3_600_000, 0, id="nonsense is an hour"),
        pytest.param(answer(expires_in=1e400), NOW_MS + 3_600_000, 0, id="so is infinity"),
        pytest.param(
            answer(refresh_token_expires_in=604_800),
            NOW_MS + 3_600_000,
            NOW_MS + 604_800_000,
            id="a grant that ends in a week",
        ),
    ],
)
def test_the_ends_of_tokens_are_understood(body: bytes, until_ms: int, grant_until_ms: int) -> None:
    tokens = read_tokens(200, body, NOW_MS)
    assert (tokens.until_ms, tokens.grant_until_ms) == (until_ms, grant_until_ms)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(400, b'{"error": "invalid_grant"}', GrantRefused, id="revoked"),
        pytest.param(401, b'{"error": "invalid_client"}', GrantRefused, id="a wrong secret"),
        pytest.param(429, b'{"error": "slow_down"}', ProviderFailed, id="too many requests"),
        pytest.param(500, b'{"error": "server_error"}', ProviderFailed, id="out of order"),
        pytest.param(200, b"<html>", ProviderFailed, id="a page"),
        pytest.param(200, b"[]", ProviderFailed, id="a list"),
        pytest.param(200, b"[" * 100_000, ProviderFailed, id="too deep"),
        pytest.param(200, b"{}", ProviderFailed, id="no token"),
        pytest.param(200, answer(access_token="a\r\nQUIT"), ProviderFailed, id="a line break"),
        pytest.param(200, answer(refresh_token=7), ProviderFailed, id="a number for a token"),
        pytest.param(302, b"", ProviderFailed, id="a redirect"),
    ],
)
def test_only_a_refusal_ends_a_grant(status: int, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_tokens(status, body, NOW_MS)


def test_no_token_and_no_secret_is_in_a_representation() -> None:
    tokens = read_tokens(200, answer(access_token="canary", refresh_token="canary"), NOW_MS)
    endpoints = Endpoints("google", "https://a.test", "https://t.test", "s", "id", "canary")
    assert "canary" not in f"{tokens!r} {endpoints!r}"


def test_the_challenge_is_that_of_the_rfc() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_account_holder_is_sent_to_the_provider_with_what_it_needs() -> None:
    endpoints = Endpoints(
        "google", "https://a.test/auth", "", "mail", "id", "secret", (("prompt", "consent"),)
    )
    url = authorization_url(
        endpoints, redirect_uri="https://p.test/cb", state="s", verifier="v", address="ann@one.test"
    )
    query = {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}
    assert query == {
        "response_type": "code",
        "client_id": "id",
        "redirect_uri": "https://p.test/cb",
        "scope": "mail",
        "state": "s",
        "code_challenge": challenge("v"),
        "code_challenge_method": "S256",
        "login_hint": "ann@one.test",
        "prompt": "consent",
    }


def test_new_tokens_are_due_five_minutes_before_their_end() -> None:
    grant = Grant("google", until_ms=7).renewed(read_tokens(200, answer(), NOW_MS))
    assert grant == Grant("google", NOW_MS + 3_600_000, 7, NOW_MS + 3_300_000)
    short = Grant("google").renewed(read_tokens(200, answer(expires_in=1), 0))
    assert short.refresh_at_ms == 1
