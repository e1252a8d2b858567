"""The demo's lead file."""

import csv
import io
import subprocess
import sys

import pytest

from postfleet_sandbox.behaviours import SHARES, drawn
from postfleet_sandbox.leads import COLUMNS, demo_leads


def rows_of(csv_bytes: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_bytes.decode(), newline="")))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_file_holds_what_the_answer_says(seed: int) -> None:
    leads = demo_leads(seed, 200)
    rows = rows_of(leads.csv_bytes)
    assert len(rows) == 200
    assert tuple(rows[0]) == COLUMNS
    personal = [row for row in rows if row["email"] in leads.valid]
    assert all(row[column] for row in personal for column in COLUMNS)
    assert len(leads.valid) + len(leads.malformed) + len(leads.duplicates) == 200
    assert len({email.lower() for email in leads.valid}) == len(leads.valid)
    emails = [row["email"] for row in rows]
    assert sorted([*leads.valid, *leads.malformed, *leads.duplicates]) == sorted(emails)


def test_duplicates_come_after_their_first_row_and_differ_in_case() -> None:
    leads = demo_leads(1, 200)
    emails = [row["email"] for row in rows_of(leads.csv_bytes)]
    lowered = [email.lower() for email in emails]
    assert len(leads.duplicates) == 10
    assert any(email != email.lower() for email in leads.duplicates)
    for email in leads.duplicates:
        first, second = [at for at, other in enumerate(lowered) if other == email.lower()]
        assert emails[first] in leads.valid
        assert second > first


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_behaviour_occurs_and_few_bounce(seed: int) -> None:
    leads = demo_leads(seed, 200)
    assert leads.behaviours.keys() == SHARES.keys()
    assert min(leads.behaviours.values()) >= 2
    assert leads.behaviours["reply"] >= 10
    bouncing = leads.behaviours["bounce"] + leads.behaviours["dsn"]
    assert bouncing / len(leads.valid) < 0.05


def test_bounces_are_spread_so_that_no_beginning_of_the_file_looks_bad() -> None:
    leads = demo_leads(1, 200)
    bounced = 0
    for sent, email in enumerate(leads.valid, start=1):
        bounced += drawn(1, email) in ("bounce", "dsn")
        assert bounced / max(sent, 20) <= 0.05


def test_the_same_seed_makes_the_same_file_also_from_the_command_line() -> None:
    command = [sys.executable, "-m", "postfleet_sandbox.leads", "--rows", "50", "--seed", "9"]
    printed = subprocess.run(command, check=True, capture_output=True).stdout
    assert printed == demo_leads(9, 50).csv_bytes
    assert printed != demo_leads(8, 50).csv_bytes
