"""The numbers that a correct platform must arrive at, counted from the ledger.

Pure: records go in, integers come out.
"""

from collections.abc import Callable

from postfleet_sandbox import ledger
from postfleet_sandbox.behaviours import Act
from postfleet_sandbox.ledger import Record

MessageKey = tuple[str, str]


class Summary:
    """Counts while records arrive; `totals` may be asked at any time."""

    def __init__(self) -> None:
        self._accepted = 0
        self._duplicates = 0
        self._deferred = 0
        self._accepted_keys: set[MessageKey] = set()
        self._recipients: set[str] = set()
        self._bounced: dict[str, set[MessageKey]] = {"hard": set(), "soft": set()}
        self._messages: dict[str, set[str]] = {act: set() for act in Act}
        self._unsubscribed: set[str] = set()
        self._count: dict[str, Callable[[Record], None]] = {
            ledger.ACCEPTED: self._count_accepted,
            ledger.REJECTED: self._count_rejected,
            ledger.DEFERRED: self._count_deferred,
            Act.DSN: self._count_dsn,
            Act.UNSUBSCRIBE: self._count_unsubscribe,
            **{act: self._count_message for act in Act if act not in (Act.DSN, Act.UNSUBSCRIBE)},
        }

    def read(self, record: Record) -> None:
        """Take one record into account."""
        count = self._count.get(record.kind)
        if count:
            count(record)

    def totals(self) -> dict[str, int]:
        """Return the counts so far."""
        return {
            "accepted": self._accepted,
            "accepted_recipients": len(self._recipients),
            "duplicates": self._duplicates,
            "bounced_hard": len(self._bounced["hard"]),
            "bounced_soft": len(self._bounced["soft"]),
            "deferred": self._deferred,
            "replied": len(self._messages[Act.REPLY]),
            "auto_replied": len(self._messages[Act.AUTO_REPLY]),
            "opened": len(self._messages[Act.HUMAN_OPEN]),
            "clicked": len(self._messages[Act.CLICK]),
            "scanner_opens": len(self._messages[Act.SCANNER_OPEN]),
            "scanner_clicks": len(self._messages[Act.SCANNER_CLICK]),
            "unsubscribed": len(self._unsubscribed),
        }

    def _count_accepted(self, record: Record) -> None:
        """Count a mail once, however many recipients its transaction had."""
        key = (record.recipient, record.message_id)
        self._accepted += not record.detail.get("copy")
        self._duplicates += bool(record.message_id) and key in self._accepted_keys
        self._accepted_keys.add(key)
        self._recipients.add(record.recipient)

    def _count_rejected(self, record: Record) -> None:
        # Refused at RCPT, the message is unknown: one bounce a recipient, however often it is
        # tried. A refusal after the final dot knows its message.
        self._bounced["hard"].add((record.recipient, record.message_id))

    def _count_deferred(self, record: Record) -> None:
        self._deferred += 1

    def _count_dsn(self, record: Record) -> None:
        hard = record.detail.get("action") == "failed" and record.detail["status"][0] == "5"
        self._bounced["hard" if hard else "soft"].add((record.recipient, record.message_id))

    def _count_unsubscribe(self, record: Record) -> None:
        self._unsubscribed.add(record.recipient)

    def _count_message(self, record: Record) -> None:
        self._messages[record.kind].add(record.message_id or f"#{record.detail.get('mail')}")
