"""Real mail servers that take mail for people.test, refuse reject*@people.test, and pass on what they took.

What a server took is what arrives at the next hop: an aiosmtpd that keeps everything. So a mail that
the server accepted and lost, doubled or changed is seen, not only one that it refused.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support import mailpeers, privateroot
from tests.support.mailconfig import Places, make_queue
from tests.support.ports import free_ports
from tests.support.postfixmaster import (
    QUEUE_MANAGER,
    listener,
    master_command,
    write_master_cf,
)
from tests.support.process import ServerProcess, listens

_NODE_SERVER = Path(__file__).parent / "node" / "server.mjs"


@dataclass(frozen=True, slots=True)
class Taken:
    recipient: str
    content: bytes


class Keeper:
    """aiosmtpd's handler: keeps what comes, refuses who is to be refused."""

    def __init__(self, *, refuses: bool) -> None:
        self.taken: list[Taken] = []
        self._refuses = refuses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._refuses and address.startswith("reject"):
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken += [Taken(recipient, content) for recipient in envelope.rcpt_tos]
        return "250 2.0.0 Ok"


@dataclass(frozen=True, slots=True)
class MailServer:
    """One that runs. `taken` grows as the server passes mail on."""

    port: int
    taken: list[Taken] = field(default_factory=list)
    logs: Callable[[], str] = str

    def wait_taken(self, count: int, seconds: float = 30) -> list[Taken]:
        """Until so many have been passed on; then a moment more, for what should not come."""
        deadline = time.monotonic() + seconds
        while len(self.taken) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.taken)} of {count} passed on\n{self.logs()}")
            time.sleep(0.02)
        time.sleep(0.3)
        return list(self.taken)


@contextlib.contextmanager
def keeping(*, refuses: bool) -> Iterator[MailServer]:
    """aiosmtpd itself: it announces no PIPELINING."""
    keeper = Keeper(refuses=refuses)
    (port,) = free_ports(1)
    controller = Controller(keeper, "127.0.0.1", port)
    controller.start()
    try:
        yield MailServer(port, keeper.taken)
    finally:
        controller.stop()


@contextlib.contextmanager
def aiosmtpd() -> Iterator[MailServer]:
    with keeping(refuses=True) as server:
        yield server


@contextlib.contextmanager
def _behind(make: Callable[[Path, int, int], list[str]]) -> Iterator[MailServer]:
    """A server as a process: `make` writes its configuration and returns its command line."""
    with keeping(refuses=False) as next_hop, passing_on(make, next_hop.port) as (port, logs):
        yield MailServer(port, next_hop.taken, logs)


@contextlib.contextmanager
def passing_on(
    make: Callable[[Path, int, int], list[str]], next_hop: int
) -> Iterator[tuple[int, Callable[[], str]]]:
    """A server that passes mail on to the port `next_hop`: its own port, and what it logged."""
    folder = Path(tempfile.mkdtemp(prefix="ms", dir="/tmp"))
    folder.chmod(0o755)
    (port,) = free_ports(1)
    process = ServerProcess(make(folder, port, next_hop), folder / "out")
    try:
        process.wait_until(lambda: listens(port), "listening", 20)
        yield port, lambda: _logs(folder)
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_name(folder.name + ".root"), ignore_errors=True)


def _logs(folder: Path) -> str:
    files = [folder / "out", *folder.glob("spool/*log"), *folder.glob("log/*.log")]
    return "\n".join(f.read_text(errors="replace")[-3000:] for f in files if f.exists())


# -- Postfix -------------------------------------------------------------------------------------


@contextlib.contextmanager
def postfix() -> Iterator[MailServer]:
    with _behind(postfix_command) as server:
        yield server


