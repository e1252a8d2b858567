"""Who may send, how much, and who gets what: the planner's rules as tables and properties."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.eligibility import Capacity, exclusion
from dispatcher.domain.planning import Candidate, plan
from postfleet.events.senders import MailServer, SenderSnapshot, SenderStatus, SmtpSecurity
from postfleet.instants import to_ms

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW = to_ms(NOON)


def sender(sender_id: str = "s1", **fields: Any) -> SenderSnapshot:
    values: dict[str, Any] = {
        "sender_id": sender_id,
        "revision": 1,
        "email_address": f"{sender_id}@fleet.test",
        "domain": "fleet.test",
        "status": SenderStatus.READY,
        "health": 100,
        "daily_limit": 50,
        "effective_limit": 50,
        "smtp": MailServer(host="h", port=587, security=SmtpSecurity.STARTTLS, username="u"),
        **fields,
    }
    return SenderSnapshot(**values)


def at(hour: int) -> datetime:
    return NOON.replace(hour=hour)


@pytest.mark.seed("S28", "S32", "S40", "S42", "S279")
@pytest.mark.parametrize(
    ("fields", "capacity", "rule"),
    [
        pytest.param({}, Capacity(50, 0), None, id="a ready sender with room may send"),
        pytest.param({"health": 20}, Capacity(50, 0), None, id="health 20 is enough"),
        pytest.param({"health": 19}, Capacity(50, 0), "health", id="health 19 is not (S40)"),
        pytest.param({"health": 0}, Capacity(50, 0), "health", id="health 0 is not (S40)"),
        pytest.param({"warmup_mode": True}, Capacity(50, 0), "warmup", id="in warm-up (S32)"),
        pytest.param(
            {"status": SenderStatus.WARMUP}, Capacity(50, 0), "restricted", id="status warmup"
        ),
        pytest.param(
            {"status": SenderStatus.RESTRICTED}, Capacity(50, 0), "restricted", id="restricted"
        ),
        pytest.param({"suspended": True}, Capacity(50, 0), "suspended", id="suspended"),
        pytest.param({"deleted": True}, Capacity(50, 0), "deleted", id="deleted"),
        pytest.param(
            {"access_methods": ("smtp",)}, Capacity(50, 0), "access", id="relay only, no campaigns"
        ),
        pytest.param(
            {"cooldown_until": at(13)}, Capacity(50, 0), "cooldown", id="cooling down (S42)"
        ),
        pytest.param({"cooldown_until": at(11)}, Capacity(50, 0), None, id="the cooldown is over"),
        pytest.param({"cooldown_until": at(12)}, Capacity(50, 0), None, id="it ends this moment"),
        pytest.param({}, Capacity(50, 49), None, id="one mail left today"),
        pytest.param({}, Capacity(50, 50), "limit", id="the day's limit is used up (S28)"),
        pytest.param({}, Capacity(50, 60), "limit", id="the limit was lowered below what is used"),
        pytest.param({}, Capacity(0, 0), "limit", id="a limit of nothing"),
        pytest.param(
            {"deleted": True, "health": 0}, Capacity(0, 0), "deleted", id="the final reason first"
        ),
    ],
)
def test_a_rule_excludes_a_sender_or_lets_it_send(
    fields: dict[str, Any], capacity: Capacity, rule: str | None
) -> None:
    found = exclusion(sender(**fields), capacity, NOW)
    assert (found.rule if found else None) == rule
    if found:
        assert found.sender_id == "s1"
        assert found.detail


FLEETS = st.lists(
    st.tuples(
        st.integers(0, 100),  # health
        st.integers(0, 12),  # limit
        st.integers(0, 12),  # used
        st.sampled_from(SenderStatus),
        st.booleans(),  # warm-up mode
    ),
    max_size=6,
)


@pytest.mark.seed("S28", "S32", "S40")
@given(
    fleet=FLEETS,
    leads=st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=60),
    seed=st.text(),
)
def test_no_sender_ever_gets_more_than_it_has_room_for(
    fleet: list[tuple[int, int, int, SenderStatus, bool]], leads: list[int | None], seed: str
) -> None:
    senders = [
        sender(f"s{n}", health=health, status=status, warmup_mode=warmup)
        for n, (health, _, _, status, warmup) in enumerate(fleet)
    ]
    capacities = {f"s{n}": Capacity(row[1], row[2]) for n, row in enumerate(fleet)}
    candidates = [
        Candidate(f"lead{n}", f"{n}@x.test", None if sticky is None else f"s{sticky}")
        for n, sticky in enumerate(leads)
    ]
    result = plan(candidates, senders, capacities, NOW, seed)

    for sender_id, chosen in result.assigned.items():
        assert 0 < len(chosen) <= capacities[sender_id].left
        by_id = next(s for s in senders if s.sender_id == sender_id)
        assert exclusion(by_id, capacities[sender_id], NOW) is None
    told = [one.candidate for one in (*result.choices, *result.waiting)]
    assert sorted(told, key=lambda c: c.lead_id) == sorted(candidates, key=lambda c: c.lead_id)
    assert {*result.eligible} | {e.sender_id for e in result.excluded} == set(capacities)
    for sender_id, chosen in result.assigned.items():
        for candidate in chosen:
            assert candidate.sender_id not in capacities or candidate.sender_id == sender_id
    assert plan(candidates, senders, capacities, NOW, seed) == result


def test_a_lead_waits_for_the_sender_of_its_earlier_steps() -> None:
    senders = [sender("s1", health=10), sender("s2")]
    room = {"s1": Capacity(5, 0), "s2": Capacity(5, 0)}
    result = plan([Candidate("l", "a@x.test", "s1")], senders, room, NOW, "seed")
    assert [(one.candidate.lead_id, one.rule) for one in result.waiting] == [("l", "sticky")]
    assert "its health is 10" in result.waiting[0].detail
    assert result.assigned == {}


def test_a_lead_whose_sender_left_the_campaign_gets_another() -> None:
    result = plan(
        [Candidate("l", "a@x.test", "gone")], [sender("s2")], {"s2": Capacity(5, 0)}, NOW, "seed"
    )
    assert [c.lead_id for c in result.assigned["s2"]] == ["l"]


def test_healthier_senders_with_more_room_get_more() -> None:
    senders = [sender("strong", health=100), sender("weak", health=20)]
    room = {"strong": Capacity(10_000, 0), "weak": Capacity(10_000, 0)}
    leads = [Candidate(f"l{n}", f"{n}@x.test") for n in range(1200)]
    result = plan(leads, senders, room, NOW, "seed")
    share = len(result.assigned["strong"]) / len(leads)
    assert 0.78 < share < 0.89  # 100 to 20


def test_without_senders_everybody_waits() -> None:
    leads = [Candidate("l", "a@x.test")]
    assert [one.candidate for one in plan(leads, [], {}, NOW, "seed").waiting] == leads
