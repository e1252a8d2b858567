"""`postfleet up --demo`, `postfleet demo`: a campaign in the simulated mail world, end to end.

Every step looks first whether it was done: started again on the same directory, or after a kill in
the middle, the demo goes on where it stopped and creates nothing twice.
"""

import asyncio
import secrets
import time
from typing import Any, Self

import httpx
from rich.console import Console

from postfleet_cli import demo_campaign
from postfleet_cli.campaign_import import import_summary
from postfleet_cli.demo_report import Figure, compare, progress, table
from postfleet_cli.routes import API

_POLL_S = 1.0
_PLAIN_EVERY_S = 3.0  # without a terminal, a line each
_QUIET_S = 3.0  # figures that do not change for so long are final
_UNEQUAL_QUIET_S = 20.0  # and for so long if the two sides do not agree
_PATIENCE_S = 165.0
_REGISTRATION_S = 60.0


class DemoFailed(Exception):
    """The demo cannot go on; the text says why. The platform runs on."""


class NotNow(DemoFailed):
    """A service is being started again; asking later is right."""


async def run(url: str, api_key: str, control: str, console: Console) -> list[Figure]:
    """Prepare what is missing, start the campaign, watch it to its end, print the summary.

    `control` is the URL of the sandbox's control API. Nothing is returned if the demo cannot go on.
    """
    platform_client = httpx.AsyncClient(
        base_url=url + API, headers={"X-API-Key": api_key}, timeout=_REGISTRATION_S, trust_env=False
    )
    sandbox_client = httpx.AsyncClient(base_url=control, timeout=10, trust_env=False)
    async with platform_client as platform, sandbox_client as sandbox:
        try:
            return await _Demo(platform, sandbox, console).play()
        except (DemoFailed, httpx.HTTPError) as error:
            console.print("[bold red]the demo stopped:[/]", end=" ")
            console.print(str(error) or type(error).__name__, markup=False, soft_wrap=True)
            console.print("the platform runs on; start it again to go on with the demo")
            return []


class _Ticker:
    """The line of the moment: at the foot of a terminal, else a new line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console, self._status = console, console.status("sending")
        self._printed = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def show(self, line: str) -> None:
        if self._console.is_terminal:
            self._status.update(line)
        elif time.monotonic() - self._printed >= _PLAIN_EVERY_S:
            self._console.print(line, markup=False, soft_wrap=True)
            self._printed = time.monotonic()


class _Demo:
    """One play of it; what exists already is used."""

    def __init__(
        self,
        platform: httpx.AsyncClient,
        sandbox: httpx.AsyncClient,
        console: Console,
    ) -> None:
        self._platform, self._sandbox, self._console = platform, sandbox, console

    async def play(self) -> list[Figure]:
        campaign = await self._find("/campaigns", "name", demo_campaign.NAME)
        if campaign is None:
            senders = [await self._sender(address) for address in demo_campaign.SENDERS]
            campaign = await self._post("/campaigns", json=demo_campaign.campaign(senders))
            self._say(f"campaign {demo_campaign.NAME!r} created: two steps, two senders")
        else:
            self._say(f"campaign {demo_campaign.NAME!r} is there already ({campaign['status']})")
        if campaign["status"] == "draft":
            await self._import(campaign["id"])
            await self._post(f"/campaigns/{campaign['id']}/start")
            self._say("campaign started")
        figures = await self._watch(campaign["id"])
        self._console.print(table(figures))
        return figures

    async def _sender(self, address: str) -> str:
        """The id of the registered sender; its mailbox is made first if need be."""
        known = await self._find("/sender-accounts", "email_address", address)
        if known is None:
            password = secrets.token_urlsafe(16)
            account = {"address": address, "password": password, "saves_sent": True}
            made = _checked(await self._sandbox.post("/accounts", json=account))
            form = demo_campaign.sender(address, password, made)
            known = await self._post("/sender-accounts", json=form)
            self._say(f"sender {address} registered: {known['status']}")
        return str(known["id"])

    async def _import(self, campaign: str) -> None:
        wanted = {"rows": str(demo_campaign.ROWS)}
        leads = await self._sandbox.get("/leads.csv", params=wanted)
        _succeeded(leads)
        headers = {"Content-Type": "text/csv"}
        path = f"/campaigns/{campaign}/leads"
        report = await self._post(path, content=leads.content, headers=headers)
        self._say(f"{demo_campaign.ROWS} rows read: {import_summary(report)}")
        for row in report.get("rows", [])[:3]:
            self._say(f"  row {row['row']}, {row['field']}: {row['reason']}")

    async def _watch(self, campaign: str) -> list[Figure]:
        """The figures when campaign and mail world are done and nothing changes any more."""
        started = changed = time.monotonic()
        before: list[Figure] = []
        with _Ticker(self._console) as ticker:
            while True:
                figures, done = await self._look_again(campaign, before)
                now = time.monotonic()
                if figures != before:
                    before, changed = figures, now
                ticker.show(f"{now - started:.0f} s  {progress(figures)}")
                equal = all(figure.equal for figure in figures)
                if done and now - changed >= (_QUIET_S if equal else _UNEQUAL_QUIET_S):
                    break
                if now - started > _PATIENCE_S:
                    self._say("the campaign is not done yet; the figures so far:")
                    break
                await asyncio.sleep(_POLL_S)
        self._say(f"watched for {time.monotonic() - started:.0f} s")
        return figures

    async def _look_again(self, campaign: str, before: list[Figure]) -> tuple[list[Figure], bool]:
        """As `_look`; while a service does not answer, what was known before."""
        try:
            return await self._look(campaign)
        except (NotNow, httpx.TransportError):
            return before, False

    async def _look(self, campaign: str) -> tuple[list[Figure], bool]:
        overview, state, summary = await asyncio.gather(
            self._platform.get("/analytics/overview"),
            self._platform.get(f"/campaigns/{campaign}"),
            self._sandbox.get("/summary"),
        )
        world = _checked(summary)
        done = _checked(state)["status"] == "completed" and world["pending_actions"] == 0
        return compare(_checked(overview), world), done

    async def _find(self, path: str, field: str, value: str) -> dict[str, Any] | None:
        """The first item of a list with this value."""
        cursor: str | None = None
        while True:
            params = {"limit": "100", **({"cursor": cursor} if cursor else {})}
            page = _checked(await self._platform.get(path, params=params))
            for item in page["items"]:
                if item.get(field) == value:
                    return dict(item)
            cursor = page.get("next_cursor")
            if not cursor:
                return None

    async def _post(self, path: str, **options: Any) -> dict[str, Any]:
        return _checked(await self._platform.post(path, **options))

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def _checked(response: httpx.Response) -> dict[str, Any]:
    """The document in an answer. Raises DemoFailed with the problem's text."""
    _succeeded(response)
    document: dict[str, Any] = response.json()
    return document


def _succeeded(response: httpx.Response) -> None:
    if response.is_success:
        return
    request = response.request
    kind = NotNow if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else DemoFailed
    raise kind(f"{request.method} {request.url}: {response.status_code} {response.text}")
