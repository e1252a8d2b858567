"""A private Knot DNS on a free port: zones of our own, changed by TSIG-signed dynamic updates.

with Knot({"one.test": "www A 192.0.2.1"}) as server:
    server.change("one.test", lambda update: update.add("@", 60, "TXT", '"hello"'))
    assert server.texts("one.test") == ["hello"]
"""

import base64
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update

from tests.support.ports import free_ports
from tests.support.process import ServerProcess

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin"
KEY_NAME = "fleet"
READ_ONLY_KEY = "reader"  # is known, and may change nothing


class Knot:
    """Zones by name; their text is added below SOA and NS."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        self.zones = dict(zones)
        (self.port,) = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self._keyring = dns.tsigkeyring.from_text({KEY_NAME: self.secret})
        self._root: Path | None = None
        self._server: ServerProcess | None = None

    @staticmethod
    def missing() -> str | None:
        """Why Knot cannot run here, or None."""
        return (
            None if shutil.which("knotd", path=_SBIN) else "knotd not found: apt-get install knot"
        )

    @property
    def settings(self) -> dict[str, object]:
        """A provisioner's settings that let it ask and update this server."""
        return {
            "resolver": self.address,
            "dns_update_server": self.address,
            "dns_update_key_name": KEY_NAME,
            "dns_update_key": self.secret,
        }

    def __enter__(self) -> Self:
        self._root = Path(tempfile.mkdtemp(prefix="knot", dir="/tmp"))
        for zone, text in self.zones.items():
            (self._root / f"{zone}.zone").write_text(_zone(zone, text))
        (self._root / "knot.conf").write_text(self._configuration(self._root))
        argv = [shutil.which("knotd", path=_SBIN) or "knotd", "-c", str(self._root / "knot.conf")]
        self._server = ServerProcess(argv, self._root / "knot.out")
        first = next(iter(self.zones))
        try:
            self._server.wait_until(lambda: bool(self._ask(first, "SOA", 0.2).answer), "a zone")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server:
            self._server.kill()
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)

    def change(self, zone: str, edit: Callable[[dns.update.UpdateMessage], None]) -> None:
        """Change a zone, as the operator or another program would."""
        update = dns.update.UpdateMessage(zone, keyring=self._keyring)
        edit(update)
        answer = dns.query.tcp(update, "127.0.0.1", port=self.port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(answer.rcode())

    def texts(self, name: str) -> list[str]:
        """The TXT values at a name, sorted."""
        found = self._ask(name, "TXT", 5).answer
        return sorted(b"".join(data.strings).decode() for rrset in found for data in rrset)

    def values(self, name: str, type_: str) -> list[str]:
        """The records of a type at a name as the zone file has them, sorted."""
        found = self._ask(name, type_, 5).answer
        return sorted(data.to_text() for rrset in found for data in rrset)

    def _ask(self, name: str, type_: str, timeout: float) -> dns.message.Message:
        question = dns.message.make_query(name, type_)
        try:
            return dns.query.tcp(question, "127.0.0.1", port=self.port, timeout=timeout)
        except (dns.exception.Timeout, OSError, EOFError):
            return dns.message.Message()

    def _configuration(self, root: Path) -> str:
        zones = "".join(f"  - domain: {zone}\n    acl: [update, read]\n" for zone in self.zones)
        return f"""\
server:
    listen: 127.0.0.1@{self.port}
    rundir: {root}
    udp-workers: 1
    tcp-workers: 2
    background-workers: 1
database:
    storage: {root}/db
log:
  - target: {root}/knot.log
    any: info
key:
  - id: {KEY_NAME}
    algorithm: hmac-sha256
    secret: {self.secret}
  - id: {READ_ONLY_KEY}
    algorithm: hmac-sha256
    secret: {self.secret}
acl:
  - id: update
    key: {KEY_NAME}
    action: update
  - id: read
    key: {READ_ONLY_KEY}
    action: transfer
template:
  - id: default
    storage: {root}
    file: "%s.zone"
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
{zones}"""


def _zone(name: str, text: str) -> str:
    return (
        f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. host.{name}. 1 3600 600 86400 60\n"
        f"@ NS ns\nns A 127.0.0.1\n{text}\n"
    )
