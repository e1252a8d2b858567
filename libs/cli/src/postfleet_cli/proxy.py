"""Passes a request on to a service and its answer back, both streamed."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

log = logging.getLogger(__name__)

#: RFC 9110 §7.6.1, and the older ones that proxies still meet
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
Headers = list[tuple[bytes, bytes]]


def problem(status: int, code: str, detail: str, retry_after_s: int | None = None) -> Response:
    """A problem document (RFC 9457), as the services make them."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else None
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


async def forward(client: httpx.AsyncClient, base: httpx.URL, request: Request) -> Response:
    """The service's answer to this request; 503 if it is down, 504 if it takes too long."""
    consumed = asyncio.Event()
    # Not `client.build_request`: it adds the client's own headers, and its cookies, which are those
    # that a service has set for somebody else.
    outgoing = httpx.Request(
        request.method,
        base.copy_with(raw_path=_raw_target(request)),
        headers=_request_headers(request),
        content=_body(request, consumed),
        extensions={"timeout": client.timeout.as_dict()},
    )
    try:
        answer = await _send(client, outgoing, request, consumed)
    except httpx.ReadTimeout:
        return problem(504, "TIMEOUT", "the service took too long; it may still be at work")
    except httpx.HTTPError as error:
        log.warning("%s does not answer: %r", base.host, error)
        return problem(503, "UNAVAILABLE", "the service does not answer; try again", 2)
    except ClientDisconnect:
        return Response(status_code=499)  # nobody reads it
    response = StreamingResponse(_content(answer), status_code=answer.status_code)
    response.raw_headers = _without_hop_by_hop(answer.headers.raw)
    return response


def _raw_target(request: Request) -> bytes:
    """Path and query as the client wrote them: encoded slashes stay encoded."""
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


def _request_headers(request: Request) -> Headers:
    headers = _without_hop_by_hop(request.headers.raw)
    forwarded = [v for k, v in headers if k == b"x-forwarded-for"]
    peer = [request.client.host.encode()] if request.client else []
    ours = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
    before = dict(headers)
    return [
        *((k, v) for k, v in headers if k not in ours),
        (b"x-forwarded-for", b", ".join(forwarded + peer)),
        (b"x-forwarded-proto", before.get(b"x-forwarded-proto", request.url.scheme.encode())),
        (b"x-forwarded-host", before.get(b"x-forwarded-host", before.get(b"host", b""))),
    ]


def _without_hop_by_hop(headers: Headers) -> Headers:
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    return [(k, v) for k, v in headers if k.lower() not in _HOP_BY_HOP | named]


def _body(request: Request, consumed: asyncio.Event) -> AsyncIterator[bytes] | None:
    """The body as it arrives; None where the request has none (RFC 9112 §6)."""
    if not {"content-length", "transfer-encoding"} & set(request.headers):
        consumed.set()
        return None

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            yield chunk
        consumed.set()

    return chunks()


async def _send(
    client: httpx.AsyncClient, outgoing: httpx.Request, request: Request, consumed: asyncio.Event
) -> httpx.Response:
    """The head of the answer. Raises ClientDisconnect when the client left before."""
    sending = asyncio.create_task(client.send(outgoing, stream=True))
    leaving = asyncio.create_task(_left(request, consumed))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            raise ClientDisconnect
        return sending.result()
    finally:
        leaving.cancel()
        if not sending.done():
            sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving


async def _left(request: Request, consumed: asyncio.Event) -> None:
    """Returns when the client closes the connection; until then its body is read elsewhere."""
    await consumed.wait()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _content(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
