"""The HTTP control API: accounts, scripts, ledger, summary, outages."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from postfleet_sandbox import ledger
from postfleet_sandbox.behaviours import as_document, behaviour_from
from postfleet_sandbox.leads import demo_leads
from postfleet_sandbox.submission import bound_socket

if TYPE_CHECKING:
    from postfleet_sandbox.sandbox import Sandbox

_LINES_A_CHUNK = 200
_MOST_ROWS = 100_000


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own, a test has none."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Serve until told to stop, at once; uvicorn's own loop looks every 0.1 s."""
        await self.on_tick(0)
        await self.stopping.wait()


class ControlServer:
    """Serves the API."""

    def __init__(self, box: "Sandbox") -> None:
        self.port = 0
        config = uvicorn.Config(
            _Api(box).application(),
            log_config=None,
            access_log=False,
            date_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, port: int, host: str) -> None:
        """Listen; port 0 means any free one."""
        listening = await bound_socket(port, host)
        self.port = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve([listening]))
        await self._server.listening.wait()

    async def stop(self) -> None:
        """Stop listening; requests under way have a second."""
        self._server.stopping.set()
        if self._serving is not None:
            await self._serving


class _Api:
    """The endpoints."""

    def __init__(self, box: "Sandbox") -> None:
        self._box = box

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz", self.healthz),
                Route("/readyz", self.healthz),
                Route("/leads.csv", self.leads),
                Route("/accounts", self.add_account, methods=["POST"]),
                Route("/scripts/{address}", self.script, methods=["GET", "PUT"]),
                Route("/ledger", self.ledger),
                Route("/summary", self.summary),
                Route("/mails/{seq:int}", self.mail),
                Route("/outage", self.outage, methods=["POST"]),
            ]
        )

    async def healthz(self, request: Request) -> Response:
        """The servers listen."""
        return JSONResponse({"status": "ok"})

    async def leads(self, request: Request) -> Response:
        """`?rows=200`: a file of people who behave as they like, malformed rows included."""
        try:
            rows = int(request.query_params.get("rows", 200))
        except ValueError:
            rows = 0
        if not 1 <= rows <= _MOST_ROWS:
            raise HTTPException(422, f"rows must be a number from 1 to {_MOST_ROWS}")
        leads = demo_leads(self._box.seed, rows, self._box.people_domain)
        return Response(leads.csv_bytes, media_type="text/csv")

    async def add_account(self, request: Request) -> Response:
        """`{address, password, saves_sent?}`: 201 with where to log in."""
        wanted = await _body(request, address=str, password=str)
        saves_sent = bool(wanted.get("saves_sent", False))
        account = self._box.add_account(
            wanted["address"], wanted["password"], saves_sent=saves_sent
        )
        hosts = {"smtp_host": self._box.name, "imap_host": self._box.name}
        answer = {"address": account.address, **hosts, **self._box.endpoints()}
        return JSONResponse(answer, status_code=201)

    async def script(self, request: Request) -> Response:
        """PUT `{behaviour?: name, ...fields}`; GET says what the next mail will meet."""
        address = request.path_params["address"]
        if request.method == "PUT":
            try:
                self._box.script(address, behaviour_from(await _body(request)))
            except (ValueError, TypeError) as error:
                raise HTTPException(422, str(error)) from error
        return JSONResponse(as_document(self._box.behaviour_of(address)))

    async def ledger(self, request: Request) -> Response:
        """Stream the records after `?after=seq` as JSON lines."""
        after = int(request.query_params.get("after", 0))
        return StreamingResponse(self._lines(after), media_type="application/x-ndjson")

    async def summary(self, request: Request) -> Response:
        """The counts so far."""
        return JSONResponse(self._box.summary())

    async def mail(self, request: Request) -> Response:
        """The mail that the `accepted` record with this seq is about, as received."""
        seq = request.path_params["seq"]
        record = next(self._box.ledger.records(after=seq - 1), None)
        if record is None or record.seq != seq or record.kind != ledger.ACCEPTED:
            raise HTTPException(404, f"record {seq} is not an accepted mail")
        return Response(self._box.mail(record), media_type="message/rfc822")

    async def outage(self, request: Request) -> Response:
        """`{seconds}`: SMTP connections are cut and refused meanwhile."""
        wanted = await _body(request, seconds=(int, float))
        try:
            self._box.start_outage(wanted["seconds"])
        except RuntimeError as error:
            raise HTTPException(409, str(error)) from error
        return JSONResponse({"seconds": wanted["seconds"]}, status_code=202)

    async def _lines(self, after: int) -> AsyncIterator[bytes]:
        chunk: list[bytes] = []
        for record in self._box.ledger.records(after):
            chunk.append(record.as_line())
            if len(chunk) == _LINES_A_CHUNK:
                yield b"".join(chunk)
                chunk.clear()
                await asyncio.sleep(0)
        yield b"".join(chunk)


async def _body(request: Request, **required: type | tuple[type, ...]) -> dict[str, Any]:
    """Return the JSON object in the body; 422 if a required field is missing or of another type."""
    try:
        body = await request.json()
    except ValueError as error:
        raise HTTPException(422, f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(422, "the body must be a JSON object")
    for name, kind in required.items():
        if not isinstance(body.get(name), kind):
            raise HTTPException(422, f"{name} is missing or of the wrong type")
    return body
