"""The words a human wrote in a reply: without quoted history, without signature.

Top-, bottom- and inline-posted replies; the phrases are in `tables/quoting.py`. Where it is not
clear what is new, text is kept: an operator reads too much rather than too little.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import re

from inbox_watcher.domain.tables import quoting

MAX_LINES = 3000
MAX_REPLY = 20_000  # characters

_VERB_LAST = re.compile(rf"(?:{quoting.ATTRIBUTION_VERBS})\s*[:：]\s*$", re.IGNORECASE)
_VERB = re.compile(rf"(?:{quoting.ATTRIBUTION_VERBS})\b.{{0,150}}[:：]\s*$", re.IGNORECASE)
_START = re.compile(rf"(?:\d{{1,4}}\b|(?:{quoting.ATTRIBUTION_STARTS})\b)", re.IGNORECASE)
_ADDRESS = re.compile(r"[<(\[][^<>()\s]{1,200}@[^<>()\s]{1,200}[>)\]]")
_ALONE = re.compile(r"\s*[\w.+-]{1,100}@[\w.-]{1,200}\s*$")
_ADDRESS_LAST = re.compile(r"[\w.+<(\[-]{1,200}@[^<>()\s]{1,200}[>)\]]?\)?\s*[:：]\s*$")
_DATED = re.compile(
    r"\b(?:19|20)\d\d\b.{0,80}\d{1,2}[:.h]\d\d|\d{1,2}[:.h]\d\d.{0,80}\b(?:19|20)\d\d\b"
    r"|\b\d{1,2}[./-] ?\d{1,2}[./-] ?\d\d\b.{1,80}\d{1,2}[:.h]\d\d"
)
_TIME_LAST = re.compile(r"\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?: ?[ap]m)?\)?\s*[:：]\s*$", re.IGNORECASE)
_QUOTING = re.compile(quoting.QUOTING, re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_DIGIT = re.compile(r"\d")
_SEPARATOR = re.compile(rf"\s*(?:{'|'.join(quoting.SEPARATORS)})\s*$", re.IGNORECASE)
_RULES = ("-", "‐", "–", "—", "_", "*")
_HEADER_FIRST = re.compile(rf"\s*{quoting.HEADER_FIRST}", re.IGNORECASE)
_HEADER_NEXT = re.compile(rf"\s*{quoting.HEADER_NEXT}", re.IGNORECASE)
_DEVICE = re.compile(rf"\s*(?:{'|'.join(quoting.DEVICE_SIGNATURES)})\s*$", re.IGNORECASE)
_COLONS = (":", "：")
_MAX_ATTRIBUTION_LINES = 3
_MAX_ATTRIBUTION = 400  # characters
_SIGNATURE_LINES = 100  # so far from the end a signature is looked for
_MAX_LINE = 1000  # a longer line is prose, not a marker


def new_text(text: str) -> str:
    """What is new in the reply; "" if there is nothing but history."""
    lines = [line.rstrip() for line in _INVISIBLE.sub("", text).split("\n")[:MAX_LINES]]
    kept: list[str] = []
    index = 0
    while index < len(lines):
        if _starts_original(lines, index):
            kept = _without_address(kept)
            break
        size = _attribution_size(lines, index)
        if size:
            index += size
            if _only_history_below(kept, lines[index:]):
                break
            continue
        if not lines[index].lstrip().startswith(">"):
            kept.append(lines[index])
        index += 1
    return _tidy(_without_signature(kept))


def _only_history_below(kept: list[str], below: list[str]) -> bool:
    """Some clients do not mark what they quote: below such an introduction nothing is new."""
    return any(kept) and not any(line.lstrip().startswith(">") for line in below)


def _attribution_size(lines: list[str], start: int) -> int:
    """How many lines the "On …, X wrote:" takes that begins here; 0 if none does."""
    if not any(line.endswith(_COLONS) for line in lines[start : start + _MAX_ATTRIBUTION_LINES]):
        return 0
    joined = ""
    for size in range(1, _MAX_ATTRIBUTION_LINES + 1):
        if start + size > len(lines):
            return 0
        line = lines[start + size - 1].strip()
        if not line or len(line) > _MAX_LINE or line[0] == ">":
            return 0
        joined = f"{joined} {line}".strip()
        if len(joined) > _MAX_ATTRIBUTION:
            return 0
        if _is_attribution(joined, lines, start + size):
            return 0 if _begins_later(lines, start, size) else size
    return 0


def _begins_later(lines: list[str], start: int, size: int) -> bool:
    """The first lines are the reply's last: the rest introduces the quote without them."""
    return any(
        _is_attribution(" ".join(line.strip() for line in rest), lines, start + size)
        for skipped in range(1, size)
        if _START.match((rest := lines[start + skipped : start + size])[0].strip())
    )


