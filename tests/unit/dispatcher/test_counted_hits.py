"""Opens and clicks of a delivery, and what the tracker takes back of them, in any order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.counted_hits import Kind, Standing, standings
from postfleet.events.tracking import EmailClicked, EmailOpened, HitEvent, Verdict, VerdictChanged
from postfleet.instants import to_ms

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ABOUT: dict[str, Any] = {
    "delivery_id": "d1",
    "campaign_id": "spring",
    "sender_id": "s1",
    "recipient": "ann@x.test",
    "message_id": "<d1@fleet.test>",
    "occurred_at": NOON,
}


def opened(verdict: Verdict = Verdict.HUMAN, *, first: bool = True, count: int = 1) -> EmailOpened:
    return EmailOpened(**ABOUT, verdict=verdict, first=first, count=count)


def changed(**more: Any) -> VerdictChanged:
    told = {"hit_id": "h1", "hit_kind": "opened", "rules": 1, **more}
    return VerdictChanged(**ABOUT, old_verdict=Verdict.HUMAN, verdict=Verdict.BOT, **told)


CLICK = EmailClicked(**ABOUT, verdict=Verdict.HUMAN, first=True, url="https://x.test")
LATER = NOON + timedelta(hours=1)
AT, LATER_AT = to_ms(NOON), to_ms(LATER)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        pytest.param(
            opened(), [("opened", Standing(2, AT))], id="the first open by a person counts"
        ),
        pytest.param(CLICK, [("clicked", Standing(2, AT))], id="so does the first click"),
        pytest.param(opened(first=False), [], id="the second open says nothing"),
        pytest.param(opened(Verdict.BOT), [], id="a machine's says nothing"),
        pytest.param(
            opened(count=3), [("opened", Standing(6, AT))], id="a later count has its number"
        ),
        pytest.param(changed(), [], id="a verdict that moves no count says nothing"),
        pytest.param(
            changed(uncounted=1, uncounted_at=NOON), [("opened", Standing(3, 0))], id="taken back"
        ),
        pytest.param(
            changed(hit_kind="clicked", counted=2, counted_at=LATER),
            [("clicked", Standing(4, LATER_AT))],
            id="counted after all",
        ),
        pytest.param(
            changed(uncounted=1, uncounted_at=NOON, counted=2, counted_at=LATER),
            [("opened", Standing(3, 0)), ("opened", Standing(4, LATER_AT))],
            id="the count moves to another hit",
        ),
    ],
)
def test_an_event_says_how_the_delivery_stands(
    event: HitEvent | VerdictChanged, told: list[tuple[Kind, Standing]]
) -> None:
    assert list(standings(event)) == told


@given(st.integers(1, 5), st.booleans(), st.data())
def test_the_last_word_holds_in_whatever_order_it_is_heard(
    counts: int, taken_back: bool, data: st.DataObject
) -> None:
    told = [standing for n in range(1, counts) for standing in _life(n)]
    told += _life(counts)[: 2 if taken_back else 1]
    heard = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told)))))
    stands = max(heard, key=lambda one: one.rank)
    assert stands.at == (0 if taken_back else counts)


def _life(number: int) -> list[Standing]:
    return [Standing.counted(number, number), Standing.taken_back(number)]
