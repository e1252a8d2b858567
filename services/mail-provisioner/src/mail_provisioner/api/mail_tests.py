"""/domains/{name}/test-email: try outgoing mail, to two addresses at least, and follow it up."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from mail_provisioner.api.domains import known_domain
from mail_provisioner.api.targets import checked
from mail_provisioner.domain.addresses import Kind, State
from mail_provisioner.domain.config_lines import BrokenFile
from mail_provisioner.domain.domains import Domain
from mail_provisioner.domain.mail_tests import MIN_RECIPIENTS, MailTest, Outcome, Result
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.login import MailServerUnreachable
from mail_provisioner.mail_test_store import MailTestStore
from mail_provisioner.mail_testing import MailTesting
from mail_provisioner.store import AddressStore
from mail_provisioner.volume import VolumeBusy
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict
from postfleet.instants import from_ms, iso, now_ms
from postfleet.problems import Problem, invalid, not_found

_BUSY = {"Retry-After": "10"}


class NewTest(Strict):
    """`author`: a mailbox of the domain; without it, any of them."""

    to: Annotated[
        list[Annotated[str, Field(max_length=1000)]],
        Field(min_length=MIN_RECIPIENTS, max_length=10),
    ]
    author: str = Field("", max_length=1000)


def build(
    store: MailTestStore, domains: DomainStore, addresses: AddressStore, mails: MailTesting | None
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/domains", tags=["domains"])

    @router.post("/{name}/test-email", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def send(name: str, wanted: NewTest) -> dict[str, Any]:
        """Send a mail to each address; ask for what came back with GET after a while."""
        domain, sender = await known_domain(domains, name), _needed(mails)
        recipients = checked(wanted.to, "", "to")
        if len(recipients) < MIN_RECIPIENTS:
            raise invalid("to", "TOO_FEW", "give two different addresses at least")
        author = await _author(addresses, domain, wanted.author.lower())
        id_ = secrets.token_hex(12)
        message_id = f"<test.{id_}@{domain.name}>"
        try:
            results = await sender.send(author, recipients, message_id)
        except (MailServerUnreachable, OSError, VolumeBusy, BrokenFile) as error:
            raise _unreachable(error) from error
        test = MailTest(id_, domain.name, author, message_id, now_ms(), results)
        await store.add(test)
        return _shown(test)

    @router.get("/{name}/test-email/{id_}", dependencies=[require(Scope.READ)])
    async def one(name: str, id_: str) -> dict[str, Any]:
        """What is known by now: delivery reports in the author's inbox are read."""
        domain = await known_domain(domains, name)
        test = await store.get(id_)
        if test is None or test.domain != domain.name:
            raise not_found("test mail", id_)
        try:
            found = await _needed(mails).came_back(test.author, test.message_id)
        except (MailServerUnreachable, OSError, VolumeBusy, BrokenFile) as error:
            raise _unreachable(error) from error
        known = {to: result for to, result in found.items() if to in test.results}
        await store.enter(test.id, known)
        return _shown(await store.get(id_) or test)

    return router


def _needed(mails: MailTesting | None) -> MailTesting:
    if mails is None:
        raise Problem(
            409,
            "NO_MAIL_SERVER",
            "no mail server is named: set POSTFLEET_MAIL_PROVISIONER_MAIL_HOST",
        )
    return mails


async def _author(store: AddressStore, domain: Domain, wanted: str) -> str:
    if not wanted:
        there = await store.page(Kind.MAILBOX, domain.name, "", 100)
        usable = [box.address for box in there if box.state in (State.WRITTEN, State.LIVE)]
        if not usable:
            raise Problem(409, "NO_MAILBOX", f"{domain.name} has no mailbox to send from")
        return usable[0]
    mailbox = await store.get(wanted)
    if mailbox is None or mailbox.kind is not Kind.MAILBOX or mailbox.domain != domain.name:
        raise invalid("author", "NO_MAILBOX", f"{wanted} is no mailbox of {domain.name}")
    return wanted


def _unreachable(error: Exception) -> Problem:
    return Problem(503, "MAIL_SERVER_UNREACHABLE", f"the mail server: {error}", (), _BUSY)


def _shown(test: MailTest) -> dict[str, Any]:
    return {
        "id": test.id,
        "domain": test.domain,
        "author": test.author,
        "message_id": test.message_id,
        "sent_at": iso(from_ms(test.sent_at)),
        "ok": all(_good(result) for result in test.results.values()),
        "results": [
            {"to": to, "outcome": result.outcome.value, "detail": result.detail}
            for to, result in test.results.items()
        ],
    }


def _good(result: Result) -> bool:
    return result.outcome not in (Outcome.REFUSED, Outcome.FAILED)
