"""Takes mails of their own in: whoever makes one, it is stored before anybody is told so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dispatcher.domain.mail import Mail, Parts, compose, deliveries
from dispatcher.group_commit import GroupCommit
from dispatcher.store.messages import Messages
from postfleet.events import SenderSnapshot
from postfleet.failpoints import reach
from postfleet.instants import from_ms, now_ms

TRANSACTIONAL = "transactional"


@dataclass(frozen=True, slots=True)
class MailTimes:
    """What could not be sent `expires_ms` after its time is not sent; kept for `keep_ms` more."""

    expires_ms: int
    keep_ms: int


class MailIntake:
    """Safe to repeat: a mail whose id is known is not stored again."""

    def __init__(self, messages: Messages, wake: Callable[[], None], times: MailTimes) -> None:
        self._messages, self._wake, self._times = messages, wake, times
        self._stored = GroupCommit(self._insert, limit=100)

    async def _insert(self, mails: Sequence[tuple[Mail, bytes]]) -> Sequence[bool]:
        new = await self._messages.insert(mails, self._times.keep_ms)
        reach("intake-after-store")
        return new

    async def accept(self, mail: Mail, content: bytes) -> bool:
        """Durable when this returns; False if a mail with this id was there already."""
        new = await self._stored.submit((mail, content))
        self._wake()
        return new

    async def compose(
        self,
        id_: str,
        sender: SenderSnapshot,
        recipients: Sequence[str],
        parts: Parts,
        *,
        category: str = TRANSACTIONAL,
        due_at: int | None = None,
        digest: str = "",
    ) -> tuple[Mail, bool]:
        """Write a mail, one delivery to each valid address, and take it in. Raises CannotCompose.

        Returns it, and whether it is new: the same `id_` again changes nothing. `due_at` is now if
        it is left out.
        """
        moment = now_ms()
        due = moment if due_at is None else due_at
        content = compose(parts, from_ms(due))
        mail = replace(
            self.mail(id_, sender, recipients, due),
            category=category,
            subject=parts.subject,
            digest=digest,
        )
        return mail, await self.accept(mail, content)

    def mail(
        self, id_: str, sender: SenderSnapshot, recipients: Sequence[str], due_at: int
    ) -> Mail:
        """Its envelope, with the copies that the sender's settings ask for."""
        people, copies = deliveries(id_, recipients, sender)
        return Mail(
            id=id_,
            sender_id=sender.sender_id,
            category=TRANSACTIONAL,
            deliveries=people,
            copies=copies,
            created_at=now_ms(),
            due_at=due_at,
            expires_at=due_at + self._times.expires_ms,
        )
