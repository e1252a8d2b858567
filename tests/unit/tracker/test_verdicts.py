"""Was it a human? The table an operator would ask for."""

import pytest

from postfleet.events.tracking import Verdict
from tracker.domain.agents import MAIL_SECURITY
from tracker.domain.hits import Hit, HitKind
from tracker.domain.verdicts import TOO_FAST_MS, Judgement, Surroundings
from tracker.domain.verdicts import judge as judge_in

ACCEPTED = 1_800_000_000_000
LATER = ACCEPTED + 60_000
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLE = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"


def judge(hit: Hit, accepted_ms: int = ACCEPTED) -> Judgement:
    return judge_in(hit, Surroundings(accepted_ms))


def _hit(
    user_agent: str,
    *,
    at_ms: int = LATER,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    kind: HitKind = HitKind.OPENED,
) -> Hit:
    return Hit(
        kind,
        "ab" * 16,
        at_ms,
        user_agent=user_agent,
        method=method,
        headers=headers or {},
    )


@pytest.mark.parametrize(
    ("hit", "verdict", "reason"),
    [
        pytest.param(_hit(FIREFOX), "human", "no sign", id="a browser a minute later"),
        pytest.param(_hit(GOOGLE), "proxy", "Gmail", id="Gmail's image proxy"),
        pytest.param(_hit(YAHOO), "proxy", "Yahoo", id="Yahoo's image proxy"),
        pytest.param(_hit("Mozilla/5.0"), "proxy", "Apple", id="Apple Mail Privacy Protection"),
        pytest.param(_hit(FIREFOX, method="HEAD"), "bot", "HEAD", id="a HEAD request"),
        pytest.param(_hit(""), "bot", "no user agent", id="no user agent"),
        pytest.param(_hit("   "), "bot", "no user agent", id="a blank user agent"),
        pytest.param(
            _hit(FIREFOX, headers={"sec-purpose": "prefetch;prerender"}), "bot", "prefetch",
            id="a browser's prefetch",
        ),
        pytest.param(
            _hit("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
            "bot", "crawler", id="a search engine",
        ),
        pytest.param(_hit("curl/8.5.0"), "bot", "crawler", id="a library"),
        pytest.param(
            _hit("Mozilla/5.0 (Windows NT 10.0) BingPreview/1.0b"), "bot", "Safe Links",
            id="Microsoft Safe Links",
        ),
        pytest.param(
            _hit(f"{FIREFOX} Google-Safety"), "bot", "Google Safe Browsing",
            id="Google Safe Browsing in a browser's clothes",
        ),
        pytest.param(
            _hit(FIREFOX, kind=HitKind.CLICKED), "bot", "without a browser's headers",
            id="a click by a browser that sends no browser's headers",
        ),
        pytest.param(
            _hit(FIREFOX, kind=HitKind.CLICKED, headers={"accept": "text/html"}), "human",
            "no sign", id="a click by a browser",
        ),
        pytest.param(
            _hit(GOOGLE, at_ms=ACCEPTED + TOO_FAST_MS - 1), "bot", "less than 2 s",
            id="a proxy that prefetches at delivery",
        ),
    ],
)  # fmt: skip
@pytest.mark.seed("S167", "S168", "S169", "S170", "S179")
def test_verdict(hit: Hit, verdict: str, reason: str) -> None:
    found = judge(hit, ACCEPTED)
    assert found.verdict == verdict
    assert reason in found.reason


@pytest.mark.seed("S172")
@pytest.mark.parametrize(
    ("milliseconds", "verdict"),
    [
        pytest.param(-500, Verdict.BOT, id="before the 250 was settled"),
        pytest.param(1_999, Verdict.BOT, id="just under two seconds"),
        pytest.param(2_000, Verdict.HUMAN, id="at two seconds"),
    ],
)
def test_nobody_reads_in_less_than_two_seconds(milliseconds: int, verdict: Verdict) -> None:
    assert judge(_hit(FIREFOX, at_ms=ACCEPTED + milliseconds), ACCEPTED).verdict is verdict


@pytest.mark.parametrize("signature", MAIL_SECURITY, ids=lambda s: s.needle)
def test_a_mail_security_agent_is_a_bot_in_any_case_of_letters(signature) -> None:
    for spelling in (signature.needle, signature.needle.upper(), signature.needle.title()):
        found = judge(_hit(f"Mozilla/5.0 (compatible; {spelling}/1.0)"), ACCEPTED)
        assert (found.verdict, found.reason) == (Verdict.BOT, signature.name)


@pytest.mark.seed("S171")
def test_there_are_at_least_24_signatures_of_our_own() -> None:
    names = {signature.name for signature in MAIL_SECURITY}
    assert len(names) >= 24
    assert {"Barracuda", "Proofpoint", "Mimecast", "Microsoft Safe Links"} <= names


@pytest.mark.parametrize(
    "mail_client",
    [
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0",
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; "
        "Microsoft Outlook 16.0.5266; ms-office; MSOffice 16)",
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.13127; Pro)",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Mobile/15E148",
        "Outlook-iOS/723.4027091.prod.iphone (4.28.0)",
        "Airmail 3",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 KMail/5.24 Chrome/118.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36 Avast/126.0",
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    ],
)
def test_a_mail_client_is_never_a_bot(mail_client: str) -> None:
    assert judge(_hit(mail_client), ACCEPTED).verdict is Verdict.HUMAN


def test_an_unsubscribe_is_honoured_whoever_sends_it() -> None:
    hit = Hit(HitKind.UNSUBSCRIBED, "ab" * 16, ACCEPTED, method="POST", way="one-click")
    assert judge(hit, ACCEPTED).verdict is Verdict.HUMAN
