"""What the dashboard says of a campaign in words."""

import pytest

from tracker.api.campaign_blocks import steps_table

VARIANT = {"name": "A", "subject": "Hello"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "at once"),
        (25.0, "after 25 seconds"),
        (60.0, "after 1 minute"),
        (90.0, "after 1.5 minutes"),
        (3600.0, "after 1 hour"),
        (86_400.0, "after 1 day"),
        (3 * 86_400.0, "after 3 days"),
        (36 * 3600.0, "after 1.5 days"),
    ],
)
def test_a_step_says_how_long_it_waits_as_people_do(seconds: float, said: str) -> None:
    step = {"delay": seconds, "condition": "always", "variants": [VARIANT]}
    campaign = {"id": "spring", "steps": [step], "winners": {}}
    (row,) = steps_table(campaign, {"steps": []}).rows
    assert row[1].text == said
