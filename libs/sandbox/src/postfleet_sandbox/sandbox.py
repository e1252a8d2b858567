"""The whole mail world in one object: servers, people, ledger."""

import asyncio
import contextlib
import json
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from postfleet_sandbox import ledger
from postfleet_sandbox.accounts import Account, Accounts
from postfleet_sandbox.agenda import Agenda
from postfleet_sandbox.behaviours import NAMED, Behaviour, as_document
from postfleet_sandbox.control import ControlServer
from postfleet_sandbox.imap import ImapServer
from postfleet_sandbox.ledger import Ledger, Record, Spool
from postfleet_sandbox.mailboxes import MailStore
from postfleet_sandbox.people import People
from postfleet_sandbox.reception import Reception
from postfleet_sandbox.recipients import Recipients
from postfleet_sandbox.submission import HOST, SubmissionServer
from postfleet_sandbox.summary import Summary
from postfleet_sandbox.tls import Certificates, certificates


class Sandbox:
    """`async with Sandbox(data=folder) as box:` is a running mail world.

    Everything is kept in `data`; started there again, it goes on where it stopped. Port 0 means
    any free port. `human_delay_s` is how long after acceptance people open a mail (below 2 s
    their opens look like a scanner's; on a busy machine the sender's clock may be seconds behind
    ours), `machine_delay_s` how long scanners and mail servers take.
    `host` is where the servers listen, `name` by which clients know them; links to this machine
    are asked for at `platform` if one is named: in a container it is another.
    """

    def __init__(
        self,
        *,
        data: str | Path,
        seed: int = 1,
        people_domain: str = "people.test",
        human_delay_s: tuple[float, float] = (5.0, 8.0),
        machine_delay_s: tuple[float, float] = (0.1, 0.8),
        smtp_port: int = 0,
        smtps_port: int = 0,
        imap_port: int = 0,
        control_port: int = 0,
        host: str = HOST,
        name: str = HOST,
        platform: str = "",
    ) -> None:
        self.data = Path(data)
        self.data.mkdir(parents=True, exist_ok=True)
        self.certificates: Certificates = certificates(self.data, name)
        self.accounts = Accounts(self.data / "accounts.jsonl")
        self.ledger = Ledger(self.data / "ledger.jsonl")
        self._ports = (smtp_port, smtps_port, imap_port, control_port)
        self.seed, self.people_domain, self.name = seed, people_domain.lower(), name
        self._host, self._platform = host, platform
        self._people = People(
            seed,
            self.people_domain,
            _milliseconds(human_delay_s),
            _milliseconds(machine_delay_s),
            self.accounts,
        )
        self._summary = Summary()
        self._agenda = Agenda()
        self._store = MailStore(self.data / "mail")
        self._outage: asyncio.Task[None] | None = None
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            for reader in (self._people.read, self._summary.read, self._agenda.read):
                self.ledger.add_reader(reader)
            exits.enter_context(self.ledger)
            self._spool = exits.enter_context(contextlib.closing(Spool(self.data / "spool.eml")))
            exits.push_async_callback(self._end_outage)
            await self._start_recipients(exits)
            await self._start_servers(exits)
            self._announce()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    @property
    def smtp_port(self) -> int:
        """Submission with STARTTLS."""
        return self._submission.smtp_port

    @property
    def smtps_port(self) -> int:
        """Submission with implicit TLS."""
        return self._submission.smtps_port

    @property
    def smtp_connections(self) -> int:
        """Open now, to either port."""
        return len(self._submission.connections)

    @property
    def imap_port(self) -> int:
        """IMAP with implicit TLS."""
        return self._imap.port

    @property
    def control_port(self) -> int:
        """The HTTP control API."""
        return self._control.port

    @property
    def ca_file(self) -> str:
        """The PEM file that clients trust."""
        return str(self.certificates.ca_file)

    @property
    def client_context(self) -> ssl.SSLContext:
        """A TLS context for clients in the same process."""
        return self.certificates.client_context()

    @property
    def pending_actions(self) -> int:
        """How many acts are scheduled or under way."""
        return self._agenda.pending

    def endpoints(self) -> dict[str, int | str]:
        """Return what `sandbox.json` says."""
        return {
            "smtp_port": self.smtp_port,
            "smtps_port": self.smtps_port,
            "imap_port": self.imap_port,
            "control_port": self.control_port,
            "ca_file": str(self.certificates.ca_file.resolve()),
            "pid": os.getpid(),
        }

    def add_account(self, address: str, password: str, *, saves_sent: bool = False) -> Account:
        """Create a mailbox that can log in; done again, it changes the password."""
        account = Account(address.lower(), password, saves_sent)
        self.accounts.add(account)
        return account

    def script(self, address: str, behaviour: Behaviour | str) -> None:
        """Give an address a behaviour, of the table by name or one's own.

        It holds from the next mail on, survives a restart, and its `times` start anew.
        """
        chosen = NAMED[behaviour] if isinstance(behaviour, str) else behaviour
        self.ledger.append(ledger.SCRIPTED, recipient=address.lower(), detail=as_document(chosen))

    def behaviour_of(self, address: str) -> Behaviour:
        """Return the behaviour that the next mail to `address` will meet."""
        return self._people.behaviour_of(address.lower())

    def summary(self) -> dict[str, int]:
        """Return the numbers that a correct platform must arrive at."""
        return {**self._summary.totals(), "pending_actions": self.pending_actions}

    def records(self, *kinds: str) -> Iterator[Record]:
        """Read the ledger, all of it or the given kinds."""
        return (record for record in self.ledger.records() if not kinds or record.kind in kinds)

    def mail(self, record: Record) -> bytes:
        """Return the mail that a record of kind `accepted` is about, as received."""
        return self._spool.get(*record.detail["spool"])

    async def deliver(self, address: str, content: bytes, key: str) -> None:
        """Put a mail into an account's INBOX; a second time under the same key does nothing."""
        await self._store.deliver(address.lower(), content, key)

    def start_outage(self, seconds: float) -> None:
        """Cut all SMTP connections and refuse new ones for a while; returns at once."""
        if self._outage is not None and not self._outage.done():
            raise RuntimeError("there is an outage already; wait for its end")
        self._outage = asyncio.create_task(self._submission.outage(seconds))

    async def settled(self, timeout_s: float = 30.0) -> None:
        """Wait until no act is pending; TimeoutError if that takes too long."""
        deadline = time.monotonic() + timeout_s
        while self.pending_actions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.pending_actions} acts still pending after {timeout_s} s")
            await asyncio.sleep(0.02)

    async def _start_recipients(self, exits: AsyncExitStack) -> None:
        self.recipients = Recipients(
            agenda=self._agenda,
            register=self.ledger,
            spool=self._spool,
            people=self._people,
            accounts=self.accounts,
            store=self._store,
            seed=self.seed,
            platform=self._platform,
        )
        acting = asyncio.create_task(self.recipients.run())

        async def stop() -> None:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)

        exits.push_async_callback(stop)

    async def _start_servers(self, exits: AsyncExitStack) -> None:
        smtp_port, smtps_port, imap_port, control_port = self._ports
        context = self.certificates.server_context()
        reception = Reception(self._people, self.ledger, self._spool)
        self._imap = ImapServer(self.accounts, self._store, context)
        exits.push_async_callback(self._imap.stop)
        await self._imap.start(imap_port, self._host)
        self._submission = SubmissionServer(self.accounts, reception, context)
        exits.push_async_callback(self._submission.stop)
        await self._submission.start(smtp_port, smtps_port, self._host)
        self._control = ControlServer(self)
        exits.push_async_callback(self._control.stop)
        await self._control.start(control_port, self._host)

    async def _end_outage(self) -> None:
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.gather(self._outage, return_exceptions=True)

    def _announce(self) -> None:
        """Write `sandbox.json`, whole or not at all."""
        unfinished = self.data / f"sandbox.json.{os.getpid()}"
        unfinished.write_text(json.dumps(self.endpoints(), indent=1) + "\n")
        unfinished.replace(self.data / "sandbox.json")


def _milliseconds(span_s: tuple[float, float]) -> tuple[int, int]:
    low, high = span_s
    return int(low * 1000), int(high * 1000)
