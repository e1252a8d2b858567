"""The private mail server does what tests of the services rely on."""

import email
import imaplib
import os
import secrets
import shutil
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from tests.support.mailpair import MailPair

pytestmark = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")

HELLO = b"From: ann@one.test\r\nTo: bob@one.test\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def mailbox(mail_pair: MailPair) -> Callable[[], str]:
    """Makes new mailboxes, whose password is `pw`."""

    def add(domain: str = "one.test") -> str:
        address = f"u{secrets.token_hex(4)}@{domain}"
        mail_pair.add_mailbox(address, "pw")
        return address

    return add


def test_submission_over_starttls_reaches_the_other_mailbox(mail_pair, mailbox) -> None:
    ann, bob = mailbox(), mailbox("two.test")
    with mail_pair.submission(ann, "pw") as client:
        client.sendmail(ann, [bob], HELLO)
    (received,) = mail_pair.wait_messages(bob)
    assert b"hello" in received
    assert b"Return-Path: <%s>" % ann.encode() in received


def test_submission_over_implicit_tls(mail_pair, mailbox) -> None:
    ann = mailbox()
    port, tls = mail_pair.submissions_port, mail_pair.tls()
    with smtplib.SMTP_SSL("localhost", port, context=tls, timeout=10) as client:
        client.login(ann, "pw")
        client.sendmail(ann, [ann], HELLO)
    assert mail_pair.wait_messages(ann)


