"""Who has a mailbox: the files that docker-mailserver reads, answered live to Postfix and Dovecot.

Every question is answered from the files as they are at that moment, over the two small protocols
the servers speak (socketmap for Postfix, dict for Dovecot). So a mailbox exists as soon as its
line is written, and nothing has to be reloaded, which would cut connections of other tests.
"""

import json
import os
import re
import socketserver
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.mailconfig import DELIMITERS

ACCOUNTS = "postfix-accounts.cf"
ALIASES = "postfix-virtual.cf"
QUOTAS = "dovecot-quotas.cf"
MASTERS = "dovecot-masters.cf"
SENDERS = "postfix-send-access.cf"
USER_TABLE, ALIAS_TABLE = "postfleet/userdb", "postfleet/virtual"  # of large fleets
MASKS = "postfleet/senders.pcre"
LATE_BOUNCE = "late-bounce"  # accepted by Postfix at RCPT, unknown to Dovecot afterwards


@dataclass(frozen=True)
class _Content:
    passwords: dict[str, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    quotas: dict[str, str] = field(default_factory=dict)
    masters: dict[str, str] = field(default_factory=dict)
    senders: dict[str, str] = field(default_factory=dict)
    masks: tuple[tuple[re.Pattern[str], list[str]], ...] = ()
    domains: frozenset[str] = frozenset()


class MailDirectory:
    """The mailboxes, aliases, quotas and master users in `config_dir`."""

    def __init__(
        self, config_dir: Path, mail_dir: Path, domains: Iterable[str], masters: dict[str, str]
    ) -> None:
        self.config_dir, self.mail_dir = config_dir, mail_dir
        self._domains = frozenset(domains)  # known even without a mailbox
        self._masters = masters  # our own, beside those of the file
        self._seen: tuple[object, ...] = ()
        self._content = _Content()
        self._lock = threading.Lock()

    def read(self) -> _Content:
        """The parsed files; they are parsed again only when one was replaced or written."""
        with self._lock:
            stamps = tuple(
                self._stamp(n)
                for n in (
                    ACCOUNTS,
                    ALIASES,
                    QUOTAS,
                    MASTERS,
                    SENDERS,
                    USER_TABLE,
                    ALIAS_TABLE,
                    MASKS,
                )
            )
            if stamps != self._seen:
                self._content, self._seen = self._parse(), stamps
            return self._content

    def postfix(self, table: str, key: str) -> str | None:
        """Answer one socketmap question.

        Postfix asks such a table for the whole address only, so sub-addresses and catch-alls are
        resolved here, in the order of virtual(5).
        """
        content, key = self.read(), key.lower()
        if table == "domains":
            return "local" if key in content.domains else None
        base, extension = _without_extension(key)
        domain = key.rpartition("@")[2]
        if table == "mailboxes":
            late = key == f"{LATE_BOUNCE}@{domain}" and domain in content.domains
            return key if late or {key, base} & content.passwords.keys() else None
        if table == "senders":  # what access(5) says about a reverse-path: address, then domain
            return content.senders.get(base) or content.senders.get(domain)
        found = (n for n in (key, base, f"@{domain}") if n in content.aliases)
        targets = content.aliases[name] if (name := next(found, "")) else []
        if table == "aliases":
            moved = extension if name == base != key else ""
            return ",".join(_add_extension(target, moved) for target in targets) or None
        if table == "owners":  # who may say MAIL FROM:<key>
            own = [base] if base in content.passwords else []
            masked = [n for pattern, names in content.masks if pattern.search(key) for n in names]
            return ",".join([*own, *targets, *masked]) or None
        raise LookupError(table)

    def dovecot(self, table: str, key: str) -> dict[str, str] | None:
        """Answer one dict question with the fields that Dovecot expects."""
        content, key = self.read(), key.lower()
        if table == "master":
            return {"password": content.masters[key]} if key in content.masters else None
        fields = content.passwords.get(key)
        if fields is None or table == "pass":
            return fields
        local, _, domain = key.rpartition("@")
        prefix = "userdb_"
        extra = {k.removeprefix(prefix): v for k, v in fields.items() if k.startswith(prefix)}
        quota = content.quotas.get(key)
        if quota:
            extra["quota_rule"] = f"*:storage={quota}"
        return {"home": f"{self.mail_dir}/{domain}/{local}", **extra}

    def _stamp(self, name: str) -> tuple[int, int, int] | None:
        try:
            stat = (self.config_dir / name).stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _lines(self, name: str) -> list[str]:
        path = self.config_dir / name
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.strip() for line in lines if line.strip() and line.strip()[0] != "#"]

    def _parse(self) -> _Content:
        accounts = [_account(line) for line in self._lines(ACCOUNTS) if "|" in line]
        accounts += [_user(line) for line in self._lines(USER_TABLE)]
        aliases: dict[str, list[str]] = {}
        for line in self._lines(ALIASES) + self._lines(ALIAS_TABLE):
            source, _, targets = line.partition(" ")
            aliases[source.lower()] = targets.replace(",", " ").lower().split()
        names = [*(address for address, _ in accounts), *aliases]
        return _Content(
            passwords=dict(accounts),
            aliases=aliases,
            quotas=dict(_split(line, ":") for line in self._lines(QUOTAS)),
            masters=self._masters | dict(_split(line, "|") for line in self._lines(MASTERS)),
            senders=dict(_split(line, " ") for line in self._lines(SENDERS)),
            masks=tuple(map(_mask, self._lines(MASKS))),
            domains=self._domains | {name.rpartition("@")[2] for name in names if "@" in name},
        )


