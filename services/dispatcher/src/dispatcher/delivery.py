"""One delivery: filled in, claimed, transmitted; what the server said becomes a settled fact."""

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pymongo.errors import PyMongoError

from dispatcher.catalogue import Catalogue
from dispatcher.credentials import Credentials
from dispatcher.domain.headers import reply_subject
from dispatcher.domain.identity import delivery_id, message_id
from dispatcher.domain.ledger import Batch, Item, Settled
from dispatcher.domain.message import CannotFill, Filled, Letter, dot_stuffed
from dispatcher.domain.outcomes import Outcome, Phase
from dispatcher.domain.plus_addresses import author_of
from dispatcher.domain.retries import Refusal, RetryRules, postponed, refused
from dispatcher.gate import Context
from dispatcher.group_commit import GroupCommit
from dispatcher.mail_gate import MailContext
from dispatcher.pool import CannotConnect, PoolLimits, SenderPool, one_by_one
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.transport import (
    Connection,
    Habits,
    NotOurs,
    Refused,
    Timeouts,
    connect,
    envelope_for,
)
from postfleet.events import SenderSnapshot
from postfleet.failpoints import reach
from postfleet.instants import from_ms, now_ms
from postfleet.smtp import OutcomeUnknown, SmtpReply

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SendingOptions:
    connections_per_sender: int
    mails_per_connection: int
    retries: RetryRules
    local_hostname: str
    timeouts: Timeouts
    tls_context: ssl.SSLContext
    message_id_key: bytes


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
        self._journal = GroupCommit(self._insert)
        self._habits = Habits()
        self._pools: dict[tuple[str, int], SenderPool] = {}

    async def _insert(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        reach("before-attempt")
        ours = await self._attempts.begin(attempts)
        reach("after-attempt")
        return ours

    async def _begin(self, attempt: Attempt) -> bool:
        """Whether the attempt is ours. Until the database can say so, no dot may be written."""
        while True:
            try:
                return await self._journal.submit(attempt)
            except PyMongoError as error:
                log.warning("an attempt waits: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def send(
        self, batch: Batch, item: Item, context: Context | MailContext
    ) -> Settled | None:
        """What became of it; None if another worker transmits it, or has."""
        base = Settled(
            item,
            Outcome.ACCEPTED,
            now_ms(),
            message_id=self._message_id(item, context),
            author=context.sender.email_address,
        )
        try:
            if isinstance(context, MailContext):
                filled = await context.filled(item, base.message_id)
            else:
                filled = self._fill(batch, item, context, base.message_id)
        except (CannotFill, LookupError) as error:  # a LookupError: the step or variant is gone
            return replace(base, outcome=Outcome.SKIPPED, reason=f"template: {error}")
        base = replace(base, mail_subject=filled.subject)
        return await self._transmit(batch, item, context.sender, base, filled)

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

    async def _transmit(
        self, batch: Batch, item: Item, sender: SenderSnapshot, base: Settled, filled: Filled
    ) -> Settled | None:
        attempt = Attempt(item.key, batch.id, uuid.uuid4().hex[:16])

        async def begin() -> bool:
            return await self._begin(attempt)

        envelope = envelope_for(sender.email_address, item.recipient, filled.content)
        pool = self._pool(sender)
        try:
            reply = await pool.send(envelope, dot_stuffed(filled.content), begin)
        except NotOurs:
            return None
        except OutcomeUnknown:
            return replace(base, outcome=Outcome.UNKNOWN, at=now_ms())
        except Refused as error:
            failed = self._refused(base, error.reply, error.phase, str(error))
        except CannotConnect as error:
            if not error.first:
                now, wait = now_ms(), int(self._options.retries.base_seconds * 1000)
                return postponed(base, str(error), now + wait, now)
            failed = self._refused(base, error.reply, error.phase, str(error))
        else:
            return replace(base, at=now_ms()).with_reply(reply)
        # Who settles an attempt must own it: else a worker that wakes up late sends it after all,
        # beside the next attempt that follows from this failure.
        return failed if await begin() else None

    def _refused(self, base: Settled, reply: SmtpReply | None, phase: Phase, text: str) -> Settled:
        return refused(base, Refusal(reply, phase, text), self._options.retries, now_ms())

    def _pool(self, sender: SenderSnapshot) -> SenderPool:
        """One pool per sender and revision: new settings mean new connections."""
        key = (sender.sender_id, hash((sender.smtp, sender.email_address)))
        if key not in self._pools:
            self._forget_idle()

            async def open_connection() -> Connection:
                password = await self._credentials.smtp_password(sender.sender_id)
                return await connect(
                    sender.smtp,
                    password,
                    tls_context=self._options.tls_context,
                    local_hostname=self._options.local_hostname,
                    timeouts=self._options.timeouts,
                    habits=self._habits,
                )

            self._pools[key] = SenderPool(
                open_connection,
                PoolLimits(
                    self._options.connections_per_sender, self._options.mails_per_connection
                ),
                one_by_one,
            )
        return self._pools[key]

    def _forget_idle(self) -> None:
        old = time.monotonic() - 300
        for key, pool in list(self._pools.items()):
            if pool.idle and pool.last_used < old:
                del self._pools[key]

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
