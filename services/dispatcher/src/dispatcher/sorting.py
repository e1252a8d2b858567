"""Jobs without a lane, as older versions made them, go into theirs: an upgrade leaves none behind."""

import logging

from nats.aio.msg import Msg

from dispatcher.store.batches import batch_of, job
from postfleet.bus import Bus

log = logging.getLogger(__name__)

UNSORTED = "dispatcher-jobs"
_RETRY_SECONDS = 5.0


async def sort_jobs(bus: Bus, messages: list[Msg]) -> None:
    """A job is acked when it is in its lane; a second copy of it there changes nothing."""
    jobs = {}
    for message in messages:
        try:
            batch = batch_of(message.data)
        except ValueError as error:
            await bus.bury(UNSORTED, message, str(error))
            continue
        moved = job(batch, f"-moved{message.metadata.sequence.stream}")
        jobs[moved.id] = (moved, message)
    failed = await bus.put(moved for moved, _ in jobs.values())
    for id_, (_, message) in jobs.items():
        if id_ in failed:
            log.warning("a job is moved into its lane later: %s", failed[id_])
            await message.nak(delay=_RETRY_SECONDS)
        else:
            await message.ack()
