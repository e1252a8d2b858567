"""Makes the mails `mta-*.eml` and `vacation-*.eml` of tests/data/inbound with real mail servers.

    .ci/mail-peers .venv/mail-peers && .venv/bin/python -m tests.data.generate_from_servers

As root. Postfix, Exim and OpenSMTPD take a mail for a recipient whom the next hop refuses, keeps
waiting or takes, and what they then write to the sender is kept as it is. Dovecot's sieve answers
for people who are away, in many languages. What each of them must be understood as follows from what
was played to the server (`_CASES`), never from what our classifier says.
"""

import json
import smtplib
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sievelib.managesieve import Client

from tests.support import mailpeers
from tests.support.mailpair import MailPair
from tests.support.mailservers import exim_command, opensmtpd_command, passing_on, postfix_command
from tests.support.ports import free_ports

INBOUND = Path(__file__).parent / "inbound"
_SENDER = "max@fleet.example"
_WAIT = 40.0  # seconds for a bounce; a delay warning comes after a few

#: recipient -> reply of the next hop, and what the mail that comes back must be understood as
_CASES: dict[str, tuple[str, str, str]] = {
    "unknown": ("550 5.1.1 <{}>: Recipient address rejected: User unknown", "hard", "unknown_user"),
    "nostatus": ("550 No such user here", "hard", "unknown_user"),
    "disabled": ("550 5.2.1 The account of {} is disabled", "hard", "disabled"),
    "full": ("552 5.2.2 <{}>: user is over quota", "soft", "mailbox_full"),
    "relay": ("554 5.7.1 <{}>: Relay access denied", "policy", "relaying"),
    "big": ("552 5.3.4 Message size exceeds fixed limit", "policy", "too_large"),
    "listed": (
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        "policy",
        "reputation",
    ),
    "dmarc": (
        "550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy",
        "policy",
        "authentication",
    ),
    "content": ("550 5.7.1 Message rejected as spam", "policy", "spam"),  # after the final dot
    "german": ("550 5.1.1 Empfaenger unbekannt", "hard", "unknown_user"),
}
_LATE = "451 4.3.0 <{}>: Temporary lookup failure"


