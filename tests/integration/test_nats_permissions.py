"""docs/permissions.md is what a server with deploy/nats/nats.conf really allows: every user is tried
on every subject."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from postfleet import reconcile
from postfleet.events import EVENTS
from postfleet.topology import DURABLES, RPC_CREDENTIALS
from tests.support.natsdeployed import USERS, DeployedNats

TABLE = Path(__file__).parents[2] / "docs/permissions.md"

pytestmark = pytest.mark.skipif(bool(DeployedNats.missing()), reason=str(DeployedNats.missing()))


def _documented() -> dict[str, dict[str, str]]:
    """subject -> user -> letters, as people read it."""
    found: dict[str, dict[str, str]] = {}
    users: list[str] = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[0] == "subject":
            users = cells[1:]
        elif cells and cells[0].startswith("`"):
            found[cells[0].strip("`")] = dict(zip(users, cells[1:], strict=True))
    return found


DOCUMENTED = _documented()


@pytest.fixture(scope="module")
def server() -> Iterator[DeployedNats]:
    with DeployedNats() as running:
        asyncio.run(_apply(running))
        yield running


async def _apply(server: DeployedNats) -> None:
    ops = await server.connect("ops")
    await reconcile.apply(ops.jetstream())
    await ops.close()


class _Trial:
    """One user's connection, and what the server has refused on it."""

    def __init__(self, client: Client, refused: list[str]) -> None:
        self._client, self._refused = client, refused

    async def publishes(self, subjects: list[str]) -> set[str]:
        """Those that were let through."""
        for subject in subjects:
            await self._client.publish(subject, b"")
        violations = await self._violations("publish")
        return {s for s in subjects if s.lower() not in violations}

    async def subscribes(self, subjects: list[str], queue: str = "") -> set[str]:
        """Those that were let through; each ends at once, so that nobody hears another's trial."""
        for subject in subjects:
            subscription = await self._client.subscribe(subject, queue=queue)
            await subscription.unsubscribe()
        violations = await self._violations("subscription")
        return {s for s in subjects if s.lower() not in violations}

    async def _violations(self, kind: str) -> set[str]:
        await self._client.flush()
        await asyncio.sleep(0.1)  # the callbacks run as tasks of their own
        pattern = rf'permissions violation for {kind} to "([^"]+)"'
        found = {m.group(1) for error in self._refused for m in [re.search(pattern, error)] if m}
        self._refused.clear()
        return found


async def _tried(server: DeployedNats, user: str) -> dict[str, str]:
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    client = await server.connect(user, error_cb=note)
    trial = _Trial(client, refused)
    subjects = list(DOCUMENTED)
    heard = await trial.subscribes(subjects)
    queued = await trial.subscribes(subjects, queue=user)
    as_others = set()
    for other in set(USERS) - {user}:
        as_others |= await trial.subscribes(sorted(queued - heard), queue=other)
    said = await trial.publishes([s for s in subjects if s.split(".")[-1] not in ("*", ">")])
    await client.close()
    assert as_others == set(), "a queue group of somebody else"
    return {
        subject: ("P" if subject in said else "")
        + ("S" if subject in heard else "Q" if subject in queued else "")
        for subject in subjects
    }


@pytest.mark.parametrize("user", USERS)
async def test_the_server_allows_what_the_table_says_and_nothing_else(
    server: DeployedNats, user: str
) -> None:
    tried = await _tried(server, user)
    documented = {subject: cells[user] for subject, cells in DOCUMENTED.items()}
    differing = {s: (tried[s], documented[s]) for s in tried if tried[s] != documented[s]}
    assert differing == {}, "subject: (the server allows, the table says)"


def test_the_table_has_every_event_every_durable_and_every_inbox() -> None:
    assert set(EVENTS) <= set(DOCUMENTED)
    for durable in DURABLES:
        if durable.part_of and not durable.name.endswith("-00"):
            continue  # the first stands for all
        place = f"{durable.stream}.{durable.name}"
        assert f"$JS.API.CONSUMER.MSG.NEXT.{place}" in DOCUMENTED
        assert f"$JS.ACK.{place}.1.1.1.1.0" in DOCUMENTED
        assert f"$JS.ACK._.hash.{place}.1.1.1.1.0.token" in DOCUMENTED
    assert {f"_INBOX_{user}.reply" for user in USERS} <= set(DOCUMENTED)


def test_only_dispatcher_and_watcher_may_ask_for_credentials() -> None:
    may = {user for user, letters in DOCUMENTED[RPC_CREDENTIALS].items() if "P" in letters}
    assert may == {"dispatcher", "inbox-watcher"}


def test_no_service_hears_events_but_through_its_durables() -> None:
    for subject in [*EVENTS, ">", "*.*", "email.*", "_INBOX.>"]:
        heard = {user for user, letters in DOCUMENTED[subject].items() if "S" in letters}
        assert heard == set(), subject
