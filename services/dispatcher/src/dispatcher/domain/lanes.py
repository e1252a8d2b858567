"""Which jobs wait behind which: two lanes, so that no mail of its own stands behind a campaign, and
partitions by sender, so that all jobs of one sender are one worker process' work."""

import zlib

from dispatcher.domain.ledger import Origin
from postfleet.topology import JOB_PARTITIONS, job_subject

TRANSACTIONAL, CAMPAIGN = "transactional", "campaign"


def lane_of(category: str) -> str:
    """By the mail's category: what is no campaign is waited for by somebody."""
    return CAMPAIGN if category == "campaign" else TRANSACTIONAL


def partition_of(sender_id: str) -> int:
    """The same in every process and version: replicas of both may run side by side."""
    return zlib.crc32(sender_id.encode()) % JOB_PARTITIONS


def subject_of(origin: Origin) -> str:
    return job_subject(lane_of(origin.category), partition_of(origin.sender_id))
