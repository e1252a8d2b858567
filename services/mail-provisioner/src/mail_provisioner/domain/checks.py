"""Judgements on what was found about a domain and its mail server: one function for each check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address, ip_network

from mail_provisioner.domain import mta_sts, spf
from mail_provisioner.domain.dns_plan import Standing, Step
from mail_provisioner.domain.hints import HINTS, REMOVAL
from mail_provisioner.domain.records import tags

_CERTIFICATE_MARGIN = timedelta(days=14)  # Let's Encrypt renews 30 days before the end
_LOOPBACK = ip_network("127.0.0.0/8")
_REFUSALS = ip_network("127.255.255.0/24")  # Spamhaus: public resolver, or too many questions


class CheckState(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"  # nobody answered: says nothing about the domain


@dataclass(frozen=True, slots=True)
class Check:
    """`hints` are for the operator; an OK check has none."""

    name: str
    state: CheckState
    text: str
    expected: str = ""
    found: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpfCost:
    """What evaluating a record costs (RFC 7208 §4.6.4), and what went wrong on the way."""

    lookups: int = 0
    void: int = 0
    problems: tuple[str, ...] = ()


def judged(
    name: str, state: CheckState, text: str, expected: str = "", found: Sequence[str] = ()
) -> Check:
    hints = () if state is CheckState.OK else HINTS[name]
    return Check(name, state, text, expected, tuple(found), hints)


def worst(checks: Sequence[Check]) -> CheckState:
    """One word for all of them; what is unknown is no alarm."""
    for state in (CheckState.BAD, CheckState.WARN, CheckState.UNKNOWN):
        if any(check.state is state for check in checks):
            return state
    return CheckState.OK


_RECORD_STATES = {
    Standing.PUBLISHED: (CheckState.OK, "as it should be"),
    Standing.MISSING: (CheckState.BAD, "there is no such record"),
    Standing.CHANGED: (CheckState.BAD, "not as it should be"),
    Standing.FOREIGN: (CheckState.BAD, "another record is there"),
    Standing.UNKNOWN: (CheckState.UNKNOWN, "the DNS gave no answer"),
}


def record(name: str, step: Step) -> Check:
    """MX or DKIM: whether the published record is ours."""
    state, text = _RECORD_STATES[step.standing]
    return judged(name, state, text, step.record.value, step.found)


def dmarc(step: Step) -> Check:
    """Any one valid policy is right, whoever wrote it."""
    if step.standing in (Standing.MISSING, Standing.UNKNOWN):
        return record("dmarc", step)
    expected = step.record.value
    if len(step.found) > 1:
        text = "there are several DMARC records: receivers ignore them all"
        return judged("dmarc", CheckState.BAD, text, expected, step.found)
    policy = tags(step.found[0]).get("p", "").lower()
    if policy not in ("none", "quarantine", "reject"):
        text = "the policy (p=) is missing or unknown"
        return judged("dmarc", CheckState.BAD, text, expected, step.found)
    state = CheckState.WARN if policy == "none" else CheckState.OK
    return judged("dmarc", state, f"the policy is {policy}", expected, step.found)


def mta_sts_policy(step: Step, expected: str, served: str) -> Check:
    """MTA-STS: the record is ours, and the policy that is served is the one it stands for."""
    if mta_sts.meaning(served) != mta_sts.meaning(expected):
        text = "another policy is served"
        return judged("mta_sts", CheckState.BAD, text, expected, (served[:500],))
    return record("mta_sts", step)


def sender_policy(step: Step, cost: SpfCost) -> Check:
    """SPF: one record, ours in it, within the limits on DNS lookups."""
    state, text = _spf(step, cost)
    return judged("spf", state, text, step.record.value, step.found)


def _spf(step: Step, cost: SpfCost) -> tuple[CheckState, str]:
    if step.standing in (Standing.MISSING, Standing.UNKNOWN):
        return _RECORD_STATES[step.standing]
    if len(step.found) > 1:
        return CheckState.BAD, f"there are {len(step.found)} SPF records: an error for receivers"
    if cost.problems:
        return CheckState.BAD, "; ".join(cost.problems)
    if cost.lookups > spf.MAX_LOOKUPS:
        return CheckState.BAD, f"{cost.lookups} DNS lookups, the limit is {spf.MAX_LOOKUPS}"
    if cost.void > spf.MAX_VOID_LOOKUPS:
        return CheckState.BAD, (
            f"{cost.void} names in it do not exist, the limit is {spf.MAX_VOID_LOOKUPS}"
        )
    if step.standing is not Standing.PUBLISHED:
        return CheckState.BAD, "this server is not allowed to send"
    if any(term.key in ("all", "?all") for term in spf.terms(step.found[0])):
        return CheckState.WARN, "it ends in a pass for everybody"
    return CheckState.OK, f"{cost.lookups} of {spf.MAX_LOOKUPS} DNS lookups"


def reverse_names(ehlo: str, names: Mapping[str, Sequence[str]], forward: Sequence[str]) -> Check:
    """PTR: each sending address leads to the name of the server, and that name back to it."""
    found = [f"{address} {name}" for address, given in names.items() for name in given]
    if not names:
        text = f"{ehlo} has no address: publish its A record, or set the server's addresses"
        return judged("ptr", CheckState.BAD, text, ehlo, found)
    known = {ip_address(address) for address in forward}
    for address, given in names.items():
        if not given:
            text = f"{address} has no reverse name"
        elif ehlo.lower() not in (name.lower() for name in given):
            text = f"the reverse name of {address} is not the name in EHLO"
        elif ip_address(address) not in known:
            text = f"{ehlo} does not lead back to {address}"
        else:
            continue
        return judged("ptr", CheckState.BAD, text, ehlo, found)
    return judged("ptr", CheckState.OK, "reverse and forward names agree", ehlo, found)


def block_lists(answers: Mapping[tuple[str, str], Sequence[str] | None]) -> Check:
    """DNSBL: (address, list) -> the list's codes; none if it does not know us, None if silent."""
    verdicts = {key: _listed(codes) for key, codes in answers.items()}
    listed = sorted(key for key, verdict in verdicts.items() if verdict is CheckState.BAD)
    found = [f"{address} {zone}" for address, zone in listed]
    if listed:
        links = {f"{zone}: {REMOVAL[zone]}" for _, zone in listed if zone in REMOVAL}
        check = judged("dnsbl", CheckState.BAD, "listed as a source of spam", found=found)
        return replace(check, hints=(*sorted(links), *check.hints))
    silent = sorted({zone for (_, zone), v in verdicts.items() if v is CheckState.UNKNOWN})
    if silent or not verdicts:
        text = f"no answer that can be believed from {', '.join(silent)}" if silent else "not asked"
        return judged("dnsbl", CheckState.UNKNOWN, text)
    return judged("dnsbl", CheckState.OK, f"not listed on {len({z for _, z in answers})} lists")


