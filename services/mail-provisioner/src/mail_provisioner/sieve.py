"""The mail server's ManageSieve (RFC 5804): scripts are checked there before any is replaced.

sievelib speaks the protocol. What it leaves open is closed here: certificates are verified against our
authorities, nothing that came before TLS is believed, and no server can keep us longer, or send more,
than one exchange needs.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sievelib import managesieve  # type: ignore[import-untyped]

from mail_provisioner.domain import filters, masters
from mail_provisioner.domain.filters import Filters
from mail_provisioner.login import LoginRefused, MailServerUnreachable
from mail_provisioner.mail_testing import MasterAccount

T = TypeVar("T")

_DEADLINE: Final = 20.0  # seconds for a whole visit
_MAX_RECEIVED: Final = 2_000_000  # bytes; a server's own limit for one script is 1 MB or less
_AT_ONCE: Final = 8
_AGAIN: Final = 1.0  # seconds: a new master account counts once the server has read it

#: what sievelib lets through when a server does not speak the protocol
NONSENSE = (
    managesieve.Error,
    managesieve.Response,
    managesieve.Literal,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
)


class ScriptRefused(Exception):
    """The server does not take a script; the text is its own, with line numbers."""


class ScriptTaken(Exception):
    """A person's script is in the way; the text names it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class SieveServer:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the server has for a mailbox."""

    active: str  # the name of the script that runs, "" if none does
    ours: str | None  # our script, None if there is none

    @property
    def filters(self) -> Filters | None:
        return filters.parsed(self.ours) if self.ours and filters.is_ours(self.ours) else None

    @property
    def edited(self) -> bool:
        return self.ours is not None and not filters.is_ours(self.ours)


class FilterScripts:
    """Acts for any mailbox by the master account: nobody's password is needed."""

    def __init__(self, server: SieveServer, tls: ssl.SSLContext, master: MasterAccount) -> None:
        self._server, self._tls, self._master = server, tls, master
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def look(self, address: str) -> Standing:
        """Raises MailServerUnreachable, LoginRefused, and what the master account raises."""
        return await self._visit(address, _look)

    async def replace(self, address: str, wanted: Filters, *, include: bool) -> Filters:
        """Write and activate our script; a rerun changes nothing. Returns what was written.

        `include`: where a person's script is active, ours runs it first and then goes on. Raises
        ScriptTaken, ScriptRefused, and what `look` raises.
        """
        return await self._visit(address, lambda client: _replace(client, wanted, include))

    async def remove(self, address: str) -> None:
        """Take our script away; a script that it ran first is active again. Raises as `replace`."""
        await self._visit(address, _remove)

    async def _visit(self, address: str, act: Callable[["SieveClient"], T]) -> T:
        async with self._places:
            password = await self._master.password()
            try:
                return await asyncio.to_thread(self._act, address, password, act)
            except LoginRefused:  # Dovecot looks at its files once a second
                await asyncio.sleep(_AGAIN)
                return await asyncio.to_thread(self._act, address, password, act)

    def _act(self, address: str, password: str, act: Callable[["SieveClient"], T]) -> T:
        client = SieveClient(self._server, self._tls)
        try:
            client.open(masters.login_for(address), password)
            return act(client)
        except NONSENSE as error:
            raise MailServerUnreachable(str(error) or type(error).__name__) from None
        finally:
            client.close()


def _look(client: "SieveClient") -> Standing:
    listing = client.listscripts()
    if listing is None:
        raise managesieve.Error("the server does not list its scripts")
    active, others = listing[0] or "", listing[1]
    ours = client.getscript(filters.NAME) if filters.NAME in (active, *others) else None
    return Standing(active, ours)


