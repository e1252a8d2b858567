"""The life of a mail up to the server's answer: refuse, defer, drop, or accept and plan.

Knows nothing of sockets; every answer is in the ledger before it is returned.
"""

import re
from dataclasses import dataclass

from postfleet_sandbox import ledger
from postfleet_sandbox.accounts import Account
from postfleet_sandbox.behaviours import Act, Behaviour, Drop
from postfleet_sandbox.ledger import Ledger, Spool, now_ms
from postfleet_sandbox.people import People

_MESSAGE_ID = re.compile(rb"^Message-ID:[ \t\r\n]*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says; `hang_up` cuts the connection instead."""

    reply: str
    hang_up: bool = False


def message_id_of(content: bytes) -> str:
    """Return the Message-ID with its angle brackets, or ""."""
    header = content[: content.find(b"\r\n\r\n") + 2 or None]
    found = _MESSAGE_ID.search(header)
    return found[1].decode("utf-8", "replace") if found else ""


class Reception:
    """Decides about recipients and mails, and writes down what it decided."""

    def __init__(self, people: People, register: Ledger, spool: Spool) -> None:
        self._people = people
        self._ledger = register
        self._spool = spool

    def behaviour_of(self, recipient: str) -> Behaviour:
        """Return the behaviour of a recipient, for the delays that it wants."""
        return self._people.behaviour_of(recipient)

    def refusal(self, recipient: str, sender: str) -> str:
        """Return the reply that refuses a recipient at RCPT, or "" to accept."""
        behaviour = self._people.behaviour_of(recipient)
        if not behaviour.rcpt_reply or not self._people.misbehaves(recipient, behaviour):
            return ""
        self._refuse(behaviour.rcpt_reply, recipient, sender, "")
        return behaviour.rcpt_reply

    def receive(self, account: Account, recipients: list[str], content: bytes) -> Answer:
        """Answer the final dot. The first recipient who misbehaves speaks for all."""
        message_id = message_id_of(content)
        strange = next(filter(self._strange_at_data, recipients), "")
        behaviour = self._people.behaviour_of(strange) if strange else Behaviour()
        if behaviour.data_reply:
            self._refuse(behaviour.data_reply, strange, account.address, message_id)
            return Answer(behaviour.data_reply)
        if behaviour.drop is Drop.BEFORE_ACCEPTING:
            self._ledger.append(
                ledger.DROPPED, recipient=strange, sender=account.address, message_id=message_id
            )
            return Answer("", hang_up=True)
        withheld = behaviour.drop is Drop.AFTER_ACCEPTING
        seq = self._accept(account, recipients, content, message_id, withheld=withheld)
        return Answer(f"250 2.0.0 Ok: queued as {seq}", hang_up=withheld)

    def _strange_at_data(self, recipient: str) -> bool:
        behaviour = self._people.behaviour_of(recipient)
        return bool(behaviour.data_reply or behaviour.drop) and self._people.misbehaves(
            recipient, behaviour
        )

    def _refuse(self, reply: str, recipient: str, sender: str, message_id: str) -> None:
        self._ledger.append(
            ledger.REJECTED if reply.startswith("5") else ledger.DEFERRED,
            recipient=recipient,
            sender=sender,
            message_id=message_id,
            detail={"reply": reply},
        )

    def _accept(
        self,
        account: Account,
        recipients: list[str],
        content: bytes,
        message_id: str,
        *,
        withheld: bool,
    ) -> int:
        """Write one record a recipient; all but the first are marked as copies."""
        place = self._spool.put(content)
        now = now_ms()
        seq = 0
        for recipient in recipients:
            acts = self._people.plan(recipient, account.address, now)
            if account.saves_sent and not seq:
                acts[Act.SAVE_SENT] = now
            record = self._ledger.append(
                ledger.ACCEPTED,
                recipient=recipient,
                sender=account.address,
                message_id=message_id,
                detail={"spool": place, "acts": acts}
                | ({"copy": True} if seq else {})
                | ({"withheld": True} if withheld else {}),
            )
            seq = seq or record.seq
        return seq
