"""A private Postfix + Dovecot pair on free ports of 127.0.0.1, for tests that need the real thing.

    with MailPair(domains=["one.test"], mailboxes={"ann@one.test": "secret"}) as pair:
        pair.deliver("ann@one.test", b"Subject: hello\\r\\n\\r\\nhello\\r\\n")
        assert b"hello" in pair.messages("ann@one.test")[0]

Everything lives in one temporary directory: no file in /etc is read or written, nothing goes to
syslog, no mail leaves the machine. It needs root (Postfix's master does) and Dovecot 2.3.
"""

import imaplib
import os
import re
import secrets
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import mailconfig
from tests.support.certificates import write_certificates
from tests.support.maildirectory import ACCOUNTS, DirectoryServer, MailDirectory
from tests.support.ports import free_ports
from tests.support.process import ServerProcess, listens

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin"
_POSTFIX_DAEMONS = "/usr/lib/postfix/sbin:/usr/libexec/postfix:/usr/lib/postfix"
_INOTIFY_INSTANCES = 100  # of the 128 that a user has
_READER = "test-reader"  # the master user by which `messages` opens any mailbox


class MailPair:
    """One mail server: attributes name its ports, `ca_file` and `config_dir`."""

    def __init__(
        self,
        domains: Iterable[str] = (),
        mailboxes: Mapping[str, str] | None = None,
        *,
        size_limit_bytes: int = 26_214_400,  # 25 MiB, as the large providers allow
        introspection_url: str = "",  # RFC 7662: with it XOAUTH2 is offered too
        imap_connections: int = 0,  # more than Dovecot holds by its own limits, for benches
    ) -> None:
        self.domains = [domain.lower() for domain in domains]
        self.size_limit_bytes = size_limit_bytes
        self.introspection_url = introspection_url
        self.imap_connections = imap_connections
        self.ports = mailconfig.Ports(*free_ports(7))
        self.smtp_port, self.submission_port, self.submissions_port = astuple(self.ports)[:3]
        self.imap_port, self.imaps_port, self.sieve_port, self.lmtp_port = astuple(self.ports)[3:]
        self.start_seconds = 0.0  # how long the last start took
        self._initial = dict(mailboxes or {})
        self._reader_password = secrets.token_hex(16)
        self._root: Path | None = None
        self._directories: list[DirectoryServer] = []
        self._dovecot: ServerProcess | None = None
        self._postfix: ServerProcess | None = None

    # -- life ---------------------------------------------------------------------------------

    @staticmethod
    def missing() -> str | None:
        """Why the pair cannot run here, or None."""
        if os.geteuid() != 0:
            return "Postfix's master process needs root"
        for name, path in (("dovecot", _SBIN), ("doveadm", _SBIN), ("master", _POSTFIX_DAEMONS)):
            if not shutil.which(name, path=path):
                return f"{name} not found: apt-get install postfix dovecot-imapd dovecot-lmtpd"
        modules = {"lmtp": "lmtpd", "imap": "imapd", "managesieve": "managesieved"}
        for name, package in modules.items():
            if not shutil.which(name, path="/usr/lib/dovecot:/usr/libexec/dovecot"):
                return f"{name} not found: apt-get install dovecot-{package} dovecot-sieve"
        version = _run([_find("dovecot"), "--version"])
        if not version.startswith("2.3."):
            return f"Dovecot 2.3 expected, found {version.strip()}"
        return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Write the configuration, start both servers, return when every port answers."""
        began = time.monotonic()
        self._root = Path(tempfile.mkdtemp(prefix="mp", dir="/tmp"))
        self._root.chmod(0o755)
        try:
            write_certificates(self._root, ["localhost", "127.0.0.1", mailconfig.HOSTNAME])
            mailconfig.write(self.places, self.ports, self.size_limit_bytes)
            if self.introspection_url:
                mailconfig.offer_xoauth2(self.places, self.introspection_url)
            if self.imap_connections:
                mailconfig.allow_many(self.places, self.imap_connections)
            self._start_directories()
            for address, password in self._initial.items():
                self.add_mailbox(address, password)
            self._dovecot, self._postfix = self._spawn_dovecot(), self._spawn_postfix()
            self._wait_dovecot()
            self._wait_postfix()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - began

    def stop(self) -> None:
        """End both servers and everything they started; remove the directory."""
        for server in (self._postfix, self._dovecot):
            if server:
                server.kill()
        for directory in self._directories:
            directory.close()
        self._directories = []
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)

    def kill_dovecot(self) -> None:
        """SIGKILL: connections break, ports refuse, Postfix keeps mail in its queue."""
        self._alive(self._dovecot).kill()

    def restart_dovecot(self) -> None:
        """Start Dovecot again (after killing it) on the same ports and mailboxes."""
        self.kill_dovecot()
        self._dovecot = self._spawn_dovecot()
        self._wait_dovecot()

    def restart_postfix(self) -> None:
        """Kill Postfix and start it again on the same ports and queue."""
        self._alive(self._postfix).kill()
        self._postfix = self._spawn_postfix()
        self._wait_postfix()

    def server_pids(self) -> list[int]:
        """The two master processes; each is also the id of its process group."""
        return [self._alive(server).pid for server in (self._dovecot, self._postfix)]

    # -- places -------------------------------------------------------------------------------

    @property
    def places(self) -> mailconfig.Places:
        if self._root is None:
            raise RuntimeError("the pair is not started: use it as a context manager")
        return mailconfig.Places(self._root, self._root / "server.pem", self._root / "server.key")

    @property
    def config_dir(self) -> Path:
        """The files as docker-mailserver reads them; a replaced file counts at once."""
        return self.places.config

    @property
    def ca_file(self) -> Path:
        return self.places.root / "ca.pem"

    def tls(self) -> ssl.SSLContext:
        """Trusts the pair's own authority, and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def logs(self) -> str:
        """What both servers wrote, for the message of a failing test."""
        files = sorted(self.places.logs.glob("*")) if self._root else []
        texts = [(f.name, f.read_text(errors="replace")[-8000:]) for f in files]
        return "\n".join(f"--- {name}\n{text}" for name, text in texts if text)

    # -- mailboxes ----------------------------------------------------------------------------

    def add_mailbox(self, address: str, password: str) -> None:
        """Add or replace a line of postfix-accounts.cf; the mailbox exists on return."""
        path = self.config_dir / ACCOUNTS
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if line.partition("|")[0] != address]
        kept.append(f"{address}|{self._hash(password)}")
        new = path.with_name(f".{path.name}.new")
        new.write_text("\n".join(kept) + "\n")
        new.replace(path)

    def add_mailboxes(self, addresses: Iterable[str], password: str) -> None:
        """Many at once, with passwords in clear, whose files belong to many users.

        Linux gives a user 128 inotify instances, and each IDLE takes one; above that Dovecot looks
        for new mail every 30 s.
        """
        path = self.config_dir / ACCOUNTS
        lines = path.read_text().splitlines() if path.exists() else []
        for number, address in enumerate(addresses):
            folder = self.places.mail / address.rpartition("@")[2]
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)  # all these users have their mailboxes in it
            user = mailconfig.VMAIL_ID + 1 + number // _INOTIFY_INSTANCES
            fields = f"userdb_uid={user} userdb_gid={user}"
            lines.append(f"{address}|{{PLAIN}}{password}|{fields}")
        path.write_text("\n".join(lines) + "\n")

    def wait_login(self, address: str, password: str, timeout: float = 5) -> float:
        """Wait until IMAP and submission both accept the password; return the seconds it took."""
        began = time.monotonic()

        def login() -> bool:
            try:
                with self.imap(address, password), self.submission(address, password):
                    return True
            except (OSError, imaplib.IMAP4.error, smtplib.SMTPException):
                return False

        self._wait(login, timeout, f"login of {address}")
        return time.monotonic() - began

    def imap(self, address: str, password: str) -> imaplib.IMAP4_SSL:
        """A logged-in connection over implicit TLS."""
        client = imaplib.IMAP4_SSL("127.0.0.1", self.imaps_port, ssl_context=self.tls(), timeout=10)
        try:
            client.login(address, password)
        except BaseException:
            client.shutdown()
            raise
        return client

    def submission(self, address: str, password: str) -> smtplib.SMTP:
        """A logged-in connection over STARTTLS."""
        client = smtplib.SMTP("127.0.0.1", self.submission_port, timeout=10)
        try:
            client.starttls(context=self.tls())
            client.login(address, password)
        except BaseException:
            client.close()
            raise
        return client

    def deliver(self, to: str, raw: bytes, reverse_path: str = "") -> None:
        """Put a message into a mailbox as Postfix would, over LMTP; stored when this returns."""
        lines = re.sub(rb"\r?\n", b"\r\n", raw)
        with smtplib.LMTP("127.0.0.1", self.lmtp_port, local_hostname="outside.test") as client:
            client.sendmail(reverse_path, [to], lines)

    def messages(self, address: str, folder: str = "INBOX") -> list[bytes]:
        """Every message of a folder, oldest first; no flag changes. Needs no password."""
        with self.imap(f"{address}*{_READER}", self._reader_password) as client:
            status, data = client.select(f'"{folder}"', readonly=True)
            if status != "OK":
                raise LookupError(f"{address} has no folder {folder}: {data!r}")
            if data == [b"0"]:
                return []
            _, parts = client.fetch("1:*", "(BODY.PEEK[])")
            return [part[1] for part in parts if isinstance(part, tuple)]

    def wait_messages(
        self, address: str, count: int = 1, folder: str = "INBOX", timeout: float = 5
    ) -> list[bytes]:
        """Wait until a folder holds at least `count` messages and return all of them."""
        found: list[bytes] = []

        def enough() -> bool:
            found[:] = self.messages(address, folder)
            return len(found) >= count

        self._wait(enough, timeout, f"{count} message(s) in {folder} of {address}")
        return found

    # -- inside -------------------------------------------------------------------------------

    def _start_directories(self) -> None:
        places = self.places
        reader = {_READER: "{PLAIN}" + self._reader_password}
        directory = MailDirectory(places.config, places.mail, self.domains, reader)
        self._directories = [
            DirectoryServer.for_postfix(places.root / "postfix.sock", directory),
            DirectoryServer.for_dovecot(places.root / "dovecot.sock", directory),
        ]

    def _spawn_dovecot(self) -> ServerProcess:
        configuration = self.places.dovecot / "dovecot.conf"
        argv = [_find("dovecot"), "-F", "-c", str(configuration)]
        return ServerProcess(argv, self.places.logs / "dovecot.out")

    def _spawn_postfix(self) -> ServerProcess:
        # master itself: the `postfix` command would spend a second on checks of a system's files
        argv = [_find("master", _POSTFIX_DAEMONS), "-c", str(self.places.postfix), "-d"]
        return ServerProcess(argv, self.places.logs / "postfix.out")

    def _wait_dovecot(self) -> None:
        ports = (self.imap_port, self.imaps_port, self.sieve_port, self.lmtp_port)
        self._wait_ports(self._alive(self._dovecot), ports)

    def _wait_postfix(self) -> None:
        ports = (self.smtp_port, self.submission_port, self.submissions_port)
        self._wait_ports(self._alive(self._postfix), ports)

    def _wait_ports(self, server: ServerProcess, ports: tuple[int, ...]) -> None:
        try:
            server.wait_until(lambda: all(map(listens, ports)), f"listening on {ports}")
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.logs()}") from None

    def _wait(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what} after {timeout} s\n{self.logs()}")
            time.sleep(0.02)

    def _hash(self, password: str) -> str:
        # 1000 rounds, the fewest there are: tests log in often
        command = [_find("doveadm"), "-c", str(self.places.dovecot / "dovecot.conf")]
        return _run([*command, "pw", "-s", "SHA512-CRYPT", "-r", "1000", "-p", password]).strip()

    @staticmethod
    def _alive(server: ServerProcess | None) -> ServerProcess:
        if server is None:
            raise RuntimeError("the pair is not started: use it as a context manager")
        return server


def _find(name: str, path: str = _SBIN) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        raise RuntimeError(f"{name} not found; MailPair.missing() tells what to install")
    return found


def _run(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