def _account(line: str) -> tuple[str, dict[str, str]]:
    address, password, *extra = line.split("|", 2)
    fields = dict(_split(word, "=") for word in (extra[0].split() if extra else []))
    return address.lower(), {"password": password, **fields}


def _user(line: str) -> tuple[str, dict[str, str]]:
    """A line of a passwd-file; its uid, gid and home are those of this test's own directory."""
    address, password = line.split(":")[:2]
    return address.lower(), {"password": password}


def _mask(line: str) -> tuple[re.Pattern[str], list[str]]:
    """A line of a pcre table: `/pattern/ login,login`."""
    pattern, _, logins = line.rpartition("/ ")
    return re.compile(pattern.removeprefix("/")), logins.split(",")


def _without_extension(address: str) -> tuple[str, str]:
    """Split `ann+tag@one.test` into `ann@one.test` and `+tag`."""
    local, at, domain = address.rpartition("@")
    end = min((i for d in DELIMITERS if (i := local.find(d)) > 0), default=len(local))
    return local[:end] + at + domain, local[end:]


def _add_extension(address: str, extension: str) -> str:
    local, at, domain = address.rpartition("@")
    return local + extension + at + domain


def _split(text: str, separator: str) -> tuple[str, str]:
    left, _, right = text.partition(separator)
    return left.strip().lower(), right.strip()


class _Handler(socketserver.StreamRequestHandler):
    server: "DirectoryServer"


class _Socketmap(_Handler):
    """Postfix's side: netstrings, `<table> <key>` in, `OK <value>` or `NOTFOUND ` out."""

    def handle(self) -> None:
        while size := self._size():
            table, _, key = self.rfile.read(size).decode().partition(" ")
            self.rfile.read(1)  # the netstring's comma
            value = self.server.directory.postfix(table, key)
            answer = ("NOTFOUND " if value is None else f"OK {value}").encode()
            self.wfile.write(b"%d:%s," % (len(answer), answer))

    def _size(self) -> int:
        digits = b""
        while (byte := self.rfile.read(1)) not in (b":", b""):
            digits += byte
        return int(digits or b"0")


class _Dict(_Handler):
    """Dovecot's side: one line per command, of which a lookup needs two."""

    _ESCAPES = str.maketrans({"\x01": "\x011", "\t": "\x01t", "\n": "\x01n", "\r": "\x01r"})

    def handle(self) -> None:
        for raw in self.rfile:
            line = raw.decode().rstrip("\n")
            if line.startswith("L"):
                self.wfile.write(self._lookup(line[1:].split("\t")[0]).encode())

    def _lookup(self, path: str) -> str:
        _, table, key = path.split("/", 2)  # shared/<table>/<user>
        fields = self.server.directory.dovecot(table, key)
        if fields is None:
            return "N\n"
        return f"O{json.dumps(fields).translate(self._ESCAPES)}\n"


class DirectoryServer(socketserver.ThreadingUnixStreamServer):
    """Answers on one Unix socket, in threads of this process, until `close`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, directory: MailDirectory, handler: type[_Handler]) -> None:
        self.directory = directory
        super().__init__(str(path), handler)
        os.chmod(path, 0o666)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @classmethod
    def for_postfix(cls, path: Path, directory: MailDirectory) -> "DirectoryServer":
        return cls(path, directory, _Socketmap)

    @classmethod
    def for_dovecot(cls, path: Path, directory: MailDirectory) -> "DirectoryServer":
        return cls(path, directory, _Dict)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
