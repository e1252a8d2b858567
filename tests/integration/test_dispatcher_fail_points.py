"""kill -9 at every named place of the life of a mail: nothing lost, nothing twice, doubts explained."""

from collections import Counter
from typing import Any

import pytest

from dispatcher.domain.ledger import CRASHED
from dispatcher.store.attempts import Attempts
from dispatcher.store.packed import unpacked
from postfleet.failpoints import POINTS
from tests.support.dispatcher import DispatcherWorld

PEOPLE = [f"accept+{n}@people.test" for n in range(30)]
SENDING = [point for point in POINTS if not point.startswith(("consume", "intake", "outbox"))]


@pytest.mark.parametrize("point", SENDING)
async def test_a_kill_loses_no_mail_and_doubles_none(world: DispatcherWorld, point: str) -> None:
    dispatcher = world.dispatcher()
    await dispatcher.start(f"{point}:2")
    campaign_id = await world.campaign(dispatcher, PEOPLE)
    await world.until(dispatcher.dead, f"killed {point}", dispatcher.tail)
    dispatcher.kill()
    await dispatcher.start()
    rows = await world.settled(campaign_id, len(PEOPLE))
    accepted = world.accepted()
    assert set(accepted.values()) <= {1}
    await _explain(world, rows, accepted)
    states = Counter(row["state"] for row in rows.values())
    said = await world.said()
    assert said["email.sent"] == states["accepted"]
    assert said["email.unknown"] == states["unknown"]


async def _explain(world: DispatcherWorld, rows: dict[str, Any], accepted: Counter[str]) -> None:
    """A row says what happened, or is in doubt: begun, and nobody has written down how it ended."""
    assert rows.keys() == set(PEOPLE)
    attempts, settlements = Attempts(world.database.attempts), world.database.settlements
    for address, row in rows.items():
        if row["state"] == "accepted":
            assert accepted[address] == 1
            continue
        assert (row["state"], row["reason"]) == ("unknown", CRASHED)
        key = f"{row['_id']}:{row['attempt']}"
        begun = (await attempts.begun([key]))[key]
        assert (begun.batch_id, begun.at) == (row["batch_id"], row["updated_at"])
        facts = [
            item["outcome"]
            async for document in settlements.find({"batch_id": row["batch_id"]}).limit(1000)
            for item in unpacked(document["items"])
            if item["item"][0] == row["_id"]
        ]
        assert set(facts) == {"unknown"}