def _is_attribution(text: str, lines: list[str], following: int) -> bool:
    """Who wrote it and when; prose that merely ends in "wrote:" has no date, or no quote below."""
    if not text.endswith(_COLONS):
        return False
    dated = bool(_DIGIT.search(text))
    starts = bool(_START.match(text))
    addressed = bool(_ADDRESS.search(text))
    if _VERB_LAST.search(text[-60:]):
        return (dated and (starts or addressed)) or _next_is_quoted(lines, following)
    if _VERB.search(text[-220:]):
        timed = (starts or bool(_TIME_LAST.search(text[-30:]))) and bool(_DATED.search(text))
        return timed or (dated and addressed) or _next_is_quoted(lines, following)
    if _QUOTING.match(text):
        return addressed or _next_is_quoted(lines, following)
    if addressed and _DATED.search(text):
        return True
    return dated and bool(_ADDRESS_LAST.search(text[-260:]))


def _next_is_quoted(lines: list[str], index: int) -> bool:
    following = next((line for line in lines[index : index + 3] if line.strip()), "")
    return following.lstrip().startswith(">")


def _starts_original(lines: list[str], index: int) -> bool:
    """A separator, or the header block that Outlook writes: everything below is history."""
    line = lines[index]
    if len(line) > _MAX_LINE:
        return False
    if _may_separate(line) and _SEPARATOR.match(line):
        below = [text for text in lines[index + 1 : index + 6] if text.strip()]
        return line.strip("_ ") != "" or any(_HEADER_FIRST.match(text) for text in below)
    if not any(colon in line for colon in _COLONS):
        return False
    if not (_HEADER_FIRST.match(line) or _HEADER_NEXT.match(line)):
        return False
    block = lines[index : index + 6]
    fields = sum(1 for text in block if _HEADER_NEXT.match(text) or _HEADER_FIRST.match(text))
    return fields >= 3 and any(_HEADER_FIRST.match(text) for text in block)


def _without_address(kept: list[str]) -> list[str]:
    """Foxmail writes the author's address alone above the history."""
    end = len(kept)
    while end and not kept[end - 1].strip():
        end -= 1
    alone = end > 2 and not kept[end - 2].strip() and _ALONE.match(kept[end - 1])
    return kept[: end - 1] if alone else kept


def _may_separate(line: str) -> bool:
    """Every separator has something of this; most lines have not, and that is quick to see."""
    if line.endswith(_COLONS) or line.lstrip().startswith(_RULES):
        return True
    low = line.lower()
    return "this line" in low or "dieser linie" in low


def _without_signature(lines: list[str]) -> list[str]:
    for index in range(max(0, len(lines) - _SIGNATURE_LINES), len(lines)):
        line = lines[index]
        if line in ("--", "-- ") or _DEVICE.match(line[:300]):
            rest = [text for text in lines[index + 1 :] if text.strip()]
            if any(text.strip() for text in lines[:index]) and len(rest) <= 15:
                return lines[:index]
            if _DEVICE.match(line[:300]):
                return lines[:index] + _without_signature(lines[index + 1 :])
    return lines


def _tidy(lines: list[str]) -> str:
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return text[:MAX_REPLY]
