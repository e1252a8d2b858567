"""/dns-providers: accounts at which the records of our domains can be changed."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from mail_provisioner.dns import DnsUnavailable
from mail_provisioner.dns_accounts import DnsAccounts
from mail_provisioner.dns_providers import CREDENTIALS, ProviderMissing, ProviderZones
from mail_provisioner.dns_update import ZoneRefused
from postfleet.api_keys import Scope, require
from postfleet.http import API, Limit, Strict, decode_cursor, page
from postfleet.instants import from_ms, iso
from postfleet.mongo import Document
from postfleet.problems import Problem, invalid, not_found
from postfleet.secrets import CannotOpen

_AGAIN = {"Retry-After": "10"}


class NewProvider(Strict):
    """`credentials`: `token`, or for route53 `access_key_id` and `secret_access_key`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    provider: str
    credentials: dict[str, Annotated[str, StringConstraints(min_length=1, max_length=1000)]] = (
        Field(repr=False)
    )


def build(accounts: DnsAccounts) -> APIRouter:
    router = APIRouter(prefix=f"{API}/dns-providers", tags=["domains"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewProvider) -> dict[str, Any]:
        """The credentials are tried first; if they fail, nothing is stored. They never come back.

        From then on the records of every domain in its zones are applied there.
        """
        _check(wanted)
        if await accounts.get(wanted.name):
            raise _exists(wanted.name)
        account = accounts.reached(wanted.name, wanted.provider, wanted.credentials)
        zones = await _zones(account)
        if not await accounts.add(wanted.name, wanted.provider, wanted.credentials):
            raise _exists(wanted.name)
        return {"id": wanted.name, "name": wanted.name, "provider": wanted.provider, "zones": zones}

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
        """In the order of their names."""
        last = decode_cursor(cursor) if cursor else ""
        found = await accounts.page(last, limit + 1)
        return page([_shown(document) for document in found], limit)

    @router.get("/{name}", dependencies=[require(Scope.READ)])
    async def one(name: str) -> dict[str, Any]:
        """With the zones that it has now."""
        document = await _known(accounts, name)
        try:
            zones = await _zones(accounts.zones(document))
        except CannotOpen as error:
            raise Problem(409, "CREDENTIALS_SEALED", f"add the account again: {error}") from error
        return {**_shown(document), "zones": zones}

    @router.delete("/{name}", dependencies=[require(Scope.ADMIN)])
    async def delete(name: str) -> dict[str, Any]:
        """Forget the account; the records that are there stay."""
        document = await _known(accounts, name)
        await accounts.remove(document["_id"])
        return {"id": name, "name": name, "state": "deleted"}

    return router


def _check(wanted: NewProvider) -> None:
    needed = CREDENTIALS.get(wanted.provider)
    if needed is None:
        known = ", ".join(CREDENTIALS)
        raise invalid("provider", "UNKNOWN_PROVIDER", f"one of {known}; others by hand or RFC 2136")
    if set(wanted.credentials) != set(needed):
        raise invalid("credentials", "WRONG_CREDENTIALS", f"give {' and '.join(needed)}")
    for name, value in wanted.credentials.items():
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise invalid(f"credentials.{name}", "WRONG_CREDENTIALS", "printable ASCII, no spaces")


async def _zones(account: ProviderZones) -> list[str]:
    try:
        return sorted(await account.zones())
    except ZoneRefused as error:
        raise invalid("credentials", "CREDENTIALS_REFUSED", str(error)) from error
    except ProviderMissing as error:
        raise Problem(409, "PROVIDER_MISSING", str(error)) from error
    except DnsUnavailable as error:
        raise Problem(503, "PROVIDER_UNAVAILABLE", str(error), (), _AGAIN) from error


async def _known(accounts: DnsAccounts, name: str) -> Document:
    document = await accounts.get(name)
    if document is None:
        raise not_found("DNS provider", name)
    return document


def _exists(name: str) -> Problem:
    return Problem(409, "PROVIDER_EXISTS", f"there is an account {name!r}: delete it first")


def _shown(document: Document) -> dict[str, Any]:
    return {
        "id": document["_id"],
        "name": document["_id"],
        "provider": document["provider"],
        "created_at": iso(from_ms(document["created_at"])),
    }
