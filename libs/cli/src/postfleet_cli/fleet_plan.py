"""The difference between fleet.yaml and what there is, as calls of the API. Pure: no I/O.

Order matters: a domain before its mailboxes, those before what leads to them. Nothing that is not in
the file is removed unless asked for, and a mailbox never: its mail would be lost to its owner.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from postfleet_cli.fleet_file import Domain, Fleet

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Actual:
    """What the platform has: lists of the API, by the name of each item."""

    domains: Mapping[str, Item]
    mailboxes: Mapping[str, Item]
    aliases: Mapping[str, Item]
    groups: Mapping[str, Item]
    catch_alls: Mapping[str, Item]  # by domain
    relays: Mapping[str, Item]  # by domain
    blocks: Mapping[str, Item]
    senders: Mapping[str, Item]  # by address


@dataclass(frozen=True, slots=True)
class Change:
    """One call. `needs_verified`: a domain that must be verified before."""

    verb: str
    path: str
    text: str
    body: Item | None = None
    needs_verified: str = ""
    relay_of: str = ""  # the domain whose relay's password is filled in when it is applied


@dataclass(frozen=True, slots=True)
class Plan:
    changes: tuple[Change, ...]
    unmanaged: tuple[str, ...] = field(default=())  # there, but not in the file

    @property
    def id(self) -> str:
        """The same for the same changes: approving it approves nothing else."""
        parts = [[c.verb, c.path, c.body, c.relay_of] for c in self.changes]
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(fleet: Fleet, actual: Actual, *, prune: bool = False) -> Plan:
    """What has to be done, in order."""
    changes: list[Change] = []
    for domain in fleet.domains:
        changes += _domain(domain, actual)
    for domain in fleet.domains:
        changes += _mailboxes(domain, actual)
    for domain in fleet.domains:
        changes += _forwards(domain, actual)
        changes += _relay(domain, actual)
    changes += _blocks(fleet, actual)
    changes += _senders(fleet, actual)
    extra = list(_unmanaged(fleet, actual))
    if prune:
        changes += [change for change in extra if change.verb]
        extra = [change for change in extra if not change.verb]
    return Plan(tuple(changes), tuple(change.text for change in extra))


def _domain(domain: Domain, actual: Actual) -> Iterator[Change]:
    name = domain.name.lower()
    there = actual.domains.get(name)
    dmarc = {"policy": domain.dmarc.policy, "pct": domain.dmarc.pct}
    if there is None:
        body: Item = {"name": name, "dmarc": dmarc, "mail": domain.mail}
        if domain.mta_sts != "off":
            body["mta_sts"] = domain.mta_sts
        yield Change("POST", "/domains", f"add the domain {name}", body)
    else:
        wanted: Item = {"dmarc": dmarc, "mail": domain.mail}
        if there.get("mta_sts", "off") != domain.mta_sts:
            wanted["mta_sts"] = domain.mta_sts
        different = {key: value for key, value in wanted.items() if there.get(key) != value}
        if different:
            words = ", ".join(sorted(different))
            yield Change("PATCH", f"/domains/{name}", f"change {words} of {name}", different)
    if there is None or there.get("state") != "verified":
        if domain.dns == "apply":
            yield Change("POST", f"/domains/{name}/apply", f"publish the token of {name}")
        yield Change("POST", f"/domains/{name}/verify", f"verify {name}")
        if domain.dns == "apply":
            yield Change("POST", f"/domains/{name}/apply", f"publish the records of {name}")
    elif domain.dns == "apply" and different:
        yield Change("POST", f"/domains/{name}/apply", f"publish the records of {name} again")


def _mailboxes(domain: Domain, actual: Actual) -> Iterator[Change]:
    name = domain.name.lower()
    for mailbox in domain.mailboxes:
        address = f"{mailbox.prefix}@{name}".lower()
        if _is_there(actual.mailboxes.get(address)):
            continue
        body = {"domain": name, "prefix": mailbox.prefix, "display_name": mailbox.display_name}
        yield Change("POST", "/mailboxes", f"make the mailbox {address}", body, name)


def _forwards(domain: Domain, actual: Actual) -> Iterator[Change]:
    name = domain.name.lower()
    for prefix, targets in domain.aliases.items():
        address = f"{prefix}@{name}".lower()
        there = actual.aliases.get(address)
        yield from _forward(
            name, "/aliases", address, "alias", {"alias": address}, "targets", targets, there
        )
    for prefix, members in domain.groups.items():
        address = f"{prefix}@{name}".lower()
        there = actual.groups.get(address)
        yield from _forward(
            name, "/groups", address, "group", {"address": address}, "members", members, there
        )
    if domain.catch_all:
        there = actual.catch_alls.get(name)
        names = {"domain": name}
        yield from _forward(
            name, "/catch-all", name, "catch-all", names, "targets", domain.catch_all, there
        )


def _forward(
    domain: str,
    path: str,
    id_: str,
    what: str,
    names: Item,
    field_name: str,
    targets: tuple[str, ...],
    there: Item | None,
) -> Iterator[Change]:
    wanted = list(dict.fromkeys(target.lower() for target in targets))
    if not _is_there(there):
        body = {**names, field_name: wanted}
        yield Change("POST", path, f"make the {what} {id_} -> {', '.join(wanted)}", body, domain)
    elif there and there[field_name] != wanted:
        text = f"change the {what} {id_}: {', '.join(there[field_name])} -> {', '.join(wanted)}"
        yield Change("PATCH", f"{path}/{id_}", text, {field_name: wanted}, domain)


def _relay(domain: Domain, actual: Actual) -> Iterator[Change]:
    name, relay = domain.name.lower(), domain.relay
    there = actual.relays.get(name)
    if relay is None:
        return
    body = relay.model_dump(exclude={"password_env"}, exclude_none=True) | {"domain": name}
    if there and (
        there["preset"] != relay.preset
        or (relay.host and there["host"] != relay.host.lower())
        or (relay.port and there["port"] != relay.port)
        or (relay.username and there["username"] != relay.username)
    ):
        yield Change("DELETE", f"/relays/{name}", f"take the other relay of {name} away")
        there = None
    if there is None:
        text = f"relay the mail of {name} through {relay.preset} {relay.host}".rstrip()
        yield Change("POST", "/relays", text, body, name, relay_of=name)


def _blocks(fleet: Fleet, actual: Actual) -> Iterator[Change]:
    for entry in fleet.blocklist:
        if _canonical(entry) not in actual.blocks:
            yield Change("POST", "/blocklists", f"block {entry}", {"entry": entry})


def _canonical(entry: str) -> str:
    """As the platform lists it: networks with their prefix, names in lower case."""
    try:
        return str(ip_network(entry.strip(), strict=False))
    except ValueError:
        return entry.strip().lower()


def _senders(fleet: Fleet, actual: Actual) -> Iterator[Change]:
    for sender in fleet.senders:
        there = actual.senders.get(sender.address)
        given = sender.model_dump(exclude={"domain", "prefix"}, exclude_none=True)
        if there is None:
            body = {"kind": "internal", "domain": sender.domain, "prefix": sender.prefix, **given}
            text = f"make the internal sender {sender.address}"
            yield Change("POST", "/sender-accounts", text, body, sender.domain.lower())
            continue
        different = {key: value for key, value in given.items() if there.get(key) != value}
        if different:
            path = f"/sender-accounts/{there['id']}"
            words = ", ".join(f"{key} = {value}" for key, value in sorted(different.items()))
            yield Change("PATCH", path, f"change the sender {sender.address}: {words}", different)


def _unmanaged(fleet: Fleet, actual: Actual) -> Iterator[Change]:
    """What there is beside the file; those with a verb can be removed."""
    managed = {domain.name.lower(): domain for domain in fleet.domains}
    for name in actual.domains:
        if name not in managed:
            yield Change("", "", f"the domain {name} is not in the file")
    for kind, path, found in (
        ("aliases", "/aliases", actual.aliases),
        ("groups", "/groups", actual.groups),
    ):
        for address in found:
            prefix, _, domain = address.rpartition("@")
            if domain in managed and prefix not in _lower(getattr(managed[domain], kind)):
                yield Change(
                    "DELETE", f"{path}/{address}", f"{address} ({kind}) is not in the file"
                )
    for address in actual.mailboxes:
        prefix, _, domain = address.rpartition("@")
        known = {sender.address for sender in fleet.senders}
        if domain in managed and address not in known:
            names = {mailbox.prefix.lower() for mailbox in managed[domain].mailboxes}
            if prefix not in names:
                yield Change("", "", f"the mailbox {address} is not in the file")
    for name in actual.catch_alls:
        if name in managed and not managed[name].catch_all:
            yield Change(
                "DELETE", f"/catch-all/{name}", f"a catch-all of {name} is not in the file"
            )
    for name in actual.relays:
        if name in managed and not managed[name].relay:
            yield Change("DELETE", f"/relays/{name}", f"a relay of {name} is not in the file")


def _lower(names: Mapping[str, Any]) -> set[str]:
    return {name.lower() for name in names}


def _is_there(item: Item | None) -> bool:
    return item is not None and item.get("state") not in ("failed", "deleted", "deleting")
