"""Whose network a hit came from: the lists and how they are read."""

import pytest

from postfleet.events.tracking import Verdict
from tracker.domain.hits import Hit, HitKind
from tracker.domain.networks import BadNetworks, Networks, network_of, read_networks
from tracker.domain.verdicts import Surroundings, judge
from tracker.published import BUILT_IN, load_networks

COLUMNS = "network,name,kind,source,as_of\n"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"


def _list(*lines: str) -> Networks:
    return Networks(read_networks(COLUMNS + "\n".join(lines)))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param("64.235.150.9", "Barracuda", id="an address"),
        pytest.param("64.235.150.0/24", "Barracuda", id="the network that is left of it"),
        pytest.param("::ffff:64.235.150.9", "Barracuda", id="an IPv4 address in IPv6's clothes"),
        pytest.param("2a01:111:f400:7e00::1", "Microsoft Exchange Online Protection", id="IPv6"),
        pytest.param(
            "2a01:111:f400::/48", "Microsoft Exchange Online Protection", id="an IPv6 /48"
        ),
        pytest.param("192.0.2.1", None, id="nobody's"),
        pytest.param("", None, id="no address"),
        pytest.param("nonsense", None, id="no address at all"),
    ],
)
def test_a_published_network_is_found(place: str, name: str | None) -> None:
    found = load_networks(None).find(place)
    assert (found.name if found else None) == name


def test_every_built_in_network_has_its_source_and_date() -> None:
    published = read_networks(BUILT_IN.read_text())
    assert len({entry.name for entry in published}) >= 7
    for entry in published:
        assert entry.name
        assert entry.source
        assert len(entry.as_of) == len("2026-11-21")
        assert entry.network.prefixlen >= 8


def test_the_longest_prefix_and_the_operators_own_list_come_first() -> None:
    own = read_networks(COLUMNS + "10.1.0.0/16,office,human,ours,2026-11-21")
    more = read_networks(
        COLUMNS + "10.0.0.0/8,scanner,bot,x,y\n10.1.2.0/24,proxy,proxy,x,y\n10.1.0.0/16,s,bot,x,y"
    )
    both = Networks(own, more)
    assert [found.name for place in ("10.1.2.3", "10.9.0.1") if (found := both.find(place))] == [
        "office",
        "scanner",
    ]
    assert (found := Networks(more).find("10.1.2.3"))
    assert found.name == "proxy"
    # A /24 that holds a smaller published network is not all of it.
    assert _list("10.1.2.128/25,half,bot,x,y").find("10.1.2.0/24") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "columns", id="empty"),
        pytest.param("10.0.0.0/8,a,bot,x,y", "columns", id="no names of columns"),
        pytest.param(f"{COLUMNS}10.0.0.0/8,a,bot", "line 2: 5 columns", id="too few columns"),
        pytest.param(f"{COLUMNS}# x\n10.0.0.1/8,a,bot,x,y", "line 3:", id="host bits are set"),
        pytest.param(f"{COLUMNS}10.0.0.0/8,a,robot,x,y", "'robot'", id="a kind that is none"),
        pytest.param(f"{COLUMNS}ten,a,bot,x,y", "'ten'", id="no network"),
    ],
)
def test_a_wrong_list_is_refused_and_the_line_is_named(text: str, told: str) -> None:
    with pytest.raises(BadNetworks) as refused:
        read_networks(text)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "asked", "verdict"),
    [
        pytest.param("bot", HitKind.OPENED, Verdict.BOT, id="a scanner's open"),
        pytest.param("bot", HitKind.CLICKED, Verdict.BOT, id="a scanner's click"),
        pytest.param("proxy", HitKind.OPENED, Verdict.PROXY, id="a picture loaded for somebody"),
        pytest.param("proxy", HitKind.CLICKED, Verdict.HUMAN, id="a link is followed by somebody"),
        pytest.param("human", HitKind.OPENED, Verdict.HUMAN, id="a network of people"),
    ],
)
def test_a_network_decides(kind: str, asked: HitKind, verdict: Verdict) -> None:
    networks = _list(f"198.51.100.0/24,It,{kind},x,y")
    hit = Hit(asked, "ab" * 16, 9_000_000, user_agent=CHROME, headers={"accept": "*/*"})
    known = Surroundings(0, networks.find("198.51.100.7"))
    assert judge(hit, known).verdict is verdict


def test_what_is_kept_of_an_address() -> None:
    assert network_of("198.51.100.77") == "198.51.100.0/24"
    assert network_of("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert network_of("?") == ""
