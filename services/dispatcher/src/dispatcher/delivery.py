"""Mails of a batch: filled in, claimed, given to the pool of their sender."""

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.catalogue import Catalogue
from dispatcher.credentials import Credentials
from dispatcher.domain.headers import reply_subject
from dispatcher.domain.identity import delivery_id, message_id
from dispatcher.domain.ledger import Batch, Item, Settled
from dispatcher.domain.message import CannotFill, Filled, Letter
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.plus_addresses import author_of
from dispatcher.domain.provider_limits import ProviderLimit, at_most, provider_limit
from dispatcher.domain.retries import RetryRules
from dispatcher.gate import Context
from dispatcher.group_commit import GroupCommit
from dispatcher.mail_gate import MailContext
from dispatcher.pool import PoolLimits, SenderPool
from dispatcher.run import Means, Run
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.transport import Connection, Habits, Mail, Timeouts, connect
from postfleet.events.senders import SenderSnapshot
from postfleet.failpoints import reach
from postfleet.instants import from_ms, now_ms

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
_JOURNAL_REST = 0.01  # seconds; mails are begun further ahead than that

Writer = Callable[[Sequence[Settled]], Awaitable[Awaitable[None]]]
Composer = Callable[[Item], tuple[Settled, Callable[[], Filled]]]


@dataclass(frozen=True, slots=True)
class SendingOptions:
    connections_per_sender: int
    mails_per_connection: int
    retries: RetryRules
    local_hostname: str
    timeouts: Timeouts
    tls_context: ssl.SSLContext
    message_id_key: bytes
    provider_limits: Mapping[str, ProviderLimit] = field(default_factory=dict)  # the operator's

    def pool_limits(self, host: str) -> PoolLimits:
        """What is set, or less where the provider takes less."""
        limit = provider_limit(host, self.provider_limits)
        return PoolLimits(
            at_most(self.connections_per_sender, limit.connections),
            at_most(self.mails_per_connection, limit.mails_per_connection),
        )


class Sending:
    def __init__(
        self,
        catalogue: Catalogue,
        attempts: Attempts,
        credentials: Credentials,
        options: SendingOptions,
    ) -> None:
        self._catalogue, self._credentials, self._options = catalogue, credentials, options
        self._attempts = attempts
        self._journal = GroupCommit(self._insert, limit=16, rest=_JOURNAL_REST)
        self._habits = Habits()
        self._pools: dict[tuple[str, int], SenderPool] = {}

    async def _insert(self, groups: Sequence[Sequence[Attempt]]) -> Sequence[Sequence[bool]]:
        reach("before-attempt")
        ours = iter(await self._attempts.begin([one for group in groups for one in group]))
        reach("after-attempt")
        return [list(islice(ours, len(group))) for group in groups]

    async def _begin(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        """Which of these are ours. Until the database can say so, no dot may be written."""
        while True:
            try:
                return await self._journal.submit(attempts)
            except PyMongoError as error:
                log.warning("attempts wait: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _claim(self, mails: Sequence[Mail]) -> Sequence[bool]:
        return await self._begin([mail.tag.attempt for mail in mails])

    async def send(
        self,
        batch: Batch,
        items: Sequence[Item],
        context: Context | MailContext,
        write: Writer,
        until: int,
    ) -> Run:
        """Returns when each of these is settled by `write`, or found taken by another worker.
        None is begun from `until` (ms) on."""
        means = Means(
            compose=await self._composer(batch, items, context),
            attempt=lambda item: Attempt(item.key, batch.id, uuid.uuid4().hex[:16]),
            claim=self._begin,
            write=write,
            retries=self._options.retries,
        )
        run = Run(batch, items, context.sender.email_address, means, until)
        if items:
            self._pool(context.sender).feed(run)
        await run.done()
        return run

    async def _composer(
        self, batch: Batch, items: Sequence[Item], context: Context | MailContext
    ) -> Composer:
        contents: dict[str, Filled | CannotFill] = {}
        if isinstance(context, MailContext):
            for item in items:
                contents[item.key] = await _content(context, item, self._message_id(item, context))

        def compose(item: Item) -> tuple[Settled, Callable[[], Filled]]:
            own_id = self._message_id(item, context)
            base = Settled(
                item,
                Outcome.ACCEPTED,
                now_ms(),
                message_id=own_id,
                author=context.sender.email_address,
            )
            if isinstance(context, MailContext):
                return base, lambda: _filled(contents[item.key])
            return base, lambda: self._fill(batch, item, context, own_id)

        return compose

    def _message_id(self, item: Item, context: Context | MailContext) -> str:
        key = self._options.message_id_key
        if isinstance(context, MailContext):
            return context.message_id(item, key)
        return message_id(item.delivery_id, context.sender.email_address, key)

    def _fill(self, batch: Batch, item: Item, context: Context, own_id: str) -> Filled:
        origin = batch.origin
        compiled = self._catalogue.compiled(context.campaign, origin.step, origin.variant)
        thread = [
            row
            for step in range(origin.step)
            if (row := context.earlier.get(delivery_id(origin.campaign_id, item.lead_id, step)))
            and row.accepted_at
        ]
        lead = context.leads[item.lead_id]
        first_subject = thread[0].mail_subject if thread else ""
        letter = Letter(
            delivery_id=item.delivery_id,
            message_id=own_id,
            author=author_of(context.sender),
            recipient=item.recipient,
            date=from_ms(now_ms()),
            values={**lead.fields, "email": item.recipient},
            thread=tuple(row.message_id for row in thread),
            reply_subject=reply_subject(first_subject),
        )
        return compiled.fill(letter)

    def _pool(self, sender: SenderSnapshot) -> SenderPool:
        """One pool per sender and revision: new settings mean new connections."""
        key = (sender.sender_id, hash((sender.smtp, sender.email_address)))
        if key not in self._pools:
            self._forget_idle()

            async def open_connection() -> Connection:
                password = await self._credentials.smtp_password(sender.sender_id)
                with gauges.connected.time():
                    return await connect(
                        sender.smtp,
                        password,
                        tls_context=self._options.tls_context,
                        local_hostname=self._options.local_hostname,
                        timeouts=self._options.timeouts,
                        habits=self._habits,
                    )

            self._pools[key] = SenderPool(
                open_connection, self._options.pool_limits(sender.smtp.host), self._claim
            )
        return self._pools[key]

    def _forget_idle(self) -> None:
        old = time.monotonic() - 300
        for key, pool in list(self._pools.items()):
            if pool.idle and pool.last_used < old:
                del self._pools[key]

    async def close(self, of: Callable[[str], bool] = lambda _: True) -> None:
        """End the connections of these senders; they are opened again when there is work."""
        keys = [key for key in self._pools if of(key[0])]
        pools = [self._pools.pop(key) for key in keys]
        await asyncio.gather(*(pool.close() for pool in pools))


async def _content(context: MailContext, item: Item, own_id: str) -> Filled | CannotFill:
    try:
        return await context.filled(item, own_id)
    except CannotFill as error:
        return error


def _filled(content: Filled | CannotFill) -> Filled:
    if isinstance(content, CannotFill):
        raise content
    return content