class NextHop:
    """aiosmtpd's handler: refuses by local part, keeps what comes for the sender."""

    def __init__(self) -> None:
        self.returned: list[bytes] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        local = address.partition("@")[0]
        if local == "late":
            return _LATE.format(address)
        if local in _CASES and local != "content":
            return _CASES[local][0].format(address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if _SENDER in envelope.rcpt_tos:
            content = envelope.content
            assert isinstance(content, bytes)
            self.returned.append(content)
        if any(to.startswith("content@") for to in envelope.rcpt_tos):
            return _CASES["content"][0]
        return "250 2.0.0 Ok"


def _postfix(folder: Path, port: int, next_hop: int) -> list[str]:
    command = postfix_command(folder, port, next_hop)
    settings = "delay_warning_time = 1s\nminimal_backoff_time = 1s\nqueue_run_delay = 1s\n"
    main = folder / "p" / "main.cf"
    main.write_text(main.read_text() + settings)
    return command


def _exim(folder: Path, port: int, next_hop: int) -> list[str]:
    command = exim_command(folder, port, next_hop)
    conf = folder / "exim.conf"
    settings = "delay_warning = 1s\nqualify_domain = exim.test\ndsn_advertise_hosts = *\n"
    conf.write_text(settings + conf.read_text())
    return [part.replace("-q1m", "-q2s") for part in command]


def _opensmtpd(folder: Path, port: int, next_hop: int) -> list[str]:
    command = opensmtpd_command(folder, port, next_hop)
    conf = folder / "smtpd.conf"
    conf.write_text(
        "bounce warn-interval 2s\n"
        + conf.read_text()
        + 'match from local for any action "onwards"\n'
    )
    return command


_SERVERS = {"postfix": _postfix, "exim": _exim, "opensmtpd": _opensmtpd}


def _mail(recipients: Sequence[str], id_: str) -> bytes:
    return (
        f"From: Max <{_SENDER}>\r\nTo: {', '.join(recipients)}\r\nSubject: Your question\r\n"
        f"Message-ID: <{id_}@fleet.example>\r\nDate: Mon, 02 Mar 2026 10:00:00 +0000\r\n\r\nHello\r\n"
    ).encode()


def _submit(port: int, recipients: Sequence[str], id_: str, notify: str = "") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo("fleet.example")
        options = [f"NOTIFY={notify}"] if notify and client.has_extn("dsn") else []
        client.sendmail(_SENDER, recipients, _mail(recipients, id_), rcpt_options=options)


def _wait_for(hop: NextHop, marks: Sequence[bytes], seconds: float = _WAIT) -> bytes:
    """The first returned mail that holds all marks."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for raw in hop.returned:
            if all(mark in raw for mark in marks):
                hop.returned.remove(raw)
                return raw
        time.sleep(0.1)
    raise TimeoutError(f"nothing came with {marks!r}")


def _bounces(name: str, make: Callable[[Path, int, int], list[str]]) -> list[dict[str, object]]:
    hop = NextHop()
    (hop_port,) = free_ports(1)
    controller = Controller(hop, "127.0.0.1", hop_port)
    controller.start()
    lines: list[dict[str, object]] = []
    try:
        with passing_on(make, hop_port) as (port, _):
            for case, (_, severity, category) in _CASES.items():
                address = f"{case}@people.test"
                told = {"address": address, "severity": severity, "category": category}
                _submit(port, [address], f"{name}.{case}")
                raw = _wait_for(hop, [f"{name}.{case}@fleet".encode()])
                lines.append(_keep(f"mta-{name}-{case}", raw, "bounce", [told], f"{name}.{case}"))
            lines += _several(name, port, hop)
    finally:
        controller.stop()
    return lines


def _several(name: str, port: int, hop: NextHop) -> list[dict[str, object]]:
    """Outcomes that differ, a mail that is late, and one whose sender wanted to know of success."""
    people = ["unknown@people.test", "full@people.test", "taken@people.test"]
    _submit(port, people, f"{name}.mixed")
    raw = _wait_for(hop, [f"{name}.mixed@fleet".encode(), b"unknown@", b"full@"])
    told = [
        {"address": f"{case}@people.test", "severity": _CASES[case][1], "category": _CASES[case][2]}
        for case in ("unknown", "full")
    ]
    report = raw.index(b"message/delivery-status")
    told.sort(key=lambda one: raw.index(one["address"].encode(), report))
    lines = [_keep(f"mta-{name}-mixed", raw, "bounce", told, f"{name}.mixed")]
    _submit(port, ["late@people.test"], f"{name}.late", "DELAY,FAILURE")
    raw = _wait_for(hop, [f"{name}.late@fleet".encode()])
    late = [{"address": "late@people.test", "severity": None}]
    lines.append(_keep(f"mta-{name}-delay", raw, "delay", late, f"{name}.late"))
    _submit(port, ["taken@people.test"], f"{name}.success", "SUCCESS,FAILURE")
    raw = _wait_for(hop, [f"{name}.success@fleet".encode()])
    taken = [{"address": "taken@people.test", "severity": None}]
    lines.append(_keep(f"mta-{name}-success", raw, "success", taken, f"{name}.success"))
    return lines


def _keep(
    name: str, raw: bytes, kind: str, recipients: Sequence[dict[str, object]], id_: str
) -> dict[str, object]:
    (INBOUND / f"{name}.eml").write_bytes(raw)
    return {
        "file": f"{name}.eml",
        "kind": kind,
        "recipients": list(recipients),
        "original_message_id": f"{id_}@fleet.example",
    }


#: language -> what somebody who is away lets sieve answer (RFC 5230)
_BACK = date.today().year + 1  # noqa: DTZ011 (whichever year it is where this runs)
_AWAY = {
    "de": ("Abwesend", f"Ich bin bis zum 20.03.{_BACK} nicht im Büro.", f"{_BACK}-03-20"),
    "fr": ("Absence", f"Je suis absente jusqu'au 20 mars {_BACK}.", f"{_BACK}-03-20"),
    "es": (
        "Ausencia",
        f"Estaré fuera de la oficina hasta el 20 de marzo de {_BACK}.",
        f"{_BACK}-03-20",
    ),
    "it": ("Assenza", f"Sarò assente fino al 20 marzo {_BACK}.", f"{_BACK}-03-20"),
    "pl": ("Nieobecność", f"Jestem nieobecny do 20.03.{_BACK}.", f"{_BACK}-03-20"),
    "ja": ("不在のお知らせ", "3月20日まで不在です。", f"{_BACK}-03-20"),
    "ru": ("Отпуск", f"Я в отпуске до 20 марта {_BACK}.", f"{_BACK}-03-20"),
    "none": ("", "I read mail once a week.", ""),
}


def _vacations() -> list[dict[str, object]]:
    lines = []
    people = {f"{language}@one.test": "secret" for language in _AWAY} | {"max@two.test": "secret"}
    with MailPair(["one.test", "two.test"], people) as pair:
        for language, (subject, text, _) in _AWAY.items():
            address = f"{language}@one.test"
            client = Client("localhost", pair.sieve_port)
            client.connect(address, "secret", starttls=False, authmech="PLAIN")
            title = f':subject "{subject}" ' if subject else ""
            script = f'require ["vacation"];\nvacation :days 1 {title}"{text}";\n'
            assert client.putscript("away", script), client.errmsg
            assert client.setactive("away")
            client.logout()
            pair.deliver(address, _asks(address, language), "max@two.test")
        for raw in pair.wait_messages("max@two.test", len(_AWAY), timeout=30):
            language = next(name for name in _AWAY if f"<{name}@one.test>".encode() in raw)
            name = f"vacation-dovecot-{language}.eml"
            (INBOUND / name).write_bytes(raw)
            lines.append({"file": name, "kind": "auto", "returns_on": _AWAY[language][2]})
    return lines


def _asks(address: str, language: str) -> bytes:
    return (
        f"From: Max <max@two.test>\r\nTo: {address}\r\nSubject: Your question\r\n"
        f"Message-ID: <q.{language}@two.test>\r\nDate: Mon, 02 Mar 2026 10:00:00 +0000\r\n\r\nHello\r\n"
    ).encode()


def main(only: Sequence[str]) -> None:
    """Replace the lines of the mails that were made again; `only` names servers, all if empty."""
    mailpeers.prepare()
    made: list[dict[str, object]] = []
    for name, make in _SERVERS.items():
        if not only or name in only:
            made += _bounces(name, make)
    if not only or "dovecot" in only:
        made += _vacations()
    file = INBOUND / "expected.jsonl"
    known = {json.loads(line)["file"]: line for line in file.read_text().splitlines()}
    known |= {str(line["file"]): json.dumps(line, ensure_ascii=False) for line in made}
    file.write_text("\n".join(known.values()) + "\n")
    print(f"{len(made)} mails made")


if __name__ == "__main__":
    main(sys.argv[1:])
