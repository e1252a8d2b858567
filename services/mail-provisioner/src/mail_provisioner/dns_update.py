"""Changes in the DNS by dynamic update (RFC 2136), signed with TSIG (RFC 8945).

An update names the whole record set that was seen as its prerequisite: if somebody changed it in
between, the server refuses, and nothing of theirs is lost.
"""

from dataclasses import dataclass, field

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from mail_provisioner.dns import DnsUnavailable
from mail_provisioner.domain.records import quoted

_DEADLINE = 10.0  # seconds for one exchange
_DEFAULT_TTL = 3600


class ZoneRefused(Exception):
    """The name server does not let us change the zone; the text names the remedy."""


class ChangedMeanwhile(Exception):
    """The record set is not as it was seen: look again."""


@dataclass(frozen=True, slots=True)
class UpdateServer:
    """The primary name server of our zones."""

    host: str  # an IP address
    port: int
    key_name: str
    key: str = field(repr=False)  # base64
    algorithm: str = "hmac-sha256"


@dataclass(frozen=True, slots=True)
class RecordSet:
    """What is at one name, as the server has it (a TXT may be split in any way)."""

    name: str
    type: str
    rdataset: dns.rdataset.Rdataset

    @property
    def values(self) -> tuple[str, ...]:
        """Whole texts for TXT, `10 mail.one.test` for MX."""
        return tuple(_text(data) for data in self.rdataset)


class DynamicUpdates:
    def __init__(self, server: UpdateServer) -> None:
        self._server = server
        self._keyring = dns.tsigkeyring.from_text({server.key_name: server.key})

    async def read(self, name: str, type_: str) -> RecordSet:
        """What the primary says now. Raises DnsUnavailable, ZoneRefused."""
        answer = await self._exchange(dns.message.make_query(name, type_))
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ZoneRefused(f"{name}: the name server answered {_code(answer)}")
        found = answer.get_rrset(
            answer.answer,
            dns.name.from_text(name),
            dns.rdataclass.IN,
            dns.rdatatype.from_text(type_),
        )
        empty = dns.rdataset.from_text("IN", type_, _DEFAULT_TTL)
        return RecordSet(name, type_, empty if found is None else found)

    async def swap(self, seen: RecordSet, before: str, after: str) -> None:
        """Put `after` in the place of `before` (either may be ""), and touch nothing else there.

        Raises ChangedMeanwhile, ZoneRefused, DnsUnavailable.
        """
        name = dns.name.from_text(seen.name)
        update = dns.update.UpdateMessage(
            await self._zone_of(name),
            keyring=self._keyring,
            keyalgorithm=dns.name.from_text(self._server.algorithm),
        )
        if seen.rdataset:
            update.present(name, *seen.rdataset)
        else:
            update.absent(name, seen.type)
        for data in seen.rdataset:
            if before and _text(data) == before:
                update.delete(name, data)
        if after:
            update.add(name, _written(seen, after))
        answer = await self._exchange(update)
        if answer.rcode() in (dns.rcode.NXRRSET, dns.rcode.YXRRSET):
            raise ChangedMeanwhile(f"{seen.name} {seen.type} was changed while we looked at it")
        if answer.rcode() != dns.rcode.NOERROR:
            raise ZoneRefused(
                f"the name server answered {_code(answer)} to an update of {seen.name}: let the "
                f"TSIG key {self._server.key_name!r} update this zone"
            )

    async def _zone_of(self, name: dns.name.Name) -> dns.name.Name:
        """The zone that holds a name: the owner of its SOA on the server."""
        zone = name
        while zone != dns.name.root:
            answer = await self._exchange(dns.message.make_query(zone, "SOA"))
            if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and any(
                found.name == zone and found.rdtype == dns.rdatatype.SOA for found in answer.answer
            ):
                return zone
            zone = zone.parent()
        raise ZoneRefused(f"the name server {self._server.host} has no zone for {name}")

    async def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        server = self._server
        try:
            return await dns.asyncquery.tcp(message, server.host, _DEADLINE, server.port)
        except dns.tsig.PeerError as error:
            raise ZoneRefused(
                f"the name server does not accept the TSIG key {server.key_name!r} "
                f"({type(error).__name__}): let it update this zone; check its name, its secret "
                "and the clocks"
            ) from error
        except (TimeoutError, dns.exception.DNSException, OSError, EOFError) as error:
            raise DnsUnavailable(f"{server.host}: {error or type(error).__name__}") from error


def _written(seen: RecordSet, value: str) -> dns.rdataset.Rdataset:
    text = quoted(value) if seen.type == "TXT" else f"{value.rstrip('.')}."
    return dns.rdataset.from_text("IN", seen.type, seen.rdataset.ttl, text)


def _text(data: object) -> str:
    strings = getattr(data, "strings", None)
    if strings is None:
        return str(data).rstrip(".")
    return b"".join(strings).decode("utf-8", "replace")


def _code(answer: dns.message.Message) -> str:
    return dns.rcode.to_text(answer.rcode())
