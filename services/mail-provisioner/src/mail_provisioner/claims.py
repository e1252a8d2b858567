"""What the makers of addresses have in common: a checked name on a verified domain, claimed once."""

import asyncio

from mail_provisioner import passwords
from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain.domains import Domain, DomainState, MailUse, canonical_domain
from mail_provisioner.domain.names import NameRefused, check_name
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.provisioning import STEP_LEASE_MS, Provisioner
from mail_provisioner.store import AddressStore
from postfleet.addresses import InvalidAddress, canonical
from postfleet.instants import now_ms
from postfleet.problems import Problem, invalid, not_found
from postfleet.secrets import KeyRing

_ARTICLES = {
    Kind.MAILBOX: "a mailbox",
    Kind.ALIAS: "an alias",
    Kind.GROUP: "a group",
    Kind.CATCH_ALL: "a catch-all",
}
PATIENCE = 5.0  # seconds that a request waits for the mail server's files; then the state tells


async def find_domain(store: DomainStore, name: str) -> Domain | None:
    """The domain under any spelling of its name: capitals, or letters outside ASCII."""
    try:
        return await store.get(canonical_domain(name))
    except InvalidAddress:
        return None


async def check_domain_of_ours(
    store: DomainStore, domain: str, field: str, *, receives: bool = False
) -> str:
    """The domain, if it is verified, and receives mail here if it must. Raises Problem."""
    known = await find_domain(store, domain)
    if known is None:
        raise invalid(field, "UNKNOWN_DOMAIN", f"add the domain {domain!r} first")
    if known.state is not DomainState.VERIFIED:
        raise Problem(
            409, "DOMAIN_NOT_VERIFIED", f"publish the TXT record of {known.name}, then verify it"
        )
    if receives and known.mail is not MailUse.FULL:
        raise Problem(
            409,
            "MAIL_NOT_ENABLED",
            f"another server receives the mail of {known.name}: PATCH the domain with mail: full",
        )
    return known.name


def check_name_of_ours(name: str, domain: str, field: str) -> str:
    """The whole address in canonical form. Raises Problem."""
    try:
        return canonical(f"{check_name(name)}@{domain}")
    except NameRefused as refusal:
        raise invalid(field, refusal.code, str(refusal)) from refusal
    except InvalidAddress as error:
        raise invalid(field, "INVALID_ADDRESS", str(error)) from error


async def new_mailbox(
    ring: KeyRing,
    address: str,
    domain: str,
    *,
    display_name: str = "",
    request_id: str = "",
    password: str = "",
) -> Address:
    """A mailbox to be claimed; with a fresh random password, unless one is given."""
    password = password or passwords.new_password()
    return Address(
        address=address,
        kind=Kind.MAILBOX,
        domain=domain,
        state=State.REQUESTED,
        generation=1,
        created_at=now_ms(),
        display_name=display_name,
        request_id=request_id,
        password_hash=await asyncio.to_thread(passwords.hashed, password),
        sealed_password=passwords.sealed(ring, address, password),
    )


async def claim(
    store: AddressStore, provisioner: Provisioner, wanted: Address, patience: float = PATIENCE
) -> Address:
    """Take the address and write it; the state tells how far that came. Raises Problem (409)."""
    if await store.request(wanted, now_ms() + STEP_LEASE_MS) is None:
        raise await _taken(store, wanted)
    await provisioner.advance_soon(wanted.address, patience)
    claimed = await known(store, wanted.kind, wanted.address)
    if claimed.state is State.FAILED:
        raise Problem(409, claimed.error_code, claimed.error_reason)
    return claimed


async def _taken(store: AddressStore, wanted: Address) -> Problem:
    holder = await store.get(wanted.address)
    what = _ARTICLES[holder.kind] if holder else "taken"
    return Problem(409, "ADDRESS_IN_USE", f"{wanted.address} is {what} already")


async def known(store: AddressStore, kind: Kind, name: str) -> Address:
    """The address, if it is of this kind. Raises Problem (404)."""
    address = await store.get(name.lower())
    if address is None or address.kind is not kind or address.state is State.DELETED:
        raise not_found(kind.value, name)
    return address


async def release(
    store: AddressStore, provisioner: Provisioner, address: Address, patience: float = PATIENCE
) -> Address:
    """Take the address off the mail server; a deletion that is under way goes on."""
    await store.enter(address, State.DELETING, next_at=now_ms() + STEP_LEASE_MS)
    await provisioner.advance_soon(address.address, patience)
    return await store.get(address.address) or address


def error_of(address: Address) -> dict[str, str] | None:
    if not address.error_code:
        return None
    return {"code": address.error_code, "reason": address.error_reason}
