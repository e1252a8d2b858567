"""The HTTP side that all services have: problems, keys, health, readiness, metrics."""

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict

from postfleet import metrics, problems, tracing
from postfleet.api_keys import Authenticator
from postfleet.idempotency import IdempotencyMiddleware
from postfleet.mongo import Collection
from postfleet.pulse import pulse

API = "/api/public/v1"

#: name -> a check that says whether this dependency is usable now
Checks = dict[str, Callable[[], Awaitable[bool]]]


class Strict(BaseModel):
    """A request body: unknown fields are refused, and no value is coerced from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def create_app(
    service: str,
    *,
    authenticator: Authenticator,
    checks: Checks,
    routers: Sequence[APIRouter],
    idempotency: Collection,
    lifespan: Callable[[], contextlib.AbstractAsyncContextManager[None]],
) -> FastAPI:
    """The service's app. `lifespan` connects before the first request and drains after the last."""

    @contextlib.asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(), pulse(service, ready):
            app.state.draining = False
            yield
            app.state.draining = True

    async def ready() -> bool:
        return all((await _states(checks)).values())

    app = FastAPI(
        title=f"Postfleet {service}", version="1", lifespan=running, docs_url=None, redoc_url=None
    )
    app.state.authenticator = authenticator
    problems.install(app)
    app.add_middleware(IdempotencyMiddleware, collection=idempotency)
    _count_requests(app, service)
    for router in routers:
        app.include_router(router)
    app.include_router(_health(service, checks))
    return app


async def _states(checks: Checks) -> dict[str, bool]:
    results = await asyncio.gather(*(check() for check in checks.values()))
    return dict(zip(checks, results, strict=True))


def _health(service: str, checks: Checks) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The event loop answers; says nothing about dependencies."""
        return {"status": "ok", "service": service}

    @router.get("/readyz")
    async def readyz() -> Response:
        found = await _states(checks)
        state = {name: "ok" if ok else "failing" for name, ok in found.items()}
        good = all(found.values())
        metrics.ready.labels(service).set(int(good))
        return JSONResponse(
            {"ready": good, "service": service, "checks": state}, 200 if good else 503
        )

    @router.get("/metrics")
    async def exposition() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


def _count_requests(app: FastAPI, service: str) -> None:
    @app.middleware("http")
    async def count(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        started = time.perf_counter()
        with metrics.http_in_progress.labels(service).track_inprogress():
            response = await _traced(request, call_next)
        route = getattr(request.scope.get("route"), "path", "unmatched")
        metrics.http_requests.labels(service, route, str(response.status_code)).inc()
        metrics.http_seconds.labels(service, route).observe(time.perf_counter() - started)
        return response


async def _traced(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """The answer; in a span of the caller's trace while tracing is on. Paths may hold addresses and
    tokens, so only the route's own is told."""
    if tracing.active is None or not request.url.path.startswith(API):
        return await call_next(request)
    with tracing.received("http", request.headers, "server") as on:
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "unmatched")
        on.update_name(f"{request.method} {route}")
        on.set_attribute("http.request.method", request.method)
        on.set_attribute("http.route", route)
        on.set_attribute("http.response.status_code", response.status_code)
        return response


# -- pages of a list -----------------------------------------------------------------------------


#: How many items a page has, where a client asks for fewer or more than the default.
Limit = Annotated[int, Query(ge=1, le=500)]


def encode_cursor(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> str:
    """The id after which the page starts. Raises Problem (422)."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        last_id = raw.decode()
    except (binascii.Error, ValueError):
        last_id = ""
    if not last_id or "\0" in last_id or encode_cursor(last_id) != cursor:
        raise problems.invalid("cursor", "BAD_CURSOR", "use next_cursor as it was given")
    return last_id


def page(items: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A page from up to `limit` + 1 items that have an `id`."""
    more = len(items) > limit
    shown = items[:limit]
    cursor = encode_cursor(shown[-1]["id"]) if more else None
    return {"items": shown, "next_cursor": cursor}


def as_json(body: dict[str, Any]) -> Response:
    """The answer, encoded once: what a route returns as a dict is validated and copied before."""
    return Response(orjson.dumps(body), media_type="application/json")