def test_swaks_submits_with_starttls_and_auth(mail_pair, mailbox) -> None:
    if "TLS" not in _swaks_features():
        pytest.skip("swaks without TLS: apt-get install swaks libnet-ssleay-perl")
    ann = mailbox()
    server = f"127.0.0.1:{mail_pair.submission_port}"
    argv = ["swaks", "--server", server, "--tls", "--auth", "PLAIN", "--auth-user", ann]
    argv += ["--auth-password", "pw", "--from", ann, "--to", ann, "--header", "Subject: by swaks"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"by swaks" in mail_pair.wait_messages(ann)[0]


def test_swaks_delivers_from_outside(mail_pair, mailbox) -> None:
    if not _swaks_features():
        pytest.skip("swaks not found: apt-get install swaks")
    ann = mailbox()
    argv = ["swaks", "--server", f"127.0.0.1:{mail_pair.smtp_port}", "--to", ann]
    argv += ["--from", "outside@foreign.test", "--header", "Subject: by swaks"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"Return-Path: <outside@foreign.test>" in mail_pair.wait_messages(ann)[0]


def test_wrong_password_is_refused_with_535(mail_pair, mailbox) -> None:
    ann = mailbox()
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        mail_pair.submission(ann, "wrong")
    assert refused.value.smtp_code == 535
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        mail_pair.imap(ann, "wrong")


def test_starttls_is_offered_and_submission_hides_auth_before_it(mail_pair) -> None:
    with smtplib.SMTP("127.0.0.1", mail_pair.submission_port, timeout=10) as client:
        client.ehlo()
        assert not client.has_extn("auth")
    with imaplib.IMAP4("127.0.0.1", mail_pair.imap_port, timeout=10) as client:
        assert "STARTTLS" in client.capabilities
        client.starttls(mail_pair.tls())
        assert "AUTH=PLAIN" in client.capabilities


def test_submission_without_login_is_refused(mail_pair, mailbox) -> None:
    ann = mailbox()
    with smtplib.SMTP("127.0.0.1", mail_pair.submission_port, timeout=10) as client:
        client.starttls(context=mail_pair.tls())
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(ann, [ann], HELLO)


def test_spoofed_reverse_path_is_refused_with_553(mail_pair, mailbox) -> None:
    ann, bob = mailbox(), mailbox()
    with mail_pair.submission(ann, "pw") as client:
        for spoofed in (bob, "someone@foreign.test"):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail(spoofed, [bob], HELLO)
            code, text = refused.value.recipients[bob]
            assert (code, text[:5]) == (553, b"5.7.1")


@pytest.mark.parametrize(
    ("recipient", "code", "enhanced_status"),
    [
        pytest.param("nobody@one.test", 550, "5.1.1", id="an unknown local user"),
        pytest.param("someone@foreign.test", 554, "5.7.1", id="a foreign domain"),
    ],
)
def test_mx_refuses_at_rcpt(mail_pair, recipient, code, enhanced_status) -> None:
    with smtplib.SMTP("127.0.0.1", mail_pair.smtp_port, timeout=10) as client:
        client.ehlo()
        client.mail("outside@foreign.test")
        reply = client.rcpt(recipient)
    assert (reply[0], reply[1][:5].decode()) == (code, enhanced_status)


def test_no_mail_leaves_for_another_domain(mail_pair, mailbox) -> None:
    ann = mailbox()
    with mail_pair.submission(ann, "pw") as client:
        client.ehlo()
        client.mail(ann)
        code, text = client.rcpt("someone@foreign.test")
    assert (code, text[:5]) == (550, b"5.7.1")


@pytest.mark.parametrize("tag", ["+news", "-news"])
def test_sub_address_reaches_the_mailbox_and_may_send(mail_pair, mailbox, tag) -> None:
    ann = mailbox()
    tagged = ann.replace("@", f"{tag}@")
    with mail_pair.submission(ann, "pw") as client:
        client.sendmail(tagged, [tagged], HELLO)
    assert b"Return-Path: <%s>" % tagged.encode() in mail_pair.wait_messages(ann)[0]


def test_alias_and_catch_all_reach_their_targets(mail_pair, mailbox) -> None:
    ann = mailbox()
    (mail_pair.config_dir / "postfix-virtual.cf").write_text(
        f"sales@alias.test {ann}\n@alias.test {ann}\n"
    )
    with mail_pair.submission(ann, "pw") as client:
        client.sendmail("sales@alias.test", ["sales@alias.test"], HELLO)
        client.sendmail(ann, ["whoever@alias.test"], HELLO)
    assert len(mail_pair.wait_messages(ann, 2)) == 2


def test_mailbox_written_by_another_component_logs_in_at_once(mail_pair, mailbox) -> None:
    ann = mailbox()
    accounts = mail_pair.config_dir / "postfix-accounts.cf"
    line = next(x for x in accounts.read_text().splitlines() if x.startswith(ann))
    with pytest.raises(imaplib.IMAP4.error):
        mail_pair.imap("late.comer@new.test", "pw")

    new = accounts.with_name("written-elsewhere")
    new.write_text(accounts.read_text() + f"late.comer@new.test|{line.split('|')[1]}\n")
    os.replace(new, accounts)

    assert mail_pair.wait_login("late.comer@new.test", "pw") < 0.3
    mail_pair.deliver("late.comer@new.test", HELLO)
    assert len(mail_pair.messages("late.comer@new.test")) == 1


def test_removed_mailbox_is_refused_at_once(mail_pair, mailbox) -> None:
    ann = mailbox()
    mail_pair.wait_login(ann, "pw")
    accounts = mail_pair.config_dir / "postfix-accounts.cf"
    kept = [x for x in accounts.read_text().splitlines() if not x.startswith(ann)]
    accounts.write_text("\n".join(kept) + "\n")
    with pytest.raises(imaplib.IMAP4.error):
        mail_pair.imap(ann, "pw")


def test_special_use_folders(mail_pair, mailbox) -> None:
    ann = mailbox()
    with mail_pair.imap(ann, "pw") as client:
        _, lines = client.list()
        assert client.append("Sent", r"(\Seen)", None, HELLO)[0] == "OK"
    listed = b"\n".join(lines).decode()
    assert {r"\Sent", r"\Junk", r"\Trash"} <= set(
        listed.replace("(", " ").replace(")", " ").split()
    )
    assert len(mail_pair.messages(ann, "Sent")) == 1


def test_idle_tells_of_new_mail(mail_pair, mailbox) -> None:
    ann = mailbox()
    with mail_pair.imap(ann, "pw") as client:
        client.select("INBOX")
        client.send(b"x1 IDLE\r\n")
        assert client.readline().startswith(b"+")
        began = time.monotonic()
        mail_pair.deliver(ann, HELLO)
        client.sock.settimeout(5)
        assert client.readline() == b"* 1 EXISTS\r\n"
        assert time.monotonic() - began < 2
        client.send(b"DONE\r\n")
        while not client.readline().startswith(b"x1 OK"):
            pass


def test_late_bounce_returns_a_dsn_to_the_sender(mail_pair, mailbox) -> None:
    ann = mailbox()
    with mail_pair.submission(ann, "pw") as client:
        client.sendmail(ann, ["late-bounce@one.test"], b"Message-ID: <m1@one.test>\r\n" + HELLO)
    dsn = email.message_from_bytes(mail_pair.wait_messages(ann)[0])
    assert dsn["Return-Path"] == "<>"
    assert dsn.get_content_type() == "multipart/report"
    fields = _recipient_fields(dsn)
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert fields["Final-Recipient"] == "rfc822; late-bounce@one.test"
    assert fields["Diagnostic-Code"].startswith("smtp; 550 5.1.1")
    assert b"<m1@one.test>" in dsn.as_bytes()


def test_full_mailbox_returns_a_dsn_with_5_2_2(mail_pair, mailbox) -> None:
    ann, full = mailbox(), mailbox()
    (mail_pair.config_dir / "dovecot-quotas.cf").write_text(f"{full}:1k\n")
    with mail_pair.submission(ann, "pw") as client:
        client.sendmail(ann, [full], HELLO + b"x" * 5000)
    dsn = email.message_from_bytes(mail_pair.wait_messages(ann)[0])
    assert _recipient_fields(dsn)["Status"] == "5.2.2"


def test_sieve_listens(mail_pair) -> None:
    with socket.create_connection(("127.0.0.1", mail_pair.sieve_port), 5) as connection:
        connection.settimeout(5)
        greeting = connection.makefile("rb").readline()
    assert b"IMPLEMENTATION" in greeting


def test_message_over_the_size_limit_is_refused() -> None:
    with MailPair(["one.test"], {"ann@one.test": "pw"}, size_limit_bytes=20_000) as pair:
        with pair.submission("ann@one.test", "pw") as client:
            client.sendmail("ann@one.test", ["ann@one.test"], HELLO + b"x" * 15_000)
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("ann@one.test", ["ann@one.test"], HELLO + b"x" * 25_000)
        assert refused.value.smtp_code == 552


def test_servers_can_be_killed_and_restarted() -> None:
    with MailPair(["one.test"], {"ann@one.test": "pw"}) as pair:
        pair.deliver("ann@one.test", HELLO)
        pair.kill_dovecot()
        with pytest.raises(ConnectionRefusedError):
            pair.imap("ann@one.test", "pw")
        with smtplib.SMTP("127.0.0.1", pair.smtp_port, timeout=10) as client:
            client.sendmail("", ["ann@one.test"], HELLO)  # waits in Postfix's queue
        pair.restart_postfix()
        pair.restart_dovecot()
        pair.wait_login("ann@one.test", "pw")
        assert len(pair.wait_messages("ann@one.test", 2)) == 2


def test_nothing_is_left_after_stop() -> None:
    with MailPair(["one.test"], {"ann@one.test": "pw"}) as pair:
        pair.wait_login("ann@one.test", "pw")
        pair.deliver("ann@one.test", HELLO)
        root, sessions = pair.config_dir.parent, pair.server_pids()
        assert len(_processes(root, sessions)) > 5
    assert _processes(root, sessions) == []
    assert not root.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", pair.smtp_port), 1)


def test_nothing_is_left_when_the_test_run_is_killed() -> None:
    code = (
        "from tests.support.mailpair import MailPair; import time\n"
        "with MailPair(['one.test']) as pair:\n"
        "    print(*pair.server_pids(), pair.config_dir.parent, flush=True); time.sleep(60)\n"
    )
    repository = Path(__file__).parents[2]
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=repository, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        *pids, root = run.stdout.readline().split()
        run.kill()
    try:
        deadline = time.monotonic() + 5
        while _processes(Path(root), [int(pid) for pid in pids]) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert _processes(Path(root), [int(pid) for pid in pids]) == []
    finally:
        shutil.rmtree(root)


def _swaks_features() -> set[str]:
    """What this swaks can do, by its own account; nothing if it is not installed."""
    if not shutil.which("swaks"):
        return set()
    listed = subprocess.run(["swaks", "--support"], capture_output=True, text=True, check=True)
    lines = [line for line in listed.stdout.splitlines() if "supported" in line]
    return {line.removeprefix("===").split(" supported")[0].strip() for line in lines}


def _recipient_fields(dsn: Message) -> Message:
    """The per-recipient part of the first delivery status (RFC 3464 §2.3)."""
    status = next(p for p in dsn.walk() if p.get_content_type() == "message/delivery-status")
    return status.get_payload()[1]


def _processes(root: Path, sessions: list[int]) -> list[str]:
    """Command lines of live processes in those sessions, or that name `root`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            folder = os.readlink(process / "cwd") if stat[0] != "Z" else ""
        except OSError:
            continue
        ours = int(stat[3]) in sessions or str(root) in command or str(root) in folder
        if ours and stat[0] != "Z" and int(process.name) != os.getpid():
            found.append(f"{process.name} {command}")
    return found
