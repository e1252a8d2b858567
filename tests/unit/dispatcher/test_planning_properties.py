"""What holds for every fleet, seed and clock: limits, gaps, rooms, sticky senders, fair turns."""

import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.domain.eligibility import Capacity, Lane, exclusion
from dispatcher.domain.gaps import Pace
from dispatcher.domain.planning import Candidate, Plan, Terms, plan
from postfleet.events.senders import SenderSnapshot, SenderStatus
from postfleet.instants import from_ms
from tests.unit.dispatcher.test_planning import NOW, sender

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Case:
    """Everything that a plan may be asked."""

    candidates: list[Candidate]
    senders: list[SenderSnapshot]
    capacities: dict[str, Capacity]
    now: int
    seed: str
    rooms: dict[str, int]
    terms: dict[str, Terms]
    pace: Pace

    def plan(self) -> Plan:
        return plan(
            self.candidates,
            self.senders,
            self.capacities,
            self.now,
            self.seed,
            rooms=self.rooms,
            terms=self.terms,
            pace=self.pace,
        )


@st.composite
def cases(draw: Any) -> Case:
    now = draw(st.integers(NOW - 400 * 24 * HOUR_MS, NOW + 400 * 24 * HOUR_MS))
    names = [f"s{n}" for n in range(draw(st.integers(0, 6)))]
    senders = [
        sender(
            name,
            domain=f"{draw(st.sampled_from('abc'))}.test",
            health=draw(st.integers(0, 100)),
            status=draw(st.sampled_from([SenderStatus.READY, *SenderStatus])),
            warmup_mode=draw(st.integers(0, 9)) == 0,
            suspended=draw(st.integers(0, 9)) == 0,
            cooldown_until=draw(
                st.sampled_from([None, None, from_ms(now) + timedelta(minutes=5), from_ms(now)])
            ),
        )
        for name in names
    ]
    capacities = {n: Capacity(draw(st.integers(0, 9)), draw(st.integers(0, 9))) for n in names}
    some = st.sampled_from([None, None, *names, "gone"])
    candidates = [
        Candidate(
            f"l{n}",
            f"{n}@x.test",
            draw(some),
            draw(st.sampled_from(["c0", "c1", "c2"])),
            draw(st.sampled_from(["", "gmail", "small", "free"])),
            draw(st.sampled_from([Lane.CAMPAIGN, Lane.CAMPAIGN, Lane.TRANSACTIONAL])),
            draw(st.sampled_from([0, 0, now, now + 1])),
            draw(st.sampled_from([1 << 60, now + 1, now + HOUR_MS])),
        )
        for n in range(draw(st.integers(0, 30)))
    ]
    teams = st.sets(st.sampled_from(names)) if names else st.just(set[str]())
    terms = {
        campaign: Terms(
            draw(st.one_of(st.none(), teams.map(frozenset))),
            draw(st.sampled_from([0, 0, HOUR_MS, 8 * HOUR_MS])),
        )
        for campaign in ("c0", "c1")
    }
    pace = Pace(
        draw(st.sampled_from([0, 1000, 60_000])),
        draw(st.sampled_from([0, 0, 10 * 60_000])),
        {n: now - draw(st.integers(0, HOUR_MS)) for n in names if draw(st.booleans())},
    )
    rooms = {"gmail": draw(st.integers(0, 5)), "small": draw(st.integers(-1, 1))}
    return Case(candidates, senders, capacities, now, draw(st.text()), rooms, terms, pace)


