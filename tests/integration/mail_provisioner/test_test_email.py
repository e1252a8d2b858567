"""Test mails on a real mail server, and the delivery reports that come back."""

from typing import Any

import pytest

from tests.integration.mail_provisioner.test_mail_server import live, settings
from tests.support.mailpair import MailPair
from tests.support.provisioner import Service, Start

pytestmark = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")


@pytest.mark.seed("S102", "S160")
async def test_each_address_is_followed_up_by_its_delivery_report(
    start: Start, mail_pair: MailPair
) -> None:
    async with start(**settings(mail_pair)) as service:
        domain = await service.domain()
        for prefix in ("ann", "bob"):
            await live(service, domain, prefix)
        good, late, outside = f"bob@{domain}", f"late-bounce@{domain}", "x@outside.example"
        path = f"/domains/{domain}/test-email"
        sent = await service.post(path, author=f"ann@{domain}", to=[good, late, outside])
        assert sent.status_code == 201, sent.text
        assert _outcomes(sent.json()) == {good: "accepted", late: "accepted", outside: "refused"}

        async def reported() -> bool:
            known = (await service.http.get(f"{path}/{sent.json()['id']}")).json()
            return "accepted" not in _outcomes(known).values()

        await service.eventually(reported)
        known = (await service.http.get(f"{path}/{sent.json()['id']}")).json()
        assert _outcomes(known) == {good: "relayed", late: "failed", outside: "refused"}
        details = {result["to"]: result["detail"] for result in known["results"]}
        assert "sends nothing to other domains" in details[outside]
        assert "doesn't exist" in details[late]
        assert known["ok"] is False
        (received,) = mail_pair.messages(good)
        assert known["message_id"].encode() in received
        assert "dovecot-masters.cf" in {path.name for path in mail_pair.config_dir.iterdir()}


def _outcomes(test: dict[str, Any]) -> dict[str, str]:
    return {result["to"]: result["outcome"] for result in test["results"]}


@pytest.mark.seed("S160")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": ["x@outside.test"]}, "to"),
        ({"to": ["x@outside.test", "X@outside.test"]}, "to"),
        ({"to": ["x@outside.test", "nobody"]}, "to.1"),
        ({"to": ["x@outside.test", "y@outside.test"], "author": "z@else.test"}, "author"),
    ],
)
async def test_a_test_needs_two_addresses_and_a_mailbox_of_the_domain(
    start: Start, mail_pair: MailPair, body: dict[str, Any], field: str
) -> None:
    async with start(**settings(mail_pair)) as service:
        domain = await service.domain()
        refused = await service.post(f"/domains/{domain}/test-email", **body)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == field


async def test_without_a_mailbox_or_a_mail_server_the_reason_is_told(
    start: Start, service: Service, mail_pair: MailPair
) -> None:
    body = {"to": ["x@outside.test", "y@outside.test"]}
    domain = await service.domain()
    refused = await service.post(f"/domains/{domain}/test-email", **body)
    assert (refused.status_code, refused.json()["code"]) == (409, "NO_MAIL_SERVER")
    async with start(**settings(mail_pair)) as other:
        domain = await other.domain()
        refused = await other.post(f"/domains/{domain}/test-email", **body)
        assert (refused.status_code, refused.json()["code"]) == (409, "NO_MAILBOX")
