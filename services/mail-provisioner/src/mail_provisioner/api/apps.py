"""/mailboxes/apps: a mailbox for an application, and the variables by which it sends mail."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from mail_provisioner import passwords
from mail_provisioner.claims import (
    check_domain_of_ours,
    check_name_of_ours,
    claim,
    new_mailbox,
)
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.provisioning import Provisioner
from mail_provisioner.settings import Settings
from mail_provisioner.store import AddressStore
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict
from postfleet.problems import invalid

_ENDING = ".app"  # names of applications; nobody else can take them


class NewApp(Strict):
    """`prefix` if the application shall write from another name than `<app>.app`."""

    domain: str = Field(max_length=300)
    app: str = Field(min_length=1, max_length=200)
    prefix: str = Field("", max_length=1000)


def build(
    store: AddressStore, domains: DomainStore, provisioner: Provisioner, settings: Settings
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/mailboxes", tags=["mailboxes"])

    @router.post("/apps", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewApp, response: Response) -> dict[str, Any]:
        """The password is in this answer only; DELETE the mailbox to take it back."""
        response.headers["Cache-Control"] = "no-store"
        domain = await check_domain_of_ours(domains, wanted.domain, "domain")
        address = _address(wanted, domain)
        password = passwords.new_password()
        mailbox = await new_mailbox(
            settings.key_ring, address, domain, display_name=wanted.app, password=password
        )
        claimed = await claim(store, provisioner, mailbox)
        return {
            "id": address,
            "address": address,
            "state": claimed.state.value,
            "env": {
                "MAIL_SMTP_SERVER": settings.mail_host_of(domain),
                "MAIL_SMTP_PORT": str(settings.submission_port),
                "MAIL_SMTPS_PORT": str(settings.submissions_port),
                "MAIL_FROM": address,
                "MAIL_SMTP_USERNAME": address,
                "MAIL_SMTP_PASSWORD": password,
            },
        }

    return router


def _address(wanted: NewApp, domain: str) -> str:
    if wanted.prefix:
        return check_name_of_ours(wanted.prefix, domain, "prefix")
    if len(wanted.app.encode()) > 60:  # with the ending, 64 octets (RFC 5321 §4.5.3.1.1)
        raise invalid("app", "NAME_TOO_LONG", "60 characters at most")
    name, _, _ = check_name_of_ours(wanted.app, domain, "app").partition("@")
    return f"{name}{_ENDING}@{domain}"