@pytest.mark.seed("S28", "S32", "S40", "S42", "S267", "C38")
@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_no_rule_is_ever_ignored(case: Case) -> None:
    made = case.plan()
    known = {one.sender_id: one for one in case.senders}
    given_to = Counter(choice.sender_id for choice in made.choices)
    for name, count in given_to.items():
        assert count <= case.capacities[name].left
    for choice in made.choices:
        one = choice.candidate
        assert (
            exclusion(
                known[choice.sender_id], case.capacities[choice.sender_id], case.now, one.lane
            )
            is None
        )
        team = case.terms.get(one.campaign_id, Terms()).team
        assert team is None or choice.sender_id in team
        stays = one.sender_id in known and (team is None or one.sender_id in team)
        assert not stays or choice.sender_id == one.sender_id
        assert one.opens_at <= case.now
        assert case.now <= choice.at < one.closes_at
        assert choice.at <= case.now + case.pace.horizon_ms
    to = Counter(choice.candidate.destination for choice in made.choices)
    assert all(to[name] <= max(0, room) for name, room in case.rooms.items())


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_between_two_mails_of_a_sender_is_its_gap(case: Case) -> None:
    times: dict[str, list[int]] = {n: [at] for n, at in case.pace.last.items()}
    for choice in case.plan().choices:
        times.setdefault(choice.sender_id, []).append(choice.at)
    for mine in times.values():
        for earlier, later in itertools.pairwise(mine):
            assert later - earlier >= case.pace.gap_ms


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_everybody_is_placed_or_told_why_not_and_the_same_question_has_the_same_answer(
    case: Case,
) -> None:
    made = case.plan()
    told = [one.candidate for one in (*made.choices, *made.waiting)]
    assert sorted(told, key=lambda c: c.lead_id) == sorted(case.candidates, key=lambda c: c.lead_id)
    assert all(one.rule and one.detail and one.until > case.now for one in made.waiting)
    assert {*made.eligible} | {e.sender_id for e in made.excluded} == {*case.capacities}
    assert case.plan() == made


@given(
    wanted=st.lists(st.integers(0, 40), min_size=2, max_size=5),
    room=st.integers(0, 60),
    seed=st.text(),
)
def test_campaigns_that_compete_get_the_same_but_for_one(
    wanted: list[int], room: int, seed: str
) -> None:
    candidates = [
        Candidate(f"l{c}-{n}", f"{c}-{n}@x.test", campaign_id=f"c{c}")
        for c, count in enumerate(wanted)
        for n in range(count)
    ]
    made = plan(candidates, [sender()], {"s1": Capacity(room, 0)}, NOW, seed)
    got = Counter(choice.candidate.campaign_id for choice in made.choices)
    hungry = [got[f"c{c}"] for c, count in enumerate(wanted) if got[f"c{c}"] < count]
    most = max(got.values(), default=0)
    assert all(mine >= most - 1 for mine in hungry)
    assert len(made.choices) == min(room, len(candidates))


@given(urgent=st.integers(1, 20), other=st.integers(1, 20), room=st.integers(0, 30))
def test_transactional_mail_goes_first(urgent: int, other: int, room: int) -> None:
    lanes = [Lane.CAMPAIGN] * other + [Lane.TRANSACTIONAL] * urgent
    candidates = [Candidate(f"l{n}", "a@x.test", lane=lane) for n, lane in enumerate(lanes)]
    made = plan(candidates, [sender()], {"s1": Capacity(room, 0)}, NOW, "seed")
    got = Counter(choice.candidate.lane for choice in made.choices)
    assert got[Lane.TRANSACTIONAL] == min(urgent, room)


def test_domains_take_turns_by_what_their_senders_can_do() -> None:
    fleet = [sender(f"a{n}", domain="a.test") for n in range(9)] + [sender("b", domain="b.test")]
    room = {one.sender_id: Capacity(1000, 0) for one in fleet}
    leads = [Candidate(f"l{n}", f"{n}@x.test") for n in range(1000)]
    turns = [choice.sender_id for choice in plan(leads, fleet, room, NOW, "seed").choices]
    places = [n for n, name in enumerate(turns) if name == "b"]
    assert 90 <= len(places) <= 115
    assert max(b - a for a, b in itertools.pairwise(places)) <= 13


def test_after_a_pause_nothing_is_caught_up() -> None:
    """Eight of ten open hours were lost: one mail goes at once, the others over what remains."""
    terms = {"c": Terms(None, 2 * HOUR_MS)}
    leads = [Candidate(f"l{n}", f"{n}@x.test", campaign_id="c") for n in range(100)]
    pace = Pace(0, 30 * 60_000, {"s1": NOW - 8 * HOUR_MS})
    made = plan(leads, [sender()], {"s1": Capacity(50, 0)}, NOW, "s", terms=terms, pace=pace)
    times = [choice.at for choice in made.choices]
    assert times[0] == NOW
    assert len(times) < 22  # a quarter of what remains gets about a quarter of the mails
    assert min(b - a for a, b in itertools.pairwise(times)) >= 60_000