def postfix_command(folder: Path, port: int, next_hop: int) -> list[str]:
    places = Places(folder, folder / "none", folder / "none")
    places.postfix.mkdir()
    places.logs.mkdir()
    (folder / "refused").write_text("/^reject/ 550 5.1.1 nobody of that name\n")
    (places.postfix / "main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {places.queue}
data_directory = {places.data}
maillog_file = {places.logs}/postfix.log
maillog_file_prefixes = {places.logs}
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
relay_domains = people.test
relayhost = [127.0.0.1]:{next_hop}
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/refused
in_flow_delay = 0
""")
    write_master_cf(places, [listener(port), QUEUE_MANAGER])
    make_queue(places)
    return master_command(places)


def missing_postfix() -> str | None:
    if os.geteuid() != 0:
        return "Postfix's master process needs root"
    return mailpeers.missing_postfix("master")


# -- Exim ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def exim() -> Iterator[MailServer]:
    with _behind(exim_command) as server:
        yield server


def exim_command(folder: Path, port: int, next_hop: int) -> list[str]:
    (folder / "exim.conf").write_text(f"""\
primary_hostname = exim.test
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/spool/pid
domainlist relayed = people.test
acl_smtp_rcpt = rcpt
smtp_accept_queue_per_connection = 0
smtp_accept_max = 0
host_lookup =
rfc1413_hosts =
keep_environment =
tls_advertise_hosts =
begin acl
rcpt:
  deny local_parts = ^reject
       message = 5.1.1 nobody of that name
  accept domains = +relayed
begin routers
onwards:
  driver = manualroute
  transport = onwards
  route_list = * 127.0.0.1
  self = send
begin transports
onwards:
  driver = smtp
  port = {next_hop}
  allow_localhost
begin retry
* * F,1h,1s
""")
    users = "useradd --system --user-group Debian-exim"
    spool = f"mkdir -p {folder}/spool && chown Debian-exim:Debian-exim {folder}/spool"
    command = ["exim4", "-bdf", "-q1m", "-C", f"{folder}/exim.conf", "-oX", f"127.0.0.1.{port}"]
    package = mailpeers.PLACE / "exim"
    return privateroot.argv(package, folder, f"{users}\n{spool}", command)


def missing_exim() -> str | None:
    return mailpeers.missing_unpacked("exim", "usr/sbin/exim4") or privateroot.missing()


# -- OpenSMTPD -----------------------------------------------------------------------------------


@contextlib.contextmanager
def opensmtpd() -> Iterator[MailServer]:
    with _behind(opensmtpd_command) as server:
        yield server


def opensmtpd_command(folder: Path, port: int, next_hop: int) -> list[str]:
    (folder / "smtpd.conf").write_text(f"""\
listen on 127.0.0.1 port {port} hostname opensmtpd.test
action "onwards" relay host smtp://127.0.0.1:{next_hop}
match from any for rcpt-to regex "^reject" reject
match from any for domain "people.test" action "onwards"
""")
    prepare = """\
useradd --system --user-group opensmtpd
useradd --system --user-group opensmtpq
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd"""
    command = ["smtpd", "-d", "-f", f"{folder}/smtpd.conf"]
    return privateroot.argv(mailpeers.PLACE / "opensmtpd", folder, prepare, command)


def missing_opensmtpd() -> str | None:
    return mailpeers.missing_unpacked("opensmtpd", "usr/sbin/smtpd") or privateroot.missing()


# -- smtp-server on Node.js ----------------------------------------------------------------------


@contextlib.contextmanager
def node_smtp_server() -> Iterator[MailServer]:
    """Nodemailer's smtp-server, which passes on through Nodemailer."""
    with _behind(_node) as server:
        yield server


def _node(folder: Path, port: int, next_hop: int) -> list[str]:
    packages = f"POSTFLEET_NODE_PACKAGES={mailpeers.PLACE}/node"
    node = mailpeers.node() or "node"
    return ["env", packages, node, str(_NODE_SERVER), str(port), str(next_hop)]


#: name -> how to run it, and why it cannot be run here
SERVERS = {
    "Postfix": (postfix, missing_postfix),
    "Exim": (exim, missing_exim),
    "OpenSMTPD": (opensmtpd, missing_opensmtpd),
    "aiosmtpd": (aiosmtpd, lambda: None),
    "smtp-server on Node.js": (node_smtp_server, mailpeers.missing_node),
}
