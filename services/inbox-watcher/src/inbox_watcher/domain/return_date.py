"""When somebody who is away is back, as far as an automatic reply tells."""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import re
from datetime import date, timedelta

from inbox_watcher.domain.tables import calendar
from postfleet.phrases import lowered, phrases

MAX_TEXT = 4000
_LONGEST_ABSENCE = timedelta(days=730)

_MONTH = {name: number for number, names in enumerate(calendar.MONTHS, 1) for name in names}
_WORD = re.compile(r"[^\W\d]{1,12}\.?,?[ \t]+")
_DATES = (
    re.compile(r"(?P<year>20\d\d)[-./](?P<month>\d{1,2})[-./](?P<day>\d{1,2})\b"),
    re.compile(
        r"(?:(?P<year>20\d\d) ?[年년] ?)?(?P<month>\d{1,2}) ?[月월] ?(?P<day>\d{1,2}) ?[日일]"
    ),
    re.compile(
        r"(?P<first>\d{1,2})(?P<mark>[./-]) ?(?P<second>\d{1,2})(?:[./-] ?(?P<year>20\d\d|\d\d)\b)?"
    ),
    re.compile(
        r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.|º|ª|-[ае]?г?о)?[ \t]+(?:of |de |d['’])?"
        r"(?P<name>[^\W\d]{3,12})\.?,?(?:[ \t]+(?:de |del )?(?P<year>\d{4}))?"
    ),
    re.compile(
        r"(?P<name>[^\W\d]{3,12})\.?[ \t]+(?P<day>\d{1,2})(?:st|nd|rd|th)?\b(?:,?[ \t]+(?P<year>\d{4}))?"
    ),
)
_UNTIL = phrases(
    rf"(?<!\w)(?:{calendar.UNTIL})(?!\w)[ \t:]*(?:the |le |el |il |den |dem |dia |am |on )?"
)
_MARK = re.compile(r"まで|迄|至|까지|之后|以前|asti|saakka|tarihine|-ig")  # behind a date
_BEFORE_MARK = re.compile(rf"[ \t]{{0,2}}(?:\([^\n)]{{1,5}}\))?[ \t]{{0,2}}(?:{_MARK.pattern})")


def return_date(text: str, sent: date | None) -> date | None:
    """The first day that the text names as the end of the absence. `sent` supplies a missing year."""
    words = text[:MAX_TEXT]
    for mark in _UNTIL.finditer(lowered(words)):
        if found := _date_at(words, mark.end(), sent):
            return found
    for pattern in _DATES if _MARK.search(words) else ():
        for match in pattern.finditer(words):
            if _BEFORE_MARK.match(words, match.end()) and (found := _read(match, sent)):
                return found
    return None


def _date_at(words: str, start: int, sent: date | None) -> date | None:
    """A date here, perhaps after the name of a day."""
    piece = words[start : start + 60]
    begins = [0, *(word.end() for word in _WORD.finditer(piece[:30]))]
    for begin in begins:
        for pattern in _DATES:
            match = pattern.match(piece, begin)
            if match and (found := _read(match, sent)):
                return found
    return None


def _read(match: re.Match[str], sent: date | None) -> date | None:
    parts = match.groupdict()
    if parts.get("name") is not None:
        month = _month(parts["name"])
        days = [(month, int(parts["day"]))] if month else []
    elif parts.get("first") is not None:
        first, second = int(parts["first"]), int(parts["second"])
        days = [(second, first), (first, second)]
        if parts["mark"] == "/" and second > 12:
            days.reverse()
    else:
        days = [(int(parts["month"]), int(parts["day"]))]
    year = int(parts["year"]) if parts.get("year") else None
    return next((d for month, day in days if (d := _day(year, month, day, sent))), None)


def _month(name: str) -> int | None:
    name = name.lower()
    for size in range(min(len(name), 6), 2, -1):
        if name[:size] in _MONTH:
            return _MONTH[name[:size]]
    return None


def _day(year: int | None, month: int, day: int, sent: date | None) -> date | None:
    if year is None and sent is None:
        return None
    years = [year if year >= 100 else 2000 + year] if year else _years_after(sent)
    for candidate in years:
        try:
            found = date(candidate, month, day)
        except ValueError:
            continue
        if sent is None or timedelta(0) <= found - sent <= _LONGEST_ABSENCE:
            return found
    return None


def _years_after(sent: date | None) -> list[int]:
    return [sent.year, sent.year + 1] if sent else []
