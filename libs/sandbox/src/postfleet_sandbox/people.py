"""Who behaves how: scripts first, then accounts, the local part, and chance.

Its memory (how often somebody misbehaved, who has answered) is read from the ledger.
"""

from collections import Counter
from collections.abc import Container

from postfleet_sandbox import ledger
from postfleet_sandbox.behaviours import (
    NAMED,
    ONCE_PER_PERSON,
    ONCE_PER_SENDER,
    Act,
    Behaviour,
    asked_for,
    behaviour_from,
    drawn,
    fraction,
)
from postfleet_sandbox.ledger import Record

_ACCOUNT = Behaviour(acts=(Act.DELIVER,))
_AFTER_OPENING = {Act.CLICK: 0.15, Act.UNSUBSCRIBE: 0.2, Act.REPLY: 0.3}
"""How long after opening a mail, in parts of the time that it took to open it."""


class People:
    """Everybody that mail can be sent to."""

    def __init__(
        self,
        seed: int,
        people_domain: str,
        human_delay_ms: tuple[int, int],
        machine_delay_ms: tuple[int, int],
        accounts: Container[str],
    ) -> None:
        self._seed = seed
        self._people_domain = people_domain
        self._human_delay_ms = human_delay_ms
        self._machine_delay_ms = machine_delay_ms
        self._accounts = accounts
        self._scripts: dict[str, Behaviour] = {}
        self._misbehaved: Counter[str] = Counter()
        self._done_once: set[tuple[str, ...]] = set()

    def behaviour_of(self, address: str) -> Behaviour:
        """Return the behaviour that the next mail to `address` (lower case) will meet."""
        scripted = self._scripts.get(address)
        if scripted is not None:
            return scripted
        if address in self._accounts:
            return _ACCOUNT
        return NAMED[asked_for(address, self._people_domain) or drawn(self._seed, address)]

    def misbehaves(self, address: str, behaviour: Behaviour) -> bool:
        """Say whether the replies or the drop of `behaviour` still apply to `address`."""
        return not behaviour.times or self._misbehaved[address] < behaviour.times

    def plan(self, recipient: str, sender: str, now: int) -> dict[str, int]:
        """Return when (epoch ms) the recipient does what about a mail accepted at `now`."""
        acts = list(self.behaviour_of(recipient).acts)
        if recipient in self._accounts and Act.DELIVER not in acts:
            acts.append(Act.DELIVER)
        due: dict[str, int] = {}
        hesitation = self._between(self._human_delay_ms, recipient, "opening", str(now))
        for act in acts:
            if self._once_key(act, recipient, sender) in self._done_once:
                continue
            if act is Act.DELIVER:
                due[act] = now
            elif act is Act.HUMAN_OPEN:
                due[act] = now + hesitation
            elif act in _AFTER_OPENING:
                due[act] = now + int(hesitation * (1 + _AFTER_OPENING[act]))
            else:
                due[act] = now + self._between(self._machine_delay_ms, recipient, act)
        return due

    def read(self, record: Record) -> None:
        """Remember one record of the ledger."""
        recipient = record.recipient
        if record.kind == ledger.SCRIPTED:
            self._scripts[recipient] = behaviour_from(record.detail)
            self._misbehaved.pop(recipient, None)
        elif record.kind == ledger.ACCEPTED:
            self._misbehaved[recipient] += bool(record.detail.get("withheld"))
            keys = (
                self._once_key(Act(act), recipient, record.sender)
                for act in record.detail.get("acts", ())
            )
            self._done_once.update(key for key in keys if key)
        elif record.kind in (ledger.REJECTED, ledger.DEFERRED, ledger.DROPPED):
            self._misbehaved[recipient] += 1

    def _between(self, span_ms: tuple[int, int], *parts: str) -> int:
        low, high = span_ms
        return low + int((high - low) * fraction(self._seed, *parts))

    @staticmethod
    def _once_key(act: Act, recipient: str, sender: str) -> tuple[str, ...]:
        if act in ONCE_PER_PERSON:
            return (act, recipient)
        return (act, recipient, sender) if act in ONCE_PER_SENDER else ()
