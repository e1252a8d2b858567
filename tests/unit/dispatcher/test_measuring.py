"""What Prometheus hears of the ledger: its ages, its open ends and the quota that is left."""

import pytest
from prometheus_client import REGISTRY

from dispatcher.measuring import Measuring
from dispatcher.store.ages import Ages
from dispatcher.store.quotas import Quotas
from dispatcher.store.senders import Senders
from postfleet.events.senders import MailServer, SenderSnapshot, SenderStatus, SmtpSecurity
from tests.support.mockmongo import mock_database

NOW = 1_800_000_000_000
MINUTE = 60_000
DAY = "2027-01-15"


def _snapshot(name: str, limit: int, *, deleted: bool = False) -> SenderSnapshot:
    return SenderSnapshot(
        sender_id=name,
        revision=1,
        email_address=f"{name}@example.org",
        domain="example.org",
        status=SenderStatus.READY,
        health=100,
        daily_limit=limit,
        effective_limit=limit,
        deleted=deleted,
        smtp=MailServer(
            host="smtp.example.org", port=587, username=name, security=SmtpSecurity.STARTTLS
        ),
    )


def _value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def _measured(**documents: list[dict[str, object]]) -> None:
    db = mock_database("dispatcher")
    for collection, found in documents.items():
        await db[collection].insert_many(found)
    senders = Senders(db.senders)
    for name, limit, deleted in (("a", 40, False), ("b", 60, False), ("c", 500, True)):
        await senders.apply(_snapshot(name, limit, deleted=deleted))
    ages = Ages(db.deliveries, db.batches, db.settlements)
    await Measuring(ages, Quotas(db.quotas), senders).once(NOW)


def _row(key: str, state: str, **fields: object) -> dict[str, object]:
    return {"_id": key, "state": state, "updated_at": NOW, "next_attempt_at": 0, **fields}


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param({}, 0, id="an empty ledger"),
        pytest.param(
            {"deliveries": [_row("1", "deferred", next_attempt_at=NOW - 5 * MINUTE)]},
            300,
            id="a retry that nobody has taken up",
        ),
        pytest.param(
            {"deliveries": [_row("1", "deferred", next_attempt_at=NOW + MINUTE)]},
            0,
            id="a retry whose time has not come",
        ),
        pytest.param(
            {"deliveries": [_row("1", "accepted", next_attempt_at=NOW - MINUTE)]},
            0,
            id="what has ended is not due",
        ),
        pytest.param(
            {"batches": [{"_id": "b", "state": "ready", "created_at": NOW - 2 * MINUTE}]},
            120,
            id="a batch without a worker",
        ),
        pytest.param(
            {
                "deliveries": [_row("1", "postponed", next_attempt_at=NOW - MINUTE)],
                "batches": [{"_id": "b", "state": "again", "created_at": NOW - 9 * MINUTE}],
            },
            540,
            id="the older of both",
        ),
        pytest.param(
            {"batches": [{"_id": "b", "state": "claimed", "created_at": NOW - 9 * MINUTE}]},
            0,
            id="a batch that is being sent",
        ),
    ],
)
async def test_how_long_the_oldest_delivery_has_been_due(
    documents: dict[str, list[dict[str, object]]], expected: float
) -> None:
    await _measured(**documents)
    assert _value("postfleet_ledger_oldest_due_seconds") == expected


async def test_doubts_and_settlements_have_an_age_and_a_number() -> None:
    rows = [_row("1", "unknown", updated_at=NOW - 3 * MINUTE), _row("2", "unknown")]
    told = [
        {"_id": "s", "state": "new", "at": NOW - MINUTE},
        {"_id": "t", "state": "announced", "at": 1},
    ]
    await _measured(deliveries=rows, settlements=told)
    assert _value("postfleet_ledger_oldest_unknown_seconds") == 180
    assert _value("postfleet_ledger_open", state="unknown") == 2
    assert _value("postfleet_ledger_open", state="deferred") == 0
    assert _value("postfleet_ledger_oldest_unannounced_seconds") == 60
    pending = {"service": "dispatcher", "collection": "settlements"}
    assert _value("postfleet_outbox_pending", **pending) == 1


async def test_quota_is_what_all_senders_may_send_and_have_sent_today() -> None:
    used = [{"_id": f"a:{DAY[:7]}", "used": 90, "days": {DAY: 7}, "held": {}}]
    await _measured(quotas=used)
    assert _value("postfleet_quota_limit") == 100, "a deleted sender sends nothing"
    assert _value("postfleet_quota_used") == 7, "of today, not of the month"
    assert _value("postfleet_senders", status="ready") == 2