def _replace(client: "SieveClient", wanted: Filters, include: bool) -> Filters:
    there = _look(client)
    _insist_on_ours(there)
    before = there.filters.runs_first if there.filters else ""
    if there.active not in ("", filters.NAME):
        if not include:
            raise ScriptTaken(
                "OTHER_SCRIPT_ACTIVE",
                f"the script {there.active!r} of this mailbox is active: only one can be. Run it "
                "first (other_script: include), or switch it off in the webmail",
            )
        before = there.active
    wanted = Filters(wanted.rules, wanted.vacation, before)
    text = filters.script(wanted)
    if there.ours is None or there.filters != wanted:
        client.insist(client.checkscript(text))
        client.insist(client.putscript(filters.NAME, text))
    if there.active != filters.NAME:
        client.insist(client.setactive(filters.NAME))
    return wanted


def _remove(client: "SieveClient") -> None:
    there = _look(client)
    if there.ours is None:
        return
    _insist_on_ours(there)
    if there.active == filters.NAME:
        names: list[str] = (client.listscripts() or ("", []))[1]
        before = there.filters.runs_first if there.filters else ""
        client.insist(client.setactive(before if before in names else ""))
    client.insist(client.deletescript(filters.NAME))


def _insist_on_ours(there: Standing) -> None:
    if there.edited:
        raise ScriptTaken(
            "CHANGED_BY_HAND",
            f"the script {filters.NAME!r} of this mailbox was changed by hand and is kept: rename or "
            "remove it in the webmail, then try again",
        )


class _Wire:
    """A socket with one deadline for everything, and an end to what it takes."""

    def __init__(self, raw: socket.socket, ends: float) -> None:
        self.raw, self._ends, self._left = raw, ends, _MAX_RECEIVED

    def recv(self, size: int) -> bytes:
        self._wait_no_longer()
        data = self.raw.recv(min(size, 65536))
        self._left -= len(data)
        if self._left < 0:
            raise managesieve.Error("the server sends without end")
        return data

    def sendall(self, data: bytes) -> None:
        self._wait_no_longer()
        self.raw.sendall(data)

    def secured(self, tls: ssl.SSLContext, host: str) -> "_Wire":
        self._wait_no_longer()
        return _Wire(tls.wrap_socket(self.raw, server_hostname=host), self._ends)

    def close(self) -> None:
        self.raw.close()

    def _wait_no_longer(self) -> None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no end after {_DEADLINE:.0f} s")
        self.raw.settimeout(left)


class SieveClient(managesieve.Client):  # type: ignore[misc]
    """sievelib's client, with our own way to connect.

    Its own takes no TLS context and no timeout. `_Client__…` is what Python makes of the private
    names of its class, `Client`; the version is pinned.
    """

    def __init__(self, server: SieveServer, tls: ssl.SSLContext) -> None:
        super().__init__(server.host, server.port)
        self._tls = tls
        self.sock: _Wire | None = None

    def open(self, login: str, password: str) -> None:
        """Connect, insist on STARTTLS, log in. Raises LoginRefused, and any of NONSENSE."""
        address = (self.srvaddr, self.srvport)
        raw = socket.create_connection(address, _DEADLINE)
        self.sock = _Wire(raw, time.monotonic() + _DEADLINE)
        if not self._Client__get_capabilities():
            raise managesieve.Error("the server tells no capabilities")
        if not self._Client__starttls():
            raise managesieve.Error("the server refuses STARTTLS")
        if not self._Client__authenticate(login, password, "", "PLAIN"):
            raise LoginRefused(self._said())

    def insist(self, ok: bool) -> None:
        if not ok:
            raise ScriptRefused(self._said())

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _said(self) -> str:
        return bytes(self.errmsg).decode("utf-8", "replace").strip()[:2000]

    def _Client__enable_ssl(self, **_: Any) -> None:
        if self._Client__read_buffer:
            raise managesieve.Error("the server sent something between STARTTLS and TLS")
        if self.sock is None:
            raise managesieve.Error("the connection is closed")
        self.sock = self.sock.secured(self._tls, self.srvhostname)
