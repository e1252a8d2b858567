"""The platform's HTTP API, as the commands use it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.routes import API

DEFAULT_URL = "http://127.0.0.1:8080"
KEY_FILE = Path(".postfleet/api-key")
_TIMEOUT = httpx.Timeout(130.0, connect=5.0)  # above the gateway's own
_CODES = {401: ExitCode.NO_PERMISSION, 403: ExitCode.NO_PERMISSION, 503: ExitCode.UNAVAILABLE}


class Api:
    """Calls `/api/public/v1`; every failure is a Refused that says what to do."""

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url, self.key = url.rstrip("/"), key
        self._client = httpx.Client(
            base_url=self.url + API,
            headers={"X-API-Key": key},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=False,
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Api":
        """POSTFLEET_URL and POSTFLEET_API_KEY, else what `postfleet up` keeps in `.postfleet`."""
        key = environ.get("POSTFLEET_API_KEY", "")
        if not key and KEY_FILE.exists():
            key = KEY_FILE.read_text().strip()
        if not key:
            raise Refused(
                ExitCode.CONFIG,
                f"no API key: set POSTFLEET_API_KEY, or run this beside {KEY_FILE.parent}",
            )
        return cls(environ.get("POSTFLEET_URL") or DEFAULT_URL, key)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The answer's JSON, or None where it has none."""
        try:
            response = self._client.request(method, path, **options)
        except httpx.InvalidURL as error:
            raise Refused(ExitCode.CONFIG, f"POSTFLEET_URL {self.url!r}: {error}") from error
        except httpx.HTTPError as error:
            raise Refused(
                ExitCode.UNAVAILABLE,
                f"{self.url} does not answer ({str(error) or type(error).__name__}). "
                "Start it with `postfleet up`, or set POSTFLEET_URL",
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        raise _refusal(response)

    def items(
        self, path: str, limit: int, wanted: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Up to `limit` items of a list, page by page; `wanted` are its filters."""
        cursor: str | None = None
        while limit > 0:
            params: dict[str, Any] = {**(wanted or {}), "limit": min(limit, 100)}
            params |= {"cursor": cursor} if cursor else {}
            page = self.call("GET", path, params=params)
            yield from page["items"]
            limit -= len(page["items"])
            cursor = page.get("next_cursor")
            if not cursor:
                return


def _refusal(response: httpx.Response) -> Refused:
    code = _CODES.get(response.status_code, ExitCode.REFUSED)
    try:
        problem = response.json()
        detail = f"{problem.get('detail', '')} ({problem.get('code', response.status_code)})"
        errors = [
            f"  {e['field']}: {e['message']} ({e['code']})" for e in problem.get("errors", [])
        ]
    except (ValueError, AttributeError, KeyError, TypeError):
        return Refused(code, f"{response.status_code} {response.text[:300]}")
    return Refused(code, detail, *errors)
