"""What a mailbox does with its mail by itself: answers of absence, forwarding, moves to folders.

The wish is written as one Sieve script (RFC 5228) of our own name. Its first line carries a digest and
its second the wish itself, so that the script on the mail server is the only truth: one that was edited
by hand is known as such and never replaced.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

NAME = "postfleet"  # of our script; webmail programs keep their own beside it
_MARK = "# Postfleet wrote this; change it with `postfleet filters`. sha256="
_WISH = "# "


@dataclass(frozen=True, slots=True)
class Vacation:
    """An answer that is given to each person once in `days` (RFC 5230)."""

    text: str
    subject: str = ""  # "": the server's, made from the mail's own
    days: int = 7
    addresses: tuple[str, ...] = ()  # further ones of this person: mail to them is answered too
    first_day: date | None = None
    last_day: date | None = None
    utc_offset: str = "+0000"  # in whose days the two are meant


@dataclass(frozen=True, slots=True)
class Condition:
    header: str
    text: str
    match: str = "contains"  # or `is`, `matches` (with * and ?)


@dataclass(frozen=True, slots=True)
class Rule:
    """For mail that meets every condition, or for all mail if there is none."""

    conditions: tuple[Condition, ...] = ()
    move_to: str = ""
    forward_to: tuple[str, ...] = ()
    keep: bool = True  # whether a forwarded mail stays here as well
    stop: bool = False  # whether the rules below and the vacation are left out


@dataclass(frozen=True, slots=True)
class Filters:
    rules: tuple[Rule, ...] = ()
    vacation: Vacation | None = None
    runs_first: str = ""  # a script of a person's, run before these rules

    @property
    def forwards(self) -> frozenset[str]:
        """Every address that some mail may be forwarded to."""
        return frozenset(target for rule in self.rules for target in rule.forward_to)


def script(filters: Filters) -> str:
    """The whole script. Raises nothing: texts are quoted, whatever is in them."""
    body = "\n".join([_WISH + _as_json(filters), *_require(filters), *_commands(filters), ""])
    return f"{_MARK}{_digest(body)}\n{body}"


def is_ours(text: str) -> bool:
    """Whether a script is as we wrote it, to the byte (line ends aside)."""
    first, _, body = _unix(text).partition("\n")
    return first == _MARK + _digest(body)


def parsed(text: str) -> Filters:
    """The wish that a script of ours carries. Raises ValueError if the script is not ours."""
    if not is_ours(text):
        raise ValueError("not a script of ours")
    wish = json.loads(_unix(text).split("\n")[1].removeprefix(_WISH))
    return from_json(wish)


def as_json(filters: Filters) -> dict[str, Any]:
    """The wish in JSON's own types; `from_json` reads it back."""
    wish = asdict(filters)
    if filters.vacation:
        for day in ("first_day", "last_day"):
            value: date | None = getattr(filters.vacation, day)
            wish["vacation"][day] = value.isoformat() if value else None
    return wish


def from_json(wish: dict[str, Any]) -> Filters:
    """Raises KeyError, TypeError or ValueError on what `as_json` never wrote."""
    rules = tuple(
        Rule(
            tuple(Condition(**condition) for condition in rule.pop("conditions")),
            forward_to=tuple(rule.pop("forward_to")),
            **rule,
        )
        for rule in wish["rules"]
    )
    vacation = wish["vacation"]
    if vacation is not None:
        days = {
            name: date.fromisoformat(vacation[name]) if vacation[name] else None
            for name in ("first_day", "last_day")
        }
        vacation = Vacation(**{**vacation, **days, "addresses": tuple(vacation["addresses"])})
    return Filters(rules, vacation, wish["runs_first"])


def quoted(text: str) -> str:
    """A quoted string (RFC 5228 §2.4.2): only the backslash and the quote mean something in it."""
    unix = _unix(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{unix}"'


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _digest(body: str) -> str:
    return hashlib.sha256(body.rstrip("\n").encode()).hexdigest()


def _as_json(filters: Filters) -> str:
    return json.dumps(as_json(filters), separators=(",", ":"), sort_keys=True)  # one ASCII line


def _list(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(quoted, texts)) + "]"


def _require(filters: Filters) -> list[str]:
    """The extensions in use: a server that lacks one refuses the script and names it."""
    needed = {
        "fileinto": any(rule.move_to for rule in filters.rules),
        "mailbox": any(rule.move_to for rule in filters.rules),
        "copy": any(rule.forward_to for rule in filters.rules),
        "vacation": filters.vacation is not None,
        "include": bool(filters.runs_first),
    }
    dated = filters.vacation and (filters.vacation.first_day or filters.vacation.last_day)
    needed |= {"date": bool(dated), "relational": bool(dated)}
    names = tuple(name for name, wanted in needed.items() if wanted)
    return [f"require {_list(names)};"] if names else []


def _commands(filters: Filters) -> list[str]:
    lines = []
    if filters.runs_first:
        lines.append(f"include :personal :optional {quoted(filters.runs_first)};")
    for rule in filters.rules:
        lines += _rule(rule)
    return [*lines, *_vacation(filters.vacation)] if filters.vacation else lines


def _rule(rule: Rule) -> list[str]:
    tests = [
        f"header :{each.match} {quoted(each.header)} {quoted(each.text)}"
        for each in rule.conditions
    ]
    return [f"if allof ({', '.join(tests or ['true'])}) {{", *_actions(rule), "}"]


def _actions(rule: Rule) -> list[str]:
    lines = []
    if rule.move_to:
        lines.append(f"    fileinto :create {quoted(rule.move_to)};")
    for number, target in enumerate(rule.forward_to):
        # redirect ends the implicit keep: only the last may, and only where nothing shall stay
        last = number == len(rule.forward_to) - 1
        copied = "" if last and not rule.keep and not rule.move_to else ":copy "
        lines.append(f"    redirect {copied}{quoted(target)};")
    return [*lines, "    stop;"] if rule.stop else lines


def _vacation(vacation: Vacation) -> list[str]:
    words = ["vacation", f":days {vacation.days}"]
    if vacation.subject:
        words.append(f":subject {quoted(vacation.subject)}")
    if vacation.addresses:
        words.append(f":addresses {_list(vacation.addresses)}")
    answer = f"{' '.join(words)} {quoted(vacation.text)};"
    zone = quoted(vacation.utc_offset)
    limits = (("ge", vacation.first_day), ("le", vacation.last_day))
    tests = [
        f'currentdate :zone {zone} :value "{limit}" "date" "{day.isoformat()}"'
        for limit, day in limits
        if day
    ]
    return [f"if allof ({', '.join(tests)}) {{", f"    {answer}", "}"] if tests else [answer]
