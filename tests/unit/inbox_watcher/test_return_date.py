"""When somebody who is away is back."""

from datetime import date

import pytest

from inbox_watcher.domain.return_date import return_date

_SENT = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("I am away until 4 December.", "2026-12-04"),
        ("I am away from 23 Nov until Friday, 4th of December 2026.", "2026-12-04"),
        ("I will be back on January 4.", "2027-01-04"),
        ("Back on 2026-12-04.", "2026-12-04"),
        ("returning 12/14/2026", "2026-12-14"),
        ("returning 14/12/2026", "2026-12-14"),
        ("bis 4.12.26 im Urlaub", "2026-12-04"),
        ("Ich bin ab Montag, dem 7. Dezember wieder da.", "2026-12-07"),
        ("jusqu'au lundi 7 décembre inclus", "2026-12-07"),
        ("12月4日まで不在です", "2026-12-04"),
        ("I am away.", None),
        ("until the end", None),
        ("until 31 February 2027", None),
        ("until 4 December 1970", None),
        ("until 4 December 2100", None),
        ("I bought 4 December tickets.", None),
    ],
)
def test_the_day_of_return(text: str, back: str | None) -> None:
    found = return_date(text, _SENT)
    assert (found.isoformat() if found else None) == back


def test_without_a_year_and_without_a_date_of_the_mail_there_is_no_day() -> None:
    assert return_date("until 4 December", None) is None
    assert return_date("until 4 December 2026", None) == date(2026, 12, 4)
