"""A double opt-in: who is asked when, how long a link is good, and the page behind it."""

import dataclasses
import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from dispatcher import opt_in as opt_in_rule
from dispatcher.api import opt_in as opt_in_api
from dispatcher.api.confirm_page import Said, answer, page
from dispatcher.api.opt_in import build_opt_in
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.confirm_words import LANGUAGES
from dispatcher.domain.consent import Consent, ConsentLevel
from dispatcher.domain.lead_rows import LeadRow
from dispatcher.opt_in import PLACE, Invitation, OptIn
from dispatcher.store.leads import Leads
from postfleet.instants import now_ms
from postfleet.secrets import KeyRing
from postfleet.tokens import TokenKeys
from tests.support.dispatcher import MASTER_KEY

HOUR = 3600 * 1000
CAMPAIGN = "c0ffee" * 5 + "00"


def asked(accept_language: str = "") -> Request:
    header = (b"accept-language", accept_language.encode())
    return Request({"type": "http", "headers": [header]})


def test_there_are_ten_languages_and_nothing_is_left_in_english() -> None:
    assert len(LANGUAGES) == 10
    for field in dataclasses.fields(LANGUAGES["en"]):
        said = {getattr(words, field.name) for words in LANGUAGES.values()}
        assert len(said - {""}) == 10, field.name


@pytest.mark.parametrize(
    ("said", "status"),
    [(Said.ASK, 200), (Said.DONE, 200), (Said.UNKNOWN, 404), (Said.EXPIRED, 410)],
    ids=str,
)
def test_only_the_question_has_a_button_and_every_answer_its_status(
    said: Said, status: int
) -> None:
    response = answer(asked("xx, pl;q=0.3"), said)
    html = bytes(response.body).decode()
    assert response.status_code == status
    assert (response.headers["content-language"], '<html lang="pl">' in html) == ("pl", True)
    assert ("<button" in html) is (said is Said.ASK)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["vary"] == "Accept-Language"


@pytest.mark.parametrize("code", LANGUAGES)
def test_its_one_style_is_what_the_policy_allows_and_no_word_is_markup(code: str) -> None:
    html = page(LANGUAGES[code], Said.ASK)
    (style,) = re.findall("<style>(.*?)</style>", html)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = answer(asked(code), Said.ASK).headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script" not in policy
    assert "<script" not in html
    assert set(re.findall(r"<(\w+)", html)) == {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "form", "button",
    }  # fmt: skip


class Asked:
    """Who was asked: the links by address. It takes the place of the intake of mails."""

    def __init__(self) -> None:
        self.links: dict[str, list[str]] = {}
        self.ids: set[str] = set()

    async def compose(self, id_: str, _: Any, to: list[str], parts: Any) -> tuple[None, bool]:
        new = id_ not in self.ids
        self.ids.add(id_)
        if new:
            self.links.setdefault(to[0], []).append(re.findall(r"/confirm/[\w-]+", parts.text)[0])
        return None, new


class Nobody:
    """A sender whose address does not matter, and a campaign that needs no revival."""

    email_address = display_name = "ann@fleet.test"

    async def of(self, *_: object) -> None:
        return


@pytest.mark.seed("S302")
async def test_a_link_expires_and_then_the_question_may_be_asked_again(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [now_ms()]
    for module in (opt_in_rule, opt_in_api):
        monkeypatch.setattr(module, "now_ms", lambda: clock[0])
    leads, asked, nobody = Leads(database.leads), Asked(), Nobody()
    await leads.ensure_indexes()
    given = Consent(ConsentLevel.GIVEN, 5, "a form")
    await leads.add(CAMPAIGN, [LeadRow(1, "jo@x.test", {}, given)], require_opt_in=True)
    rule: Any = OptIn
    keys = TokenKeys(KeyRing.parse(MASTER_KEY))
    opt_in = rule(leads, asked, keys, "https://our.test", nobody, within_ms=HOUR)
    app = FastAPI()
    store: Any = None
    app.include_router(build_opt_in(store, store, opt_in))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://our.test")

    async def invite() -> int:
        campaign: Any = Campaign(CAMPAIGN, "Spring", ("s1",), ())
        made: int = await opt_in.invite(campaign, nobody, Invitation("Confirm?", f"Here: {PLACE}"))
        return made

    async def state() -> str:
        found = await leads.find(CAMPAIGN, "jo@x.test")
        assert found is not None
        return found.state.value

    assert (await invite(), await invite()) == (1, 0)
    clock[0] += HOUR - 2000
    assert await invite() == 0, "the link is still good"
    (first,) = asked.links["jo@x.test"]
    assert (await http.get(first)).status_code == 200
    clock[0] += 4000
    for answered in (await http.get(first), await http.post(first)):
        assert (answered.status_code, "This link has expired" in answered.text) == (410, True)
    assert await state() == "unconfirmed"
    assert (await invite(), await invite()) == (1, 0)
    _, second = asked.links["jo@x.test"]
    assert (await http.head(second)).status_code == 200
    assert await state() == "unconfirmed"
    for _ in range(2):
        assert (await http.post(second)).status_code == 200
    assert await state() == "active"
    assert (await http.post(first)).status_code == 410
    assert (await http.post(f"{second}x")).status_code == 404
    clock[0] += 2 * HOUR
    assert await invite() == 0, "who has confirmed is not asked"
    await http.aclose()
