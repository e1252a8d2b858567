"""Does what people and machines do with a mail, through the protocols that they use."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import httpx

from postfleet_sandbox import ledger, letters
from postfleet_sandbox.accounts import Accounts
from postfleet_sandbox.agenda import Agenda, Task
from postfleet_sandbox.behaviours import Act, fraction
from postfleet_sandbox.ledger import Ledger, Record, Spool
from postfleet_sandbox.mailboxes import MailStore
from postfleet_sandbox.people import People
from postfleet_sandbox.reading import Letter, on_loopback, reached_at, read

MAX_AT_ONCE = 64  # requests in flight; a burst of mails must not become a burst of sockets
RETRY_AFTER_S = (0.3, 0.7, 1.5, 3.0, 5.0, 8.0, 10.0)  # 28 s: a restarting platform is back by then
TIMEOUT_S = 10.0

MAIL_READERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.3",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.4.3",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148",
)
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
)
SCANNERS = (
    "BarracudaCentral/1.0 (link protection)",
    "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
    "Mimecast-URL-Protect/2.0 (scanner)",
)
_IMAGE = {"Accept": "image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5"}
_PAGE = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7",
    "Upgrade-Insecure-Requests": "1",
}


class CannotAct(Exception):
    """The act is impossible or failed for good; the message says why."""


Detail = Mapping[str, Any]


class Recipients:
    """Works through the agenda. An act is in the ledger only after it succeeded."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        register: Ledger,
        spool: Spool,
        people: People,
        accounts: Accounts,
        store: MailStore,
        seed: int,
        platform: str = "",
    ) -> None:
        self._agenda = agenda
        self._ledger = register
        self._spool = spool
        self._people = people
        self._accounts = accounts
        self._store = store
        self._seed, self._platform = seed, platform
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._http = _client()
        self._perform: Mapping[Act, Callable[[Record, Letter], Awaitable[Detail]]] = {
            Act.HUMAN_OPEN: self._human_open,
            Act.CLICK: self._click,
            Act.REPLY: self._reply,
            Act.UNSUBSCRIBE: self._unsubscribe,
            Act.SCANNER_OPEN: self._scanner_open,
            Act.SCANNER_CLICK: self._scanner_click,
            Act.AUTO_REPLY: self._auto_reply,
            Act.DSN: self._dsn,
            Act.DELIVER: self._deliver,
            Act.SAVE_SENT: self._save_sent,
        }

    async def run(self) -> None:
        """Act until cancelled; what is not done then stays on the agenda."""
        try:
            while True:
                task = await self._agenda.next()
                await self._slots.acquire()
                running = asyncio.create_task(self._do(task))
                self._running.add(running)
                running.add_done_callback(self._done)
        finally:
            for running in self._running:
                running.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            await self._http.aclose()

    def _done(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self._slots.release()

    async def _do(self, task: Task) -> None:
        mail = self._agenda.mail(task)
        if mail is None:
            return
        kind: str = task.act
        try:
            letter = read(self._spool.get(*mail.detail["spool"]))
            detail = await self._perform[task.act](mail, letter)
        except Exception as reason:  # whatever it was, the act must not stay pending for ever
            kind, detail = ledger.GAVE_UP, {"reason": f"{type(reason).__name__}: {reason}"}
        self._ledger.append(
            kind,
            recipient=mail.recipient,
            sender=mail.sender,
            message_id=mail.message_id,
            detail={"mail": task.mail, "act": task.act, **detail},
        )

    async def _human_open(self, mail: Record, letter: Letter) -> Detail:
        agent = self._pick(MAIL_READERS, mail.recipient)
        return {"urls": await self._get_all(letter.images, {**_IMAGE, "User-Agent": agent})}

    async def _scanner_open(self, mail: Record, letter: Letter) -> Detail:
        agent = self._pick(SCANNERS, mail.recipient)
        return {"urls": await self._get_all(letter.images, {"User-Agent": agent})}

    async def _scanner_click(self, mail: Record, letter: Letter) -> Detail:
        agent = self._pick(SCANNERS, mail.recipient)
        links = [*letter.links, *letter.hidden_links, *letter.unsubscribe_links]
        return {"urls": await self._get_all(links, {"User-Agent": agent})}

    async def _click(self, mail: Record, letter: Letter) -> Detail:
        """Follow one link, and its redirect if that stays on this machine."""
        links = [url for url in letter.links if on_loopback(url)]
        if not links:
            raise CannotAct("no link on 127.0.0.1")
        url = self._pick(links, mail.recipient, mail.message_id)
        headers = {**_PAGE, "User-Agent": self._pick(BROWSERS, mail.recipient)}
        answer = await self._request("GET", url, headers)
        location = answer.headers.get("location", "")
        if on_loopback(location):
            await self._request("GET", location, headers)
        return {"urls": [url], "location": location}

    async def _unsubscribe(self, mail: Record, letter: Letter) -> Detail:
        """RFC 8058 §3.1: as the mail provider does when the person presses its button."""
        if not on_loopback(letter.one_click):
            raise CannotAct("no one-click URI on 127.0.0.1 in List-Unsubscribe")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        await self._request("POST", letter.one_click, form, b"List-Unsubscribe=One-Click")
        return {"urls": [letter.one_click]}

    async def _reply(self, mail: Record, letter: Letter) -> Detail:
        answer = letters.reply(letter, self._answer(mail, Act.REPLY))
        return await self._send(mail, Act.REPLY, letter.answer_to, answer)

    async def _auto_reply(self, mail: Record, letter: Letter) -> Detail:
        answer = letters.automatic_reply(letter, self._answer(mail, Act.AUTO_REPLY))
        return await self._send(mail, Act.AUTO_REPLY, mail.sender, answer)

    async def _dsn(self, mail: Record, letter: Letter) -> Detail:
        behaviour = self._people.behaviour_of(mail.recipient)
        report = letters.dsn(letter, self._answer(mail, Act.DSN), behaviour)
        await self._send(mail, Act.DSN, mail.sender, report)
        return {"action": behaviour.dsn_action, "status": behaviour.dsn_status}

    async def _deliver(self, mail: Record, letter: Letter) -> Detail:
        content = self._spool.get(*mail.detail["spool"])
        folder = self._people.behaviour_of(mail.recipient).folder
        return await self._send(mail, Act.DELIVER, mail.recipient, content, folder)

    async def _save_sent(self, mail: Record, letter: Letter) -> Detail:
        content = self._spool.get(*mail.detail["spool"])
        await self._store.deliver(mail.sender, content, f"{Act.SAVE_SENT}-{mail.seq}", "Sent")
        return {}

    async def _send(
        self, mail: Record, act: Act, address: str, content: bytes, folder: str = "INBOX"
    ) -> Detail:
        """Deliver to an account; once, also if a kill makes us do it again."""
        account = self._accounts.get(address)
        if account is None:
            raise CannotAct(f"{address} is no account of the sandbox")
        await self._store.deliver(account.address, content, f"{act}-{mail.seq}", folder)
        return {"to": account.address}

    def _answer(self, mail: Record, act: Act) -> letters.Envelope:
        chance = fraction(self._seed, act, mail.recipient, mail.message_id)
        return letters.Envelope(mail.recipient, mail.sender, f"{act}.{mail.seq}.{mail.at}", chance)

    def _pick(self, choices: Iterable[str], *parts: str) -> str:
        among = tuple(choices)
        return among[int(fraction(self._seed, "choice", *parts) * len(among))]

    async def _get_all(self, urls: Iterable[str], headers: Mapping[str, str]) -> list[str]:
        fetched = [url for url in urls if on_loopback(url)]
        if not fetched:
            raise CannotAct("nothing to fetch on 127.0.0.1")
        await asyncio.gather(*(self._request("GET", url, headers) for url in fetched))
        return fetched

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> httpx.Response:
        """Ask until there is an answer; CannotAct unless it is 2xx or 3xx."""
        reason = ""
        url = reached_at(url, self._platform)
        for pause in (*RETRY_AFTER_S, None):
            try:
                answer = await self._http.request(method, url, headers=dict(headers), content=body)
                if answer.status_code < 400:
                    return answer
                reason = f"{method} {url}: {answer.status_code}"
                if answer.status_code < 500 and answer.status_code != 429:
                    break
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = f"{method} {url}: {type(error).__name__}"
            if pause is not None:
                await asyncio.sleep(pause)
        raise CannotAct(reason)


def _client() -> httpx.AsyncClient:
    """Trusts any certificate: it talks to this machine only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return httpx.AsyncClient(
        verify=context, trust_env=False, follow_redirects=False, timeout=TIMEOUT_S
    )
