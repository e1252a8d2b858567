"""The IMAPS server: pymap's protocol over the sandbox's accounts and mailboxes."""

import asyncio
import ssl
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from uuid import uuid4

from proxyprotocol.noop import ProxyProtocolNoop
from proxyprotocol.sock import SocketInfo
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import Message
from pymap.backend.session import BaseSession
from pymap.concurrent import Subsystem
from pymap.config import BackendCapability, IMAPConfig
from pymap.exceptions import AuthorizationFailure, InvalidAuth, NotAllowedError
from pymap.imap import IMAPServer
from pymap.interfaces.login import IdentityInterface, LoginInterface
from pymap.selected import SelectedMailbox
from pymap.token import AllTokens
from pymap.user import UserMetadata
from pysasl.creds.server import ServerCredentials
from pysasl.hashing import Cleartext
from pysasl.identity import ClearIdentity

from postfleet_sandbox.accounts import Account, Accounts
from postfleet_sandbox.mailboxes import SPECIAL_USE, Folders, MailStore
from postfleet_sandbox.submission import bound_socket

_Listed = tuple[Iterable[tuple[str, str | None, Sequence[bytes]]], SelectedMailbox | None]


class Config(IMAPConfig):
    """pymap's settings for a server without a command line."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(
            Namespace(),
            host=None,
            port=0,
            subsystem=Subsystem.for_asyncio(),
            cpu_subsystem=Subsystem.for_asyncio(),
            ssl_context=context,
            tls_enabled=False,  # no STARTTLS: the connection is TLS already
            proxy_protocol=ProxyProtocolNoop(),
            hash_context=Cleartext(),
        )

    @property
    def backend_capability(self) -> BackendCapability:
        return BackendCapability(
            idle=True, object_id=True, multi_append=True, custom=[b"SPECIAL-USE"]
        )


class MailSession(BaseSession[Message]):
    """A logged-in connection."""

    def __init__(self, owner: str, config: Config, folders: Folders) -> None:
        super().__init__(owner)
        self._config = config
        self._folders = folders
        self._filters = FilterSet()

    @property
    def config(self) -> Config:
        return self._config

    @property
    def mailbox_set(self) -> Folders:
        return self._folders

    @property
    def filter_set(self) -> FilterSet:
        return self._filters

    async def list_mailboxes(
        self,
        ref_name: str,
        filter_: str,
        subscribed: bool = False,
        selected: SelectedMailbox | None = None,
    ) -> _Listed:
        """LIST, with the attributes of RFC 6154."""
        listed, updates = await super().list_mailboxes(ref_name, filter_, subscribed, selected)
        special = [
            (
                name,
                delimiter,
                [*attributes, SPECIAL_USE[name]] if name in SPECIAL_USE else attributes,
            )
            for name, delimiter, attributes in listed
        ]
        return special, updates


class MailIdentity(IdentityInterface):
    """An account that has logged in."""

    def __init__(self, account: Account, config: Config, store: MailStore) -> None:
        self._account = account
        self._config = config
        self._store = store

    @property
    def name(self) -> str:
        return self._account.address

    @property
    def roles(self) -> frozenset[str]:
        return frozenset()

    @asynccontextmanager
    async def new_session(self) -> AsyncIterator[MailSession]:
        """Open the mailboxes."""
        yield MailSession(self.name, self._config, await self._store.folders(self.name))

    async def new_token(self, *, expiration: datetime | None = None) -> str | None:
        """There are no tokens."""
        return None

    async def get(self) -> UserMetadata:
        """Return what pymap wants to know about a user."""
        return UserMetadata(self._config, self.name, password=self._account.password)

    async def set(self, metadata: UserMetadata) -> int | None:
        """Refuse: accounts are made through the control API."""
        raise NotAllowedError("Accounts are managed by the control API.")

    async def delete(self) -> None:
        """Refuse, for the same reason."""
        raise NotAllowedError("Accounts are managed by the control API.")


class MailLogin(LoginInterface):
    """Checks credentials against the accounts."""

    def __init__(self, accounts: Accounts, config: Config, store: MailStore) -> None:
        self._accounts = accounts
        self._config = config
        self._store = store
        self._tokens = AllTokens(config)

    @property
    def tokens(self) -> AllTokens:
        return self._tokens

    async def authenticate(self, credentials: ServerCredentials) -> MailIdentity:
        """Return the account; InvalidAuth if user or password is wrong."""
        account = self._accounts.get(credentials.authcid)
        if account is None or not credentials.verify(
            ClearIdentity(credentials.authcid, account.password)
        ):
            raise InvalidAuth()
        return MailIdentity(account, self._config, self._store)

    async def authorize(self, authenticated: IdentityInterface, authzid: str) -> IdentityInterface:
        """Nobody acts for somebody else."""
        if authzid.lower() != authenticated.name:
            raise AuthorizationFailure()
        return authenticated


class ImapServer:
    """The listening socket and its connections."""

    def __init__(self, accounts: Accounts, store: MailStore, context: ssl.SSLContext) -> None:
        config = Config(context)
        self.port = 0
        self._context = context
        self._serve = IMAPServer(MailLogin(accounts, config, store), config)
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int, host: str) -> None:
        """Listen; port 0 means any free one."""
        listening = await bound_socket(port, host)
        self.port = listening.getsockname()[1]
        self._listener = await asyncio.start_server(
            self._connected, sock=listening, ssl=self._context, backlog=512
        )

    async def stop(self) -> None:
        """Stop listening and end all connections."""
        if self._listener is not None:
            self._listener.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections, timeout=0.5)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            info = SocketInfo.get(writer, None, unique_id=uuid4().bytes)
            # Cancelled, pymap says BYE; a client that has left is no error.
            with suppress(asyncio.CancelledError, ConnectionError):
                await self._serve(reader, writer, info)
        finally:
            self._connections.discard(task)
