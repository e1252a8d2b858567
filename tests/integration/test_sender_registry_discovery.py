"""Servers of an address are found in DNS and on the web, and nowhere that the rule forbids."""

import ssl
from ipaddress import ip_network
from pathlib import Path

import pytest

from sender_registry.connecting import Reach
from sender_registry.discovering import Discovery
from sender_registry.domain.presets import InboxType
from sender_registry.fetching import FetchFailed, Request, fetch
from tests.support.certificates import write_certificates
from tests.support.nameserver import Records, name_server
from tests.support.webserver import Asked, Reply, web_server

Certificates = tuple[Path, Path, Path]
CONFIG = b"""<clientConfig><emailProvider>
<outgoingServer type="smtp"><hostname>mail.one.test</hostname><port>465</port>
<socketType>SSL</socketType><username>%EMAILADDRESS%</username></outgoingServer>
</emailProvider></clientConfig>"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"), ["localhost"])


def reach(certificates: Certificates, networks: str = "127.0.0.0/8,::1/128") -> Reach:
    return Reach(
        tuple(ip_network(n) for n in networks.split(",") if n),
        1.0,
        ssl.create_default_context(cafile=str(certificates[0])),
        "client.test",
    )


@pytest.mark.parametrize(
    ("address", "by", "kind", "host"),
    [
        ("ann@gmail.com", "domain", "GOOGLE_WORKSPACE", "smtp.gmail.com"),
        ("ann@works.test", "mx", "GOOGLE_WORKSPACE", "smtp.gmail.com"),
        ("ann@own.test", "srv", "CUSTOM_SMTP", "mail.own.test"),
        ("ann@silent.test", "nobody", "CUSTOM_SMTP", None),
        ("ann@straße.test", "srv", "CUSTOM_SMTP", "mail.own.test"),
    ],
)
async def test_the_cheapest_source_that_knows_is_believed(
    certificates: Certificates, address: str, by: str, kind: str, host: str | None
) -> None:
    records: Records = {
        ("works.test", "MX"): ["10 aspmx.l.google.com."],
        ("own.test", "MX"): ["10 mail.own.test."],
        ("_submission._tcp.xn--strae-oqa.test", "SRV"): ["0 0 587 mail.own.test."],
        ("_submission._tcp.own.test", "SRV"): ["0 0 587 mail.own.test."],
        ("_imaps._tcp.own.test", "SRV"): ["0 0 993 mail.own.test."],
        ("_submission._tcp.silent.test", "SRV"): ["0 0 0 ."],
    }
    async with name_server(records) as server:
        found = await Discovery(reach(certificates), server).find(address)
    assert (found.by, found.inbox_type.value) == (by, kind)
    assert (found.smtp.host if found.smtp else None) == host


async def test_the_database_of_configurations_is_asked_last(certificates: Certificates) -> None:
    async def answer(asked: Asked) -> Reply:
        return (200, CONFIG) if asked.target == "/v1.1/one.test" else (404, b"")

    async with name_server({}) as server, web_server(answer, certificates) as web:
        discovery = Discovery(reach(certificates), server, f"{web.url}/v1.1")
        found = await discovery.find("ann@one.test")
        unknown = await discovery.find("ann@two.test")
    assert found.smtp is not None
    assert (found.by, found.smtp.host, found.smtp.port) == ("autoconfig", "mail.one.test", 465)
    assert (unknown.by, unknown.inbox_type) == ("nobody", InboxType.CUSTOM_SMTP)
    assert [asked.target for asked in web.asked] == ["/v1.1/one.test", "/v1.1/two.test"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://{host}/", "only https", id="unencrypted"),
        pytest.param("https://127.0.0.1:1/", "refuses", id="a closed port"),
        pytest.param("https://no-such-host.invalid/", "does not resolve", id="an unknown name"),
    ],
)
async def test_what_cannot_be_fetched_says_why(
    certificates: Certificates, url: str, reason: str
) -> None:
    patient = Reach((ip_network("127.0.0.0/8"),), 20, reach(certificates).tls, "client.test")
    with pytest.raises(FetchFailed, match=reason):
        await fetch(Request(url.format(host="localhost")), patient)


async def test_a_web_server_inside_the_network_is_not_asked(certificates: Certificates) -> None:
    async def answer(asked: Asked) -> Reply:
        return 200, CONFIG

    async with web_server(answer, certificates) as web:
        with pytest.raises(FetchFailed, match="not on the internet"):
            await fetch(Request(web.url), reach(certificates, ""))
    assert web.asked == []


async def test_an_endless_answer_is_cut_off(certificates: Certificates) -> None:
    async def answer(asked: Asked) -> Reply:
        return 200, b"x" * 2_000_000

    async with web_server(answer, certificates) as web:
        with pytest.raises(FetchFailed, match="more than"):
            await fetch(Request(web.url), reach(certificates))


async def test_a_stranger_with_another_certificate_is_not_believed(
    certificates: Certificates,
) -> None:
    async def answer(asked: Asked) -> Reply:
        return 200, CONFIG

    async with web_server(answer, certificates) as web:
        with pytest.raises(FetchFailed, match=r"mismatch|not valid"):
            await fetch(Request(web.url.replace("localhost", "127.0.0.1")), reach(certificates))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("ann@typo.test", "the domain typo.test does not exist: is it spelt right?"),
        ("ann@broken.test", "the name servers of broken.test do not answer: try again later"),
        ("ann@silent.test", ""),
    ],
)
async def test_a_domain_that_does_not_exist_or_answer_is_named(
    certificates: Certificates, address: str, problem: str
) -> None:
    records: Records = {
        ("broken.test", "MX"): ["SERVFAIL"],
        ("silent.test", "MX"): ["10 mx.silent.test."],
    }
    async with name_server(records) as server:
        found = await Discovery(reach(certificates), server).find(address)
    assert (found.by, found.problem) == ("nobody", problem)
