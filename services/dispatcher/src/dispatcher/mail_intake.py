"""Takes mails of their own in: whoever makes one, it is stored before anybody is told so."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dispatcher.domain.mail import Mail, Parts, compose, deliveries, new_id
from dispatcher.group_commit import GroupCommit
from dispatcher.store.messages import Messages, Pack
from postfleet import tracing
from postfleet.events.senders import SenderSnapshot
from postfleet.failpoints import reach
from postfleet.instants import from_ms, now_ms

_PACK_BYTES = 4 * 1024 * 1024  # unless one mail is larger
TRANSACTIONAL = "transactional"


@dataclass(frozen=True, slots=True)
class MailTimes:
    """What could not be sent `expires_ms` after its time is not sent; kept for `keep_ms` more."""

    expires_ms: int
    keep_ms: int


class MailIntake:
    def __init__(self, messages: Messages, wake: Callable[[], None], times: MailTimes) -> None:
        self._messages, self._wake, self._times = messages, wake, times
        self._packed = GroupCommit(self._pack, limit=100)

    async def take(self, mail: Mail, content: bytes) -> None:
        """Durable when this returns. Mails that come at the same time are one write.

        The same mail may be taken again: it has the same deliveries, and none is sent twice.
        """
        await self._packed.submit((mail, content))
        self._wake()

    async def _pack(self, mails: Sequence[tuple[Mail, bytes]]) -> Sequence[None]:
        packs: list[list[tuple[Mail, bytes]]] = [[]]
        size = 0
        for entry in mails:
            size += len(entry[1]) + 200 * len(entry[0].deliveries)
            if packs[-1] and size > _PACK_BYTES:
                packs.append([])
                size = len(entry[1])
            packs[-1].append(entry)
        made = [
            (Pack(new_id(), tuple(m for m, _ in part)), [content for _, content in part])
            for part in packs
        ]
        await self._messages.insert(made, self._times.keep_ms)
        _traced(mail for mail, _ in mails)
        reach("intake-after-store")
        return [None] * len(mails)

    async def accept(self, mail: Mail, content: bytes) -> bool:
        """Durable under its own id when this returns; False if that was there already."""
        (new,) = await self._messages.insert(
            [(Pack(mail.id, (mail,)), [content])], self._times.keep_ms
        )
        if new:
            _traced([mail])
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
        template: str = "",
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
            template=template,
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


def _traced(mails: Iterable[Mail]) -> None:
    if tracing.active is not None:
        for mail in mails:
            ids = [delivery_id for delivery_id, _ in mail.deliveries]
            tracing.begun("mail taken in", ids, **{"postfleet.sender_id": mail.sender_id})
