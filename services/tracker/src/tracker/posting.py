"""One HTTPS POST to an address that a customer named: guarded, in time, no redirects followed."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

import h11

from postfleet.reachable import WEB_PORTS, Forbidden, NameUnknown, Network, guarded_socket
from tracker.domain.webhooks import Answer

_SECONDS = 15.0
_CHUNK = 16 * 1024


class Poster:
    """Hosts in `allowed` may be named although they are not on the internet, and over http."""

    def __init__(self, tls: ssl.SSLContext, allowed: Sequence[Network]) -> None:
        self._tls, self._allowed = tls, tuple(allowed)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The status that came back; any failure is an answer too, and its text is for people."""
        try:
            async with asyncio.timeout(_SECONDS):
                return Answer(await self._post(urlsplit(url), body, headers))
        except TimeoutError:
            return Answer(0, f"no answer within {_SECONDS:g} s")
        except (Forbidden, NameUnknown) as error:
            return Answer(0, str(error))
        except ExceptionGroup as error:
            return Answer(0, str(error.exceptions[0]) or "cannot be reached")
        except (OSError, h11.ProtocolError) as error:
            return Answer(0, getattr(error, "verify_message", "") or type(error).__name__)

    async def _post(self, url: SplitResult, body: bytes, headers: Mapping[str, str]) -> int:
        host, secure = url.hostname or "", url.scheme == "https"
        port = url.port or (443 if secure else 80)
        connection = await guarded_socket(host, port, self._allowed, WEB_PORTS)
        reader, writer = await asyncio.open_connection(
            sock=connection,
            ssl=self._tls if secure else None,
            server_hostname=host if secure else None,
        )
        try:
            http = h11.Connection(h11.CLIENT)
            fields = {"host": url.netloc, "content-length": str(len(body)), **headers}
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            head = h11.Request(method="POST", target=target, headers=list(fields.items()))
            for part in (head, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(http.send(part) or b"")
            return await _status(http, reader)
        finally:
            writer.close()


async def _status(http: h11.Connection, reader: asyncio.StreamReader) -> int:
    """The final status; nobody reads the body."""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            return event.status_code
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("closed without an answer")
