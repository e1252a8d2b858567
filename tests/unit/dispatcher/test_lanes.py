"""Lanes and partitions: every job has one durable, and every version agrees which."""

from collections import Counter

import pytest

from dispatcher.domain.lanes import CAMPAIGN, TRANSACTIONAL, lane_of, partition_of, subject_of
from dispatcher.domain.ledger import Batch, Item, Origin
from dispatcher.store.batches import job
from postfleet.topology import DURABLES, JOB_LANES, JOB_PARTITIONS, JOBS


@pytest.mark.parametrize(
    ("category", "lane"),
    [
        pytest.param("campaign", CAMPAIGN, id="a campaign's mail waits for the others"),
        pytest.param("transactional", TRANSACTIONAL, id="a mail that somebody waits for"),
        pytest.param("relay", TRANSACTIONAL, id="a mail handed in over SMTP"),
    ],
)
def test_the_category_decides_the_lane(category: str, lane: str) -> None:
    assert lane_of(category) == lane


@pytest.mark.parametrize(
    ("sender_id", "partition"),
    [
        pytest.param("s1", 0, id="s1"),
        pytest.param("", 0, id="none"),
        pytest.param("snd_ü", 3, id="beyond ASCII"),
    ],
)
def test_a_senders_partition_never_changes(sender_id: str, partition: int) -> None:
    """Replicas of two versions run side by side during an upgrade."""
    assert partition_of(sender_id) == partition


def test_senders_are_spread_over_all_partitions() -> None:
    spread = Counter(partition_of(f"snd_{n}") for n in range(1600))
    assert set(spread) == set(range(JOB_PARTITIONS))
    assert max(spread.values()) < 200


def test_each_lane_and_partition_has_one_durable_that_hears_nothing_else() -> None:
    heard = Counter(s for d in DURABLES if d.stream == JOBS.name for s in d.subjects)
    assert set(heard.values()) == {1}
    subjects = {
        subject_of(Origin("", 0, "", f"snd_{n}", category))
        for n in range(1600)
        for category in ("campaign", "transactional")
    }
    assert heard.keys() == subjects | {"job.send"}
    assert len(subjects) == len(JOB_LANES) * JOB_PARTITIONS


def test_a_job_goes_to_the_subject_of_its_lane_and_sender() -> None:
    batch = Batch("b1", Origin("c1", 0, "a", "s1", "campaign"), (Item("d", "l", "a@b.test"),), 1)
    assert job(batch).subject == "job.send.campaign.00"
