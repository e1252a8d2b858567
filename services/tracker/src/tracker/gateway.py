"""The other services' HTTP API as the dashboard asks it: with the key of whoever is logged in.

The dashboard may do what its user's key may do and nothing more; the services themselves decide.
"""

from typing import Any

import httpx

_TIMEOUT = httpx.Timeout(20.0, connect=3.0)


class NotAnswered(Exception):
    """The text is for the operator."""


class Gateway:
    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{url}/api/public/v1",
            timeout=_TIMEOUT,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    async def call(self, method: str, path: str, key: str, **params: Any) -> Any:
        """The answer's JSON. Raises NotAnswered with the problem's own words."""
        try:
            answer = await self._client.request(
                method, path, headers={"X-API-Key": key}, params=params
            )
            document = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise NotAnswered(f"{path} does not answer: {type(error).__name__}") from error
        if answer.is_success:
            return document
        raise NotAnswered(str(document.get("detail", f"{path} answers {answer.status_code}")))

    async def close(self) -> None:
        await self._client.aclose()
