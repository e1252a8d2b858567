"""Sends test mails as one of our mailboxes, and looks for what came back."""

import asyncio
import email
import imaplib
import smtplib
import ssl
from collections.abc import Sequence
from email.message import Message

from mail_provisioner import passwords
from mail_provisioner.domain import mail_tests, masters
from mail_provisioner.domain.mail_tests import Outcome, Result
from mail_provisioner.login import MailServerAddress, MailServerUnreachable
from mail_provisioner.settings import SERVICE
from mail_provisioner.volume import ConfigVolume
from postfleet.mongo import Collection
from postfleet.secrets import CannotOpen, KeyRing

_TIMEOUT = 20.0  # seconds for each exchange
_LOOK_AT = 50  # newest mails of the author's inbox
_MASTER = "master"


class MasterAccount:
    """The account by which we act for a mailbox; its password is ours alone and kept sealed."""

    def __init__(
        self, collection: Collection, volume: ConfigVolume, ring: KeyRing, wait: float
    ) -> None:
        self._collection, self._volume, self._ring, self._wait = collection, volume, ring, wait

    async def password(self) -> str:
        """Ready to log in with: written to the mail server, and waited for, if it was not there.

        Raises OSError, BrokenFile, VolumeBusy.
        """
        async with self._volume.locked():
            known = await self._collection.find_one({"_id": _MASTER})
            there = masters.password_hash(await self._volume.read(masters.FILE))
            if known and there == known["password_hash"]:
                try:
                    return self._ring.open(known["sealed"], **_RECORD)
                except CannotOpen:
                    pass  # sealed under a key that is gone: make another password
            password = await self._renew()
        await asyncio.sleep(self._wait)
        return password

    async def _renew(self) -> str:
        password = passwords.new_password()
        hash_ = await asyncio.to_thread(passwords.hashed, password)
        fields = {"password_hash": hash_, "sealed": self._ring.seal(password, **_RECORD)}
        await self._collection.update_one({"_id": _MASTER}, {"$set": fields}, upsert=True)
        await self._volume.edit(masters.FILE, lambda text: masters.with_master(text, hash_))
        return password


_RECORD = {"service": SERVICE, "record": _MASTER, "name": passwords.FIELD}


class MailTesting:
    def __init__(
        self, server: MailServerAddress, tls: ssl.SSLContext, master: MasterAccount
    ) -> None:
        self._server, self._tls, self._master = server, tls, master

    async def send(
        self, author: str, recipients: Sequence[str], message_id: str
    ) -> dict[str, Result]:
        """One mail for each recipient. Raises MailServerUnreachable, and what `password` raises."""
        password = await self._master.password()
        return await asyncio.to_thread(self._send, author, recipients, message_id, password)

    async def came_back(self, author: str, message_id: str) -> dict[str, Result]:
        """What the DSNs in the author's inbox say. Raises MailServerUnreachable."""
        password = await self._master.password()
        mails = await asyncio.to_thread(self._newest, author, password)
        found: dict[str, Result] = {}
        for mail in mails:
            found |= mail_tests.reported(mail, message_id)
        return found

    def _send(
        self, author: str, recipients: Sequence[str], message_id: str, password: str
    ) -> dict[str, Result]:
        server = self._server
        results: dict[str, Result] = {}
        try:
            with smtplib.SMTP(server.host, server.submission_port, timeout=_TIMEOUT) as smtp:
                smtp.starttls(context=self._tls)
                smtp.login(masters.login_for(author), password)
                for recipient in recipients:
                    results[recipient] = _send_one(smtp, author, recipient, message_id)
        except OSError as error:  # smtplib's errors are OSErrors too
            raise MailServerUnreachable(str(error) or type(error).__name__) from error
        return results

    def _newest(self, author: str, password: str) -> list[Message]:
        server = self._server
        try:
            with imaplib.IMAP4_SSL(
                server.host, server.imaps_port, ssl_context=self._tls, timeout=_TIMEOUT
            ) as imap:
                imap.login(masters.login_for(author), password)
                count = int((imap.select("INBOX", readonly=True)[1][0] or b"0").decode())
                if not count:
                    return []
                _, parts = imap.fetch(f"{max(1, count - _LOOK_AT + 1)}:*", "(BODY.PEEK[])")
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailServerUnreachable(str(error) or type(error).__name__) from error
        return [email.message_from_bytes(part[1]) for part in parts if isinstance(part, tuple)]


def _send_one(smtp: smtplib.SMTP, author: str, recipient: str, message_id: str) -> Result:
    mail = mail_tests.message(author, recipient, message_id)
    options = ["NOTIFY=SUCCESS,FAILURE,DELAY"] if smtp.has_extn("dsn") else []
    try:
        smtp.sendmail(author, [recipient], mail.as_bytes(), rcpt_options=options)
    except smtplib.SMTPRecipientsRefused as error:
        code, reply = error.recipients[recipient]
        return Result(Outcome.REFUSED, f"{code} {reply.decode('utf-8', 'replace')}")
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        text = error.smtp_error
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        return Result(Outcome.REFUSED, f"{error.smtp_code} {said}")
    return Result(Outcome.ACCEPTED, "")
