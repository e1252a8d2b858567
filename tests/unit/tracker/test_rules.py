"""The small pure rules: what is kept of an address, where a link may lead, what figures say."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.domain.facts import METRICS
from tracker.domain.figures import activity, buckets, figures, recent
from tracker.domain.hits import Hit, HitKind, UnreadableHit, read_hit
from tracker.domain.links import location
from tracker.domain.networks import network_of


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        pytest.param("192.0.2.77", "192.0.2.0/24", id="IPv4 keeps 24 bits"),
        pytest.param("2001:db8:1:2::3", "2001:db8:1::/48", id="IPv6 keeps 48 bits"),
        pytest.param("::ffff:192.0.2.77", "192.0.2.0/24", id="a mapped IPv4 address is one"),
        pytest.param("testclient", "", id="no address at all"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_an_address_shrinks_to_its_network(ip: str, network: str) -> None:
    assert network_of(ip) == network


@pytest.mark.parametrize(
    ("url", "target"),
    [
        pytest.param("https://example.com/a?b=c#d", "https://example.com/a?b=c#d", id="as it is"),
        pytest.param("http://example.com/%2Fx", "http://example.com/%2Fx", id="encoded already"),
        pytest.param("https://example.com/é", "https://example.com/%C3%A9", id="beyond ASCII"),
        pytest.param("javascript:alert(1)", None, id="a script"),
        pytest.param("data:text/html,x", None, id="data"),
        pytest.param("//evil.example/", None, id="no scheme"),
        pytest.param("https:///path", None, id="no host"),
        pytest.param("https://a.example/\r\nSet-Cookie: x=1", None, id="a header in it"),
        pytest.param("https://a.example/ b", None, id="a space"),
        pytest.param("https://[::1", None, id="not a URL"),
    ],
)
def test_a_link_leads_only_to_web_pages(url: str, target: str | None) -> None:
    assert location(url) == target


@given(st.text())
def test_no_location_can_end_its_header(url: str) -> None:
    target = location(url)
    assert target is None or (target.isascii() and target.isprintable() and " " not in target)


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        pytest.param(None, {"sent": 0, "open_rate": 0.0, "bounce_rate": 0.0}, id="nothing yet"),
        pytest.param(
            {"sent": 3, "opened": 1, "replied": 3},
            {"sent": 3, "opened": 1, "open_rate": 0.3333, "reply_rate": 1.0, "clicked": 0},
            id="fractions of sent",
        ),
        pytest.param(
            {"sent": 1, "bounced_hard": 5}, {"bounce_rate": 1.0}, id="refused mails were never sent"
        ),
    ],
)
def test_figures(counter: dict[str, int] | None, expected: dict[str, float]) -> None:
    found = figures(counter)
    assert {name: found[name] for name in expected} == expected
    assert set(METRICS) <= set(found)


def test_activity_has_a_row_for_every_quiet_day() -> None:
    names = buckets(
        datetime(2026, 11, 19, 23, 59, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC), "day"
    )
    rows = activity(names, {"2026-11-20": {"sent": 4}})
    assert [(row["bucket"], row["sent"]) for row in rows] == [
        ("2026-11-19", 0),
        ("2026-11-20", 4),
        ("2026-11-21", 0),
    ]


def test_hours_are_named_with_their_day() -> None:
    span = datetime(2026, 11, 20, 23, 30, tzinfo=UTC), datetime(2026, 11, 21, 0, 10, tzinfo=UTC)
    assert buckets(*span, "hour") == ["2026-11-20T23", "2026-11-21T00"]


@pytest.mark.parametrize(
    ("sent_per_day", "shown"),
    [
        pytest.param([0, 0, 0, 0, 0], 3, id="nothing yet: the fewest"),
        pytest.param([0, 0, 0, 0, 1], 3, id="since today: the fewest"),
        pytest.param([0, 1, 0, 0, 0], 4, id="from the first busy day"),
        pytest.param([1, 0, 0, 0, 0], 5, id="all"),
    ],
)
def test_the_chart_begins_with_the_first_busy_day(sent_per_day: list[int], shown: int) -> None:
    rows = activity(
        [str(i) for i in range(5)], {str(i): {"sent": n} for i, n in enumerate(sent_per_day)}
    )
    assert len(recent(rows, 3)) == shown


def test_a_hit_is_read_as_it_was_written() -> None:
    hit = Hit(HitKind.CLICKED, "ab" * 16, 5, link_id="cd" * 8, ip="192.0.2.1", headers={"via": "é"})
    assert read_hit(hit.body()) == hit


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'{"kind": "eaten"}'])
def test_what_is_no_hit_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(UnreadableHit, match=": "):
        read_hit(body)
