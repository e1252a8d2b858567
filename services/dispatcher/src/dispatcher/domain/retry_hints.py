"""When a server wants the mail again: what it says in words, as seconds. Data and its sources.

RFC 5321 has no field for it (§4.5.4.1 leaves the strategy to the client), so servers write it into
the text. Greylisting (RFC 6647 §4) nearly always does.
"""

import re
from dataclasses import dataclass

from postfleet.smtp import SmtpReply

LONGEST_SECONDS = 24 * 3600.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(?P<unit>s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|days?)\b"
_NUMBER = r"(?P<number>\d{1,6})"


@dataclass(frozen=True, slots=True)
class _Rule:
    """`pattern` has the groups `number` and `unit`, or `clock`, or stands for `seconds` itself."""

    pattern: str
    seconds: float = 0


_RULES = (
    # milter-greylist: "451 4.7.1 Greylisting in action, please come back in 00:14:48"
    _Rule(r"(?:come back|try again|retry)[^.\d]{0,30}(?P<clock>\d{1,2}:\d\d:\d\d)"),
    # "Retry-After: 120" (RFC 9110 §10.2.3, by gateways in front of HTTP APIs), "retry-after=120"
    _Rule(rf"retry[- ]after[ :=]{{1,3}}{_NUMBER}(?: ?{_UNIT})?"),
    # sqlgrey "Greylisted for 5 minutes", policyd "greylisted for 300 seconds"
    _Rule(rf"gr[ae]y-?list\w*[^.\d]{{0,40}}(?:for|in|after) {_NUMBER} ?{_UNIT}"),
    # postgrey (--greylist-text "… %s seconds"), Exim greylistd, rspamd, gross, Rackspace:
    # "try again in 300 seconds", "please retry in 15 minutes", "try again after 5 min"
    _Rule(
        rf"(?:try|retry|resend|come back|deliver\w*|connect\w*)[^.\d]{{0,40}}"
        rf"(?:in|after|within|for) (?:another |about |at least )?{_NUMBER} ?{_UNIT}"
    ),
    # "wait 10 minutes", "blocked for 1 hour", "suspended for 30 min" (Exim ratelimit ACLs, cPanel)
    _Rule(rf"(?:wait|blocked|suspended|limited|deferred)[^.\d]{{0,30}}{_NUMBER} ?{_UNIT}"),
    # Google 5.4.5: "Daily user sending limit exceeded": resets within 24 hours
    # (support.google.com/a/answer/166852)
    _Rule(r"daily (?:\w+ ){0,2}(?:sending )?(?:limit|quota)[^.]{0,20}exceed", 24 * 3600),
    # cPanel/Exim: "has exceeded the max emails per hour (50/50 (100%)) allowed"
    _Rule(r"(?:max\w* )?(?:defers and failures |e?mails |messages )per hour", 3600),
    # Yahoo [TSS04]/[TS01] "temporarily deferred due to user complaints": wait 4 hours
    # (senders.yahooinc.com/smtp-error-codes)
    _Rule(r"\[TSS?0[1-4]\]", 4 * 3600),
)
_COMPILED = tuple((re.compile(rule.pattern, re.IGNORECASE), rule.seconds) for rule in _RULES)


def hint_seconds(reply: SmtpReply | None) -> float | None:
    """How long the server asks to wait: above 0, at most a day. None if it does not say."""
    if reply is None:
        return None
    text = reply.text[:2000].replace("\n", " ")
    for pattern, seconds in _COMPILED:
        found = pattern.search(text)
        if found:
            asked = seconds or _seconds(found.groupdict())
            return min(asked, LONGEST_SECONDS) if asked > 0 else None
    return None


def _seconds(groups: dict[str, str | None]) -> float:
    if clock := groups.get("clock"):
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return hours * 3600.0 + minutes * 60 + seconds
    unit = (groups.get("unit") or "s")[0].lower()
    return int(groups["number"] or 0) * _UNITS[unit]
