"""Which mailboxes this replica watches: leases are claimed, renewed, and given back at the end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from pymongo.errors import PyMongoError

from inbox_watcher import metrics
from inbox_watcher.domain.mailbox import Mailbox, share_of
from inbox_watcher.mailbox_store import Look, MailboxStore
from inbox_watcher.replica_store import ReplicaStore
from inbox_watcher.settings import Settings
from inbox_watcher.watching import Tools, Watch
from postfleet.instants import now_ms
from postfleet.tasks import end

log = logging.getLogger(__name__)

_TICK = 1.0  # seconds between claims
_ASK_EVERY = 2.0  # seconds; a mail in doubt waits longer than that for its copy
_STATES = ("connecting", "watching", "failing")


class Leases:
    """Runs a Watch for each mailbox whose lease is ours. A lease ends by itself when we die.

    Each replica takes its share and gives back what is more, so that a new one gets work too. A
    mailbox that nobody takes for a whole lease is taken beyond the share.
    """

    def __init__(
        self,
        owner: str,
        store: MailboxStore,
        replicas: ReplicaStore,
        tools: Tools,
        settings: Settings,
    ) -> None:
        self._owner = owner
        self._store = store
        self._replicas = replicas
        self._wanted = 0  # mailboxes of the whole fleet, as they were counted last
        self._tools = tools
        self._settings = settings
        self._watches: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._noted: dict[str, Look] = {}  # as they were last written
        self._asked = 0.0
        self._renewed = time.monotonic()

    @property
    def lease_ms(self) -> int:
        return int(self._settings.lease_seconds * 1000)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="leases")

    async def stop(self) -> None:
        """End all watches and give their mailboxes back."""
        await end(self._task)
        held = list(self._watches)
        await self._end(held)
        try:
            await self._store.release(self._owner, held, now_ms())
            await self._replicas.leave(self._owner, now_ms())
        except PyMongoError as error:
            log.warning("leases end by themselves: %s", error)

    def wake(self) -> None:
        """A sender changed: look at the leases now."""
        self._wake.set()

    def healthy(self) -> bool:
        """Leases are being renewed."""
        return time.monotonic() - self._renewed < self._settings.lease_seconds

    async def _run(self) -> None:
        while True:
            changed = self._wake.is_set()
            self._wake.clear()
            try:
                renewal_due = time.monotonic() - self._renewed > self._settings.lease_seconds / 3
                if renewal_due or changed or not self._wanted:
                    await self._renew()
                await self._claim()
                await self._note_changes()
                await self._ask()
            except PyMongoError as error:
                log.warning("leases: %s", error)
            if not self.healthy():
                await self._end(list(self._watches))  # they may be another's by now
            self._measure()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._wake.wait()

    async def _renew(self) -> None:
        started = time.monotonic()
        await self._note(lambda look, noted: look == noted)
        await self._replicas.beat(self._owner, now_ms() + self.lease_ms)
        self._wanted = await self._store.wanted()
        held = await self._store.renew(self._owner, now_ms() + self.lease_ms)
        self._renewed = started
        gone = [id_ for id_ in self._watches if id_ not in held]
        changed = await self._store.those([id_ for id_ in held if self._is_other(id_, held[id_])])
        await self._end([*gone, *(m.sender_id for m in changed if self._is_elsewhere(m))])
        await self._store.release(self._owner, gone, now_ms())
        for mailbox in changed:
            self._begin(mailbox)
        await self._give_back()

    async def _give_back(self) -> None:
        """A few of those above our share, so that other replicas can take them up."""
        share = await self._share()
        self._tools.pace.held = max(share, len(self._watches))
        surplus = len(self._watches) - share
        given = list(self._watches)[: max(0, min(surplus, self._settings.connects_per_second))]
        await self._end(given)
        await self._store.release(self._owner, given, now_ms())

    async def _share(self) -> int:
        alive = await self._replicas.alive(now_ms())
        return share_of(self._wanted, alive, self._settings.max_mailboxes)

    async def _note_changes(self) -> None:
        """Trouble, and its end, are written at once; when it was looked at, with the renewals."""
        await self._note(lambda look, noted: (look.state, look.error) == (noted.state, noted.error))

    async def _note(self, known: Callable[[Look, Look], bool]) -> None:
        looks = {id_: watch.look for id_, (watch, _) in self._watches.items()}
        new = {
            id_: look
            for id_, look in looks.items()
            if id_ not in self._noted or not known(look, self._noted[id_])
        }
        await self._store.note(self._owner, new)
        self._noted.update(new)

    def _is_other(self, sender_id: str, revision: int) -> bool:
        """It is not watched as it is now: new, another revision, or its watch has ended."""
        known = self._watches.get(sender_id)
        return known is None or known[0].mailbox.revision != revision or known[1].done()

    def _is_elsewhere(self, mailbox: Mailbox) -> bool:
        """The sender's server or user changed, or its watch ended although the lease is ours."""
        known = self._watches.get(mailbox.sender_id)
        if known is None:
            return False
        watch, task = known
        if task.done() or not watch.mailbox.is_at(mailbox):
            return True
        watch.mailbox = mailbox
        return False

    async def _claim(self) -> None:
        now, held = now_ms(), len(self._watches)
        if held >= self._wanted:
            return  # all there are
        room = await self._share() - held
        unclaimed_since = now if room > 0 else now - self.lease_ms
        limit = min(
            room if room > 0 else self._settings.max_mailboxes - held,
            self._settings.connects_per_second,
        )
        if limit <= 0:
            return
        until = now + self.lease_ms
        for mailbox in await self._store.claim(self._owner, unclaimed_since, until, limit):
            self._begin(mailbox)

    async def _ask(self) -> None:
        """Have the watches look for the mails of their senders whose outcome is unknown."""
        if time.monotonic() - self._asked < _ASK_EVERY:
            return
        self._asked = time.monotonic()
        watching = [id_ for id_, (w, _) in self._watches.items() if w.look.state == "watching"]
        if watching:
            for question in await self._tools.evidence.questions.due(now_ms(), watching):
                self._watches[question.mail.sender_id][0].ask(question)

    def _begin(self, mailbox: Mailbox) -> None:
        if mailbox.sender_id in self._watches:
            return
        watch = Watch(mailbox, self._tools)
        task = asyncio.create_task(watch.run(), name=f"watch {mailbox.sender_id}")
        task.add_done_callback(_report)
        self._watches[mailbox.sender_id] = (watch, task)

    async def _end(self, sender_ids: list[str]) -> None:
        tasks = [self._watches.pop(id_)[1] for id_ in sender_ids if id_ in self._watches]
        for sender_id in sender_ids:
            self._noted.pop(sender_id, None)
        await end(*tasks)

    def _measure(self) -> None:
        looks = [watch.look for watch, _ in self._watches.values()]
        for state in _STATES:
            metrics.mailboxes.labels(state).set(sum(1 for look in looks if look.state == state))
        oldest = min((look.looked_at for look in looks if look.looked_at), default=now_ms())
        metrics.lag.set(max(0, now_ms() - oldest) / 1000)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("%s ended: %r", task.get_name(), error, exc_info=error)
