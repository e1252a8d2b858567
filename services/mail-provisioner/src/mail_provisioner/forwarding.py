"""Whether mail that a filter forwards would come back to where it was forwarded."""

from collections.abc import Iterable

from mail_provisioner.domain.addresses import State
from mail_provisioner.filter_store import FilterStore
from mail_provisioner.store import AddressStore

_MAX_STEPS = 200  # addresses looked at; whoever is beyond that is not ours to find
_SEPARATORS = "+-"


async def way_back(
    addresses: AddressStore, filters: FilterStore, mailbox: str, targets: Iterable[str]
) -> str:
    """The target by which mail would return to the mailbox, or "".

    Followed through our aliases, groups and catch-alls, and through the filters of our mailboxes.
    """
    for target in targets:
        seen: set[str] = set()
        waiting = [without_tag(target)]
        while waiting and len(seen) < _MAX_STEPS:
            name = waiting.pop()
            if name == mailbox:
                return target
            if name not in seen:
                seen.add(name)
                waiting += [without_tag(n) for n in await _next(addresses, filters, name)]
    return ""


def without_tag(address: str) -> str:
    """`ann+shop@one.test` as `ann@one.test`: the mail server delivers both to the same mailbox."""
    local, _, domain = address.rpartition("@")
    ends = [at for separator in _SEPARATORS if (at := local.find(separator)) > 0]
    return f"{local[: min(ends, default=len(local))]}@{domain}"


async def _next(addresses: AddressStore, filters: FilterStore, name: str) -> Iterable[str]:
    """Where mail for an address of ours goes on to."""
    known = await addresses.get(name)
    if known is None or known.state is State.DELETED:
        known = await addresses.get(f"@{name.rpartition('@')[2]}")
    if known is None or known.state is State.DELETED:
        return ()
    wish = await filters.get(known.address)
    return (*known.targets, *(wish.forwards if wish else ()))
