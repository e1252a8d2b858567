"""Two senders that warm up write to each other, rescue from Junk, answer; no figure counts it."""

import imaplib
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.platform import Platform

_ANN, _BEN = "ann.lee@first.test", "ben@second.test"
_PASSWORD = "a password of this test"
_SECONDS = {
    "POSTFLEET_DISPATCHER_WARMUP_EVERY_SECONDS": "0.5",
    "POSTFLEET_DISPATCHER_WARMUP_DAY_SECONDS": "1",
    "POSTFLEET_DISPATCHER_WARMUP_ANSWER_SECONDS": "1",
    "POSTFLEET_INBOX_WATCHER_IDLE_SECONDS": "0.5",
}


@pytest.mark.timeout(180)
@pytest.mark.seed("S31", "C3")
def test_warming_senders_exchange_mails_that_nothing_counts(tmp_path: Path) -> None:
    with Platform(tmp_path / "data", sandbox=True, env=_SECONDS) as up:
        up.wait_for("is ready", 60)
        where = up.endpoints()
        with _control(up) as sandbox, up.api() as api:
            for address in (_ANN, _BEN):
                account = {"address": address, "password": _PASSWORD}
                assert sandbox.post("/accounts", json=account).status_code == 201
            sandbox.put(f"/scripts/{_BEN}", json={"folder": "Junk"}).raise_for_status()
            ann, ben = (_register(api, where, address) for address in (_ANN, _BEN))

            def latest(sender: str) -> dict[str, int]:
                shown = api.get(f"/sender-accounts/{sender}").json()
                found: dict[str, int] = shown["warmup"]["latest"]
                return found

            up.wait_until(lambda: latest(ann)["in_junk"] >= 4, 60, "Ann's mails found in Junk")
            up.wait_until(lambda: latest(ben)["received"] >= 4, 60, "Ben's mails found")
            assert latest(ben)["in_junk"] == 0
            up.wait_until(lambda: _mails(where, _BEN, "Junk") == [], 30, "rescued from Junk")
            up.wait_until(
                lambda: len(_mails(where, _BEN, "INBOX", "SEEN")) >= 4, 30, "opened in INBOX"
            )
            up.wait_until(
                lambda: len(_mails(where, _ANN, "INBOX", "SEEN")) >= 4, 30, "opened in INBOX"
            )
            _check_answers(up, api, where, ann)
            for sender in (ann, ben):
                shown = api.get(f"/sender-accounts/{sender}").json()
                assert shown["sent_today"] <= shown["effective_limit"] == 5
                assert shown["warmup"]["volume"] == 5
            mails = up.sandbox("/ledger?kind=accepted")
            assert {m["recipient"] for m in mails if m["kind"] == "accepted"} == {_ANN, _BEN}
            overview = api.get("/analytics/overview").json()
            assert (overview["sent"], overview["replied"], overview["opened"]) == (0, 0, 0)
        assert up.stop() == 0


def _check_answers(up: Platform, api: httpx.Client, where: dict[str, Any], ann: str) -> None:
    """Where Ann's plan asks for an answer, the one that Ben's limit leaves room for comes."""
    plan = api.get(f"/sender-accounts/{ann}/warmup").json()
    assert len(plan["exchanges"]) == 4, "the fifth is left for an answer"
    if any(exchange["reply"] for exchange in plan["exchanges"]):
        answered = ("HEADER", "In-Reply-To", "first.test")
        up.wait_until(lambda: len(_mails(where, _ANN, "INBOX", *answered)) >= 1, 30, "an answer")


def _register(api: httpx.Client, where: dict[str, Any], address: str) -> str:
    form = {
        "email_address": address,
        "display_name": address.partition("@")[0].title(),
        "smtp_host": "127.0.0.1",
        "smtp_port": where["smtp_port"],
        "smtp_username": address,
        "smtp_password": _PASSWORD,
        "imap_host": "127.0.0.1",
        "imap_port": where["imap_port"],
        "imap_username": address,
        "imap_password": _PASSWORD,
        "imap_use_ssl": True,
        "warmup_mode": True,
    }
    answer = api.post("/sender-accounts", json=form)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "warmup", answer.text
    return str(answer.json()["id"])


def _control(up: Platform) -> httpx.Client:
    port = up.endpoints()["control_port"]
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)


def _mails(where: dict[str, Any], address: str, folder: str, *criteria: str) -> list[bytes]:
    """The sequence numbers of the mails in a folder that fulfil the criteria."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with imaplib.IMAP4_SSL("127.0.0.1", where["imap_port"], ssl_context=context) as imap:
        imap.login(address, _PASSWORD)
        imap.select(folder, readonly=True)
        _, found = imap.search(None, *(criteria or ("ALL",)))
        return list(found[0].split())
