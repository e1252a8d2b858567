"""What the stores promise, on the embedded server and on mongomock-motor alike."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from mongomock_motor import AsyncMongoMockClient
from motor.motor_asyncio import AsyncIOMotorClient

from mail_provisioner.announcements import created
from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain.domains import Domain, DomainState
from mail_provisioner.domain.records import DmarcPolicy
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.store import AddressStore

ANN = Address(
    address="ann@one.test",
    kind=Kind.MAILBOX,
    domain="one.test",
    state=State.REQUESTED,
    generation=1,
    created_at=1_000,
    give_up_at=601_000,
    password_hash="{SHA512-CRYPT}x",
    sealed_password="v1.sealed",
    request_id="r1",
)
SALES = replace(
    ANN, address="sales@one.test", kind=Kind.ALIAS, targets=("ann@one.test", "bob@else.test")
)
DOMAIN = Domain(
    "one.test", DomainState.UNVERIFIED, "token", "sel", "PUB", "v1.key", DmarcPolicy.REJECT, None, 1
)


@pytest.fixture(params=["embedded", "mongomock"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "mongomock":
        yield AsyncMongoMockClient()["mail_provisioner"]
        return
    server = request.getfixturevalue("mongo_server")
    client: Any = AsyncIOMotorClient(server.url, retryWrites=False)
    yield client[server.database(f"provisioner_{secrets.token_hex(3)}")]
    client.close()


@pytest.fixture
async def store(database: Any) -> AddressStore:
    store = AddressStore(database.addresses)
    await store.prepare()
    return store


async def test_an_address_comes_back_as_it_was_requested(store: AddressStore) -> None:
    for wanted in (ANN, SALES):
        assert await store.request(wanted, next_at=5) == wanted
        assert await store.get(wanted.address) == wanted
    assert await store.get("nobody@one.test") is None


@pytest.mark.seed("S96")
async def test_an_address_is_given_once_whatever_its_kind(store: AddressStore) -> None:
    await store.request(ANN, next_at=5)
    assert await store.request(replace(SALES, address=ANN.address), next_at=5) is None
    assert await store.get(ANN.address) == ANN


async def test_a_deleted_address_can_be_requested_again_as_another_generation(
    store: AddressStore,
) -> None:
    await store.request(ANN, next_at=5)
    assert await store.enter(ANN, State.DELETING)
    assert await store.enter(ANN, State.DELETED)
    again = await store.request(replace(SALES, address=ANN.address), next_at=5)
    assert again is not None
    assert (again.kind, again.state, again.generation) == (Kind.ALIAS, State.REQUESTED, 2)
    assert not await store.enter(ANN, State.WRITTEN)  # somebody still at the first generation


@pytest.mark.parametrize(
    ("path", "last", "allowed"),
    [
        pytest.param([], State.WRITTEN, True, id="requested to written"),
        pytest.param([State.WRITTEN], State.LIVE, True, id="written to live"),
        pytest.param([], State.LIVE, False, id="live only after written"),
        pytest.param([State.WRITTEN], State.WRITTEN, False, id="written once"),
        pytest.param([State.DELETING], State.WRITTEN, False, id="a deletion is not undone"),
        pytest.param([State.WRITTEN], State.DELETED, False, id="deleted only through deleting"),
        pytest.param([State.WRITTEN, State.LIVE], State.FAILED, False, id="live does not fail"),
        pytest.param([State.FAILED], State.DELETING, True, id="a failed one can be deleted"),
    ],
)
async def test_states_follow_each_other(
    store: AddressStore, path: list[State], last: State, allowed: bool
) -> None:
    await store.request(ANN, next_at=5)
    for state in path:
        assert await store.enter(ANN, state)
    assert await store.enter(ANN, last) is allowed
    found = await store.get(ANN.address)
    assert found is not None
    assert found.state is (last if allowed else ([State.REQUESTED, *path][-1]))


async def test_a_state_and_its_event_are_one_write(store: AddressStore, database: Any) -> None:
    await store.request(ANN, next_at=5)
    said = created(ANN)
    assert await store.enter(ANN, State.WRITTEN, said)
    assert not await store.enter(ANN, State.WRITTEN, said)
    document = await database.addresses.find_one({"_id": ANN.address})
    assert document["outbox_size"] == 1
    assert document["outbox"][said.id]["subject"] == "mailbox.created"
    assert "sealed" not in document["outbox"][said.id]["body"]


async def test_due_steps_are_claimed_once(store: AddressStore) -> None:
    await store.request(ANN, next_at=100)
    await store.request(SALES, next_at=0)
    assert await store.claim_due(now=99, until=500) == []
    assert await store.claim_due(now=100, until=500) == [ANN.address]
    assert await store.claim_due(now=100, until=500) == []
    assert await store.claim_due(now=500, until=900) == [ANN.address]


async def test_steps_end_once_and_say_so_once(store: AddressStore, database: Any) -> None:
    await store.request(ANN, next_at=5)
    assert await store.announce(ANN, created(ANN))
    assert not await store.announce(ANN, created(ANN))
    assert await store.claim_due(now=9, until=99) == []
    document = await database.addresses.find_one({"_id": ANN.address})
    assert document["outbox_size"] == 1


async def test_a_postponed_step_counts_its_attempts_and_says_why(store: AddressStore) -> None:
    await store.request(ANN, next_at=5)
    await store.postpone(ANN, 10, ("CONFIG_NOT_WRITABLE", "No space left on device"))
    await store.postpone(ANN, 20, ("CONFIG_NOT_WRITABLE", "No space left on device"))
    found = await store.get(ANN.address)
    assert found is not None
    assert (found.attempts, found.error_code) == (2, "CONFIG_NOT_WRITABLE")
    await store.enter(ANN, State.WRITTEN)
    found = await store.get(ANN.address)
    assert found is not None
    assert (found.attempts, found.error_code) == (0, "")


async def test_a_fetched_password_is_forgotten_later(store: AddressStore) -> None:
    await store.request(ANN, next_at=5)
    await store.enter(ANN, State.WRITTEN)
    assert await store.forget_fetched(before=10_000) == 0
    await store.mark_fetched(ANN, at=10_000)
    assert await store.forget_fetched(before=9_999) == 0
    assert await store.forget_fetched(before=10_000) == 1
    found = await store.get(ANN.address)
    assert found is not None
    assert (found.sealed_password, found.password_hash) == ("", ANN.password_hash)


async def test_lists_are_sorted_paged_and_without_deleted_ones(store: AddressStore) -> None:
    names = [f"a{number}@{domain}.test" for domain in ("one", "two") for number in (2, 1, 3)]
    for name in names:
        domain = name.partition("@")[2]
        await store.request(replace(ANN, address=name, domain=domain), next_at=5)
    await store.request(SALES, next_at=5)
    gone = replace(ANN, address="a2@one.test")
    await store.enter(gone, State.DELETING)
    await store.enter(gone, State.DELETED)

    async def page(domain: str, after: str, limit: int) -> list[str]:
        return [a.address for a in await store.page(Kind.MAILBOX, domain, after, limit)]

    assert await page("one.test", "", 10) == ["a1@one.test", "a3@one.test"]
    assert await page("", "", 3) == ["a1@one.test", "a1@two.test", "a2@two.test"]
    assert await page("", "a2@two.test", 3) == ["a3@one.test", "a3@two.test"]


async def test_a_domain_is_added_once_and_verified_once(database: Any) -> None:
    domains = DomainStore(database.domains)
    assert await domains.add(DOMAIN)
    assert not await domains.add(replace(DOMAIN, token="other"))
    assert await domains.get("one.test") == DOMAIN
    assert await domains.verify("one.test", 7)
    assert not await domains.verify("one.test", 8)
    verified = replace(DOMAIN, state=DomainState.VERIFIED, verified_at=7)
    assert await domains.get("one.test") == verified
    with_pct = replace(DOMAIN, name="two.test", dmarc_pct=0)
    await domains.add(with_pct)
    assert await domains.page("", 10) == [verified, with_pct]
    assert await domains.page("one.test", 10) == [with_pct]