def _listed(codes: Sequence[str] | None) -> CheckState:
    if codes is None:
        return CheckState.UNKNOWN
    known = [ip_address(code) for code in codes]
    if not known:
        return CheckState.OK
    if any(code in _REFUSALS or code not in _LOOPBACK for code in known):
        return CheckState.UNKNOWN  # a refusal, or a resolver that lies
    return CheckState.BAD


def outbound(greetings: Mapping[str, str]) -> Check:
    """Port 25: other mail server -> how it greeted us, "" if it could not be reached."""
    found = [f"{server} {greeting or 'no answer'}" for server, greeting in greetings.items()]
    reached = sum(greeting.startswith("220") for greeting in greetings.values())
    text = f"{reached} of {len(greetings)} mail servers answered on port 25"
    state = CheckState.OK if reached else CheckState.BAD
    return judged("outbound_25", state, text, found=found)


def certificate(host: str, ends: datetime | None, problem: str, now: datetime) -> Check:
    """TLS: `ends` is when the certificate that was accepted ends, None if `problem` stopped us."""
    if ends is None:
        return judged("tls", CheckState.BAD, problem, host)
    found = [f"valid until {ends:%Y-%m-%d}"]
    if ends - now < _CERTIFICATE_MARGIN:
        text = f"the certificate ends in {(ends - now).days} days"
        return judged("tls", CheckState.WARN, text, host, found)
    return judged("tls", CheckState.OK, "trusted, and for the right name", host, found)


def degraded(before: Mapping[str, str], checks: Sequence[Check]) -> dict[str, str]:
    """Checks that were green or yellow and are red now, with what they say."""
    good = (CheckState.OK, CheckState.WARN)
    return {
        check.name: check.text
        for check in checks
        if check.state is CheckState.BAD and before.get(check.name) in good
    }


def changed_records(before: Mapping[str, str], steps: Sequence[Step]) -> tuple[str, ...]:
    """Names of records that were as they should be and are not any more."""
    return tuple(
        f"{step.record.type} {step.record.name}"
        for step in steps
        if step.standing not in (Standing.PUBLISHED, Standing.UNKNOWN)
        and before.get(standing_key(step)) == Standing.PUBLISHED
    )


def remembered(
    before: Mapping[str, str], checks: Sequence[Check], steps: Sequence[Step]
) -> dict[str, str]:
    """What to compare the next look with; where nobody answered, what was known stays."""
    seen = {check.name: check.state.value for check in checks}
    seen |= {standing_key(step): step.standing.value for step in steps}
    return {
        name: before.get(name, state) if state == CheckState.UNKNOWN else state
        for name, state in seen.items()
    }


def standing_key(step: Step) -> str:
    return f"record-{step.record.purpose}"
