"""`python -m tests.bench.imap_server FOLDER`: an IMAP server with TLS that prints its port, and idles."""

import asyncio
import ssl
import sys
from pathlib import Path

from tests.support.hostileimap import HostileImap


async def _serve(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    async with HostileImap(tls=context) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
