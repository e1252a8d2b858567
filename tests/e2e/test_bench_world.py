"""The world of the end-to-end bench: a campaign over HTTP is counted on the stream, database or stub."""

import pytest

from tests.bench.end_to_end import run_campaign
from tests.bench.sink import Sink


@pytest.mark.parametrize("database", [True, False], ids=["embedded database", "stubbed database"])
def test_a_campaign_from_http_to_its_last_email_sent_is_measured(database: bool) -> None:
    if reason := Sink.missing():
        pytest.skip(reason)
    campaign = run_campaign(60, database=database)
    assert campaign.leads == 60
    assert campaign.seconds > 0
    assert campaign.cpu["dispatcher"] > 0
    assert ("database" in campaign.cpu) is database
    assert campaign.peak_rss_mib["dispatcher"] > 10
