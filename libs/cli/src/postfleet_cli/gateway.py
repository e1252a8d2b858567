"""`postfleet gateway`: the one address in front of the five services.

It routes by `routes.py`, joins their health, metrics and API documents, and knows no rule itself.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from postfleet import logs
from postfleet_cli import api_document, exposition
from postfleet_cli.event_document import asyncapi, schema
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.proxy import forward, problem
from postfleet_cli.routes import SERVICES, service_of, url_variable

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ASK_TIMEOUT = httpx.Timeout(3.0)  # readiness, metrics, documents
#: A registration checks SMTP and IMAP with 10 s each; a lead import answers at its end.
_FORWARD_TIMEOUT = httpx.Timeout(120.0, connect=3.0, pool=10.0)
#: Shorter than the services' own keep-alive, or a request meets a connection that just closed.
_LIMITS = httpx.Limits(max_connections=500, max_keepalive_connections=100, keepalive_expiry=15)
_CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where we listen and where the services are."""

    upstreams: Mapping[str, str]
    host: str
    port: int
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "GatewaySettings":
        """From POSTFLEET_GATEWAY_<SERVICE>_URL, POSTFLEET_HTTP_HOST and _PORT. Raises Refused."""
        upstreams = {
            service: environ.get(url_variable(service), f"http://{service}:8000").rstrip("/")
            for service in SERVICES
        }
        wrong = [
            f"{url_variable(service)}: {url!r} is no http:// or https:// address"
            for service, url in upstreams.items()
            if not url.startswith(("http://", "https://"))
        ]
        port = environ.get("POSTFLEET_HTTP_PORT", "8000")
        if not (port.isdecimal() and int(port) < 65_536):
            wrong.append(f"POSTFLEET_HTTP_PORT: {port!r} is no port")
        if wrong:
            raise Refused(ExitCode.CONFIG, *wrong)
        host = environ.get("POSTFLEET_HTTP_HOST", "127.0.0.1")
        level = environ.get("POSTFLEET_LOG_LEVEL", "INFO")
        return cls(upstreams, host, int(port), level)


def build(
    upstreams: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> Starlette:
    """The app. `transport` stands in for the network."""
    gateway = _Gateway(
        {service: httpx.URL(url) for service, url in upstreams.items()},
        httpx.AsyncClient(
            transport=transport,
            timeout=_FORWARD_TIMEOUT,
            limits=_LIMITS,
            follow_redirects=False,
            trust_env=False,
        ),
    )
    return Starlette(
        routes=[
            Route("/healthz", gateway.healthz),
            Route("/readyz", gateway.readyz),
            Route("/metrics", gateway.metrics),
            Route("/openapi.json", gateway.openapi),
            Route("/docs", gateway.docs),
            Route("/asyncapi.json", asyncapi),
            Route("/schemas/{subject}.json", schema),
            Route("/{path:path}", gateway.pass_on, methods=_METHODS),
        ],
        lifespan=gateway.lifespan,
    )


class _Gateway:
    """The endpoints; one pool of connections for all of them."""

    def __init__(self, upstreams: Mapping[str, httpx.URL], client: httpx.AsyncClient) -> None:
        self._upstreams, self._client = upstreams, client

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """The pool lives as long as the app."""
        async with self._client:
            yield

    async def pass_on(self, request: Request) -> Response:
        """Everything that is not the gateway's own."""
        service = service_of(request.url.path)
        if service is None:
            return problem(404, "NOT_FOUND", f"there is nothing at {request.url.path}")
        return await forward(self._client, self._upstreams[service], request)

    async def healthz(self, _: Request) -> Response:
        """The gateway itself runs; says nothing about the services."""
        return JSONResponse({"status": "ok", "service": "gateway"})

    async def readyz(self, _: Request) -> Response:
        """200 when all five are ready, else 503 with who is not and why."""
        answers = await self._ask_all("/readyz")
        states = {service: _readiness(answer) for service, answer in answers.items()}
        good = all(state["ready"] for state in states.values())
        status = "ready" if good else "not ready"
        return JSONResponse({"status": status, "services": states}, 200 if good else 503)

    async def metrics(self, _: Request) -> Response:
        """What all five say, and who did not answer."""
        answers = await self._ask_all("/metrics")
        texts = {s: a.text for s, a in answers.items() if a is not None and a.is_success}
        up = [f'postfleet_gateway_upstream_up{{service="{s}"}} {int(s in texts)}' for s in answers]
        own = [
            "# HELP postfleet_gateway_upstream_up 1 if the service gave its metrics to the gateway",
            "# TYPE postfleet_gateway_upstream_up gauge",
            *up,
        ]
        merged = exposition.merge({**texts, "gateway": "\n".join(own) + "\n"})
        return Response(merged, headers={"Content-Type": _METRICS_TYPE})

    async def openapi(self, _: Request) -> Response:
        """The documents of all services that answer, as one."""
        return JSONResponse(await self._document())

    async def docs(self, _: Request) -> Response:
        """The same for people; nothing is loaded from elsewhere."""
        page = api_document.page(await self._document())
        return HTMLResponse(page, headers={"Content-Security-Policy": _CSP})

    async def _document(self) -> api_document.Document:
        answers = await self._ask_all("/openapi.json")
        good = {s: a.json() for s, a in answers.items() if a is not None and a.is_success}
        return api_document.merge(good)

    async def _ask_all(self, path: str) -> dict[str, httpx.Response | None]:
        answers = await asyncio.gather(
            *(self._ask(base, path) for base in self._upstreams.values())
        )
        return dict(zip(self._upstreams, answers, strict=True))

    async def _ask(self, base: httpx.URL, path: str) -> httpx.Response | None:
        try:
            return await self._client.get(
                base.join(path), timeout=_ASK_TIMEOUT, headers={"Accept": "*/*"}
            )
        except httpx.HTTPError:
            return None


def _readiness(answer: httpx.Response | None) -> dict[str, object]:
    if answer is None:
        return {"ready": False, "reason": "does not answer"}
    checks: dict[str, object] = {}
    with contextlib.suppress(ValueError):
        checks = answer.json().get("checks", {})
    return {"ready": answer.status_code == httpx.codes.OK, "checks": checks}


def serve(environ: Mapping[str, str] = os.environ) -> None:
    """Serve until SIGTERM or SIGINT. Raises Refused for a wrong setting."""
    settings = GatewaySettings.read(environ)
    logs.configure("gateway", settings.log_level)
    uvicorn.run(
        build(settings.upstreams),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # the services' own
        proxy_headers=False,  # the client's address is the connection's; see X-Forwarded-For
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    try:
        serve()
    except Refused as refusal:
        for line in refusal.lines:
            print(f"postfleet: {line}", file=sys.stderr)
        sys.exit(refusal.code)
