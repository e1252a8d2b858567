"""The other services' HTTP API as the dashboard asks it: with the key of whoever is logged in.

The dashboard may do what its user's key may do and nothing more; the services themselves decide.
"""

from dataclasses import dataclass, field
from typing import Any

import httpx

_TIMEOUT = httpx.Timeout(20.0, connect=3.0)
_UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=3.0)  # a file is answered when all of it is in


class NotAnswered(Exception):
    """The text is for the operator; `fields` says what is wrong with which field."""

    def __init__(self, text: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Upload:
    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Asking:
    """The gateway for one user."""

    gateway: "Gateway"
    key: str = field(repr=False)

    async def get(self, path: str, **params: Any) -> Any:
        """The answer's JSON. Raises NotAnswered with the problem's own words."""
        return await self.gateway.call("GET", path, self.key, **params)

    async def post(self, path: str, body: Any = None) -> Any:
        """As `get`; a body is sent as JSON, an Upload as it is."""
        return await self.gateway.call("POST", path, self.key, body)

    async def page(self, path: str, **params: Any) -> "Part":
        """A page of a list; with the reason, where there is none."""
        try:
            found = await self.get(path, **{k: v for k, v in params.items() if v})
        except NotAnswered as error:
            return Part([], problem=str(error))
        return Part(list(found["items"]), str(found.get("next_cursor") or ""))


@dataclass(frozen=True, slots=True)
class Part:
    items: list[dict[str, Any]]
    next_cursor: str = ""
    problem: str = ""


class Gateway:
    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{url}/api/public/v1",
            timeout=_TIMEOUT,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    async def call(self, method: str, path: str, key: str, body: Any = None, **params: Any) -> Any:
        """The answer's JSON. Raises NotAnswered with the problem's own words."""
        sent: dict[str, Any] = {"headers": {"X-API-Key": key}, "params": params}
        if isinstance(body, Upload):
            sent["headers"]["Content-Type"] = body.content_type
            sent |= {"content": body.content, "timeout": _UPLOAD_TIMEOUT}
        elif body is not None:
            sent["json"] = body
        try:
            answer = await self._client.request(method, path, **sent)
            document = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise NotAnswered(f"{path} does not answer: {type(error).__name__}") from error
        if answer.is_success:
            return document
        raise _refusal(path, answer.status_code, document)

    async def close(self) -> None:
        await self._client.aclose()


def _refusal(path: str, status: int, document: Any) -> NotAnswered:
    told = document if isinstance(document, dict) else {}
    fields = tuple(
        (str(one.get("field", "")), str(one.get("message", "")))
        for one in told.get("errors") or ()
        if isinstance(one, dict)
    )
    return NotAnswered(str(told.get("detail") or f"{path} answers {status}"), fields)
