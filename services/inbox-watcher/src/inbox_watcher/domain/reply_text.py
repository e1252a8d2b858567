"""The words a human wrote in a reply: without quoted history, without signature.

Top-, bottom- and inline-posted replies; the phrases are in `tables/quoting.py`. Where it is not
clear what is new, text is kept: an operator reads too much rather than too little.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import re

from inbox_watcher.domain.tables import quoting
from postfleet.phrases import lowered, phrases

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
_HEADER_FIRST = frozenset(quoting.HEADER_FIRST.split(","))
_HEADER = _HEADER_FIRST | frozenset(quoting.HEADER_NEXT.split(","))
_DEVICE = phrases("|".join(rf"(?:{one})$" for one in quoting.DEVICE_SIGNATURES))
_DEVICE_LAST = phrases("|".join(rf"(?:{one})$" for one in quoting.DEVICE_SIGNATURES_LAST))
_MAX_BEFORE_DEVICE = 30  # characters
_COLONS = (":", "：")
_SAYING = ("this line", "dieser linie")  # a separator in words
_MAX_ATTRIBUTION_LINES = 3
_MAX_ATTRIBUTION = 400  # characters
_SIGNATURE_LINES = 100  # so far from the end a signature is looked for
_MAX_FIELD = 60  # characters before a colon that may be a field's name
_MAX_LINE = 1000  # a longer line is prose, not a marker


def new_text(text: str) -> str:
    """What is new in the reply; "" if there is nothing but history."""
    visible = text if text.isascii() else _INVISIBLE.sub("", text)
    lines = [line.rstrip() for line in visible.split("\n")[:MAX_LINES]]
    marked = _marked(lines)
    ends = [line.endswith(_COLONS) for line in lines]
    kept: list[str] = []
    index = 0
    while index < len(lines):
        if marked[index] and _starts_original(lines, index):
            kept = _without_address(kept)
            break
        nearly = True in ends[index : index + _MAX_ATTRIBUTION_LINES]
        size = _attribution_size(lines, index) if nearly else 0
        if size:
            index += size
            if _only_history_below(kept, lines[index:]):
                break
            continue
        if not lines[index].lstrip().startswith(">"):
            kept.append(lines[index])
        index += 1
    return _tidy(_without_signature(kept))


def _marked(lines: list[str]) -> list[bool]:
    """Whether a line has what those have that begin the history; most have not."""
    marked = [":" in line or "：" in line or line.lstrip()[:1] in _RULES for line in lines]
    whole = "\n".join(lines).lower()
    if any(words in whole for words in _SAYING):
        return [mark or _says(line) for mark, line in zip(marked, lines, strict=True)]
    return marked


def _says(line: str) -> bool:
    low = line.lower()
    return any(words in low for words in _SAYING)


def _only_history_below(kept: list[str], below: list[str]) -> bool:
    """Some clients do not mark what they quote: below such an introduction nothing is new."""
    return any(kept) and not any(line.lstrip().startswith(">") for line in below)


def _attribution_size(lines: list[str], start: int) -> int:
    """How many lines the "On …, X wrote:" takes that begins here; 0 if none does."""
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
        return line.strip("_ ") != "" or any(_field(text) in _HEADER_FIRST for text in below)
    if _field(line) not in _HEADER:
        return False
    fields = [name for text in lines[index : index + 6] if (name := _field(text)) in _HEADER]
    return len(fields) >= 3 and not _HEADER_FIRST.isdisjoint(fields)


def _field(line: str) -> str:
    """The name before the first colon, in small letters, without the stars of bold type."""
    head = line.partition("：")[0].partition(":")[0]
    if len(head) == len(line) or len(head) > _MAX_FIELD:
        return ""
    return head.strip().strip("*").rstrip().lower()


def _without_address(kept: list[str]) -> list[str]:
    """Foxmail writes the author's address alone above the history."""
    end = len(kept)
    while end and not kept[end - 1].strip():
        end -= 1
    alone = end > 2 and not kept[end - 2].strip() and _ALONE.match(kept[end - 1])
    return kept[: end - 1] if alone else kept


def _may_separate(line: str) -> bool:
    """Every separator has something of this; most lines have not, and that is quick to see."""
    return line.endswith(_COLONS) or line.lstrip()[:1] in _RULES or _says(line)


def _without_signature(lines: list[str]) -> list[str]:
    for index in range(max(0, len(lines) - _SIGNATURE_LINES), len(lines)):
        line = lines[index]
        device = _is_of_a_device(line)
        if device or line in ("--", "-- "):
            rest = [text for text in lines[index + 1 :] if text.strip()]
            if any(text.strip() for text in lines[:index]) and len(rest) <= 15:
                return lines[:index]
            if device:
                return lines[:index] + _without_signature(lines[index + 1 :])
    return lines


def _is_of_a_device(line: str) -> bool:
    low = lowered(line.lstrip()[:300])
    if _DEVICE.match(low):
        return True
    last = _DEVICE_LAST.search(low)
    return last is not None and last.start() <= _MAX_BEFORE_DEVICE


def _tidy(lines: list[str]) -> str:
    text = re.sub(r"\n\n\n+", "\n\n", "\n".join(lines)).strip()
    return text[:MAX_REPLY]
