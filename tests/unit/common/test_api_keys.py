"""Who may call the HTTP API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from postfleet import api_keys, problems
from postfleet.api_keys import ApiKey, Authenticator, Scope, hash_key, registry_lookup, require
from postfleet.outages import Unavailable
from postfleet.rpc import RequestRefused

BOOTSTRAP_KEY = "bootstrap-key-of-the-operator"


class Registry:
    """Knows keys by their hash, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.asked = 0

    def add(self, key: str, *scopes: Scope) -> str:
        self.keys[hash_key(key)] = ApiKey(key, frozenset(scopes))
        return key

    async def look_up(self, hashed: str) -> ApiKey | None:
        self.asked += 1
        return self.keys.get(hashed)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[AsyncClient]:
    app = FastAPI()
    problems.install(app)
    app.state.authenticator = Authenticator(BOOTSTRAP_KEY, registry.look_up)
    for scope in Scope:

        @app.get(f"/{scope}")
        async def answer(key: ApiKey = require(scope)) -> str:  # noqa: B008
            return key.id

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("own", "needed", "allowed"),
    [
        (Scope.READ, Scope.READ, True),
        (Scope.READ, Scope.SEND, False),
        (Scope.READ, Scope.ADMIN, False),
        (Scope.SEND, Scope.READ, True),
        (Scope.SEND, Scope.SEND, True),
        (Scope.SEND, Scope.ADMIN, False),
        (Scope.ADMIN, Scope.READ, True),
        (Scope.ADMIN, Scope.SEND, True),
        (Scope.ADMIN, Scope.ADMIN, True),
    ],
)
async def test_admin_includes_send_which_includes_read(
    own: Scope, needed: Scope, allowed: bool, registry: Registry, client: AsyncClient
) -> None:
    key = registry.add("k1", own)
    response = await client.get(f"/{needed}", headers={"X-API-Key": key})
    assert response.status_code == (200 if allowed else 403)
    if not allowed:
        assert response.json()["code"] == "FORBIDDEN"
        assert needed.value in response.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no key"),
        pytest.param({"X-API-Key": ""}, id="an empty key"),
        pytest.param({"X-API-Key": "nobody's"}, id="an unknown key"),
        pytest.param({"X-API-Key": hash_key(BOOTSTRAP_KEY)}, id="the hash of a key"),
        pytest.param({"X-API-Key": BOOTSTRAP_KEY.upper()}, id="a key in other case"),
        pytest.param({"X-API-Key": "caf\xe9".encode("latin-1")}, id="bytes that are no ASCII"),
        pytest.param({"Authorization": f"Bearer {BOOTSTRAP_KEY}"}, id="a key elsewhere"),
    ],
)
async def test_without_a_known_key_nothing_is_answered(
    headers: dict[str, Any], client: AsyncClient
) -> None:
    response = await client.get("/read", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHORIZED")


async def test_the_bootstrap_key_may_everything_and_needs_no_registry(
    registry: Registry, client: AsyncClient
) -> None:
    response = await client.get("/admin", headers={"X-API-Key": BOOTSTRAP_KEY})
    assert (response.status_code, response.json(), registry.asked) == (200, "bootstrap", 0)


async def test_a_key_without_scopes_may_nothing(registry: Registry, client: AsyncClient) -> None:
    response = await client.get("/read", headers={"X-API-Key": registry.add("k1")})
    assert response.status_code == 403


async def test_an_answer_holds_for_four_seconds_and_a_revoked_key_ends(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: clock[0])
    authenticator = Authenticator(BOOTSTRAP_KEY, registry.look_up)
    registry.add("k1", Scope.READ)
    assert await authenticator.check("k1") is not None
    registry.keys.clear()
    clock[0] += 3.9
    assert await authenticator.check("k1") is not None
    assert registry.asked == 1
    clock[0] += 0.2
    assert await authenticator.check("k1") is None
    assert registry.asked == 2


async def test_unknown_keys_do_not_fill_the_memory(registry: Registry) -> None:
    authenticator = Authenticator(BOOTSTRAP_KEY, registry.look_up)
    for number in range(2500):
        assert await authenticator.check(f"guess {number}") is None
    assert len(authenticator._known) <= 1000


async def _answer(body: dict[str, Any]) -> ApiKey | None:
    async def request(subject: str, question: dict[str, Any]) -> dict[str, Any]:
        assert (subject, question) == ("rpc.api_key.verify", {"hash": "abc"})
        return body

    return await registry_lookup(request)("abc")


async def test_the_registry_s_answer_becomes_a_key() -> None:
    assert await _answer({"id": "k1", "scopes": ["send"]}) == ApiKey("k1", frozenset({Scope.SEND}))
    assert await _answer({"id": None}) is None
    assert await _answer({}) is None


async def test_a_scope_that_only_a_newer_registry_knows_gives_nothing() -> None:
    assert await _answer({"id": "k1", "scopes": ["read", "fly"]}) == ApiKey(
        "k1", frozenset({Scope.READ})
    )


async def test_a_registry_that_cannot_tell_is_unavailable_not_a_stranger() -> None:
    async def request(_: str, __: dict[str, Any]) -> dict[str, Any]:
        raise RequestRefused("internal error")

    with pytest.raises(Unavailable, match="cannot tell now"):
        await registry_lookup(request)("abc")
