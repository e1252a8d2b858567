"""aiosmtplib with kept connections, as its chapter on sending many messages shows; ready bytes, uvloop."""

import asyncio
import ssl
from typing import Any

import aiosmtplib
import uvloop

from tests.bench.peers.stopwatch import Stopwatch, read_content, read_job


async def main() -> None:
    job = read_job()
    content = read_content(job)
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": job["port"], "start_tls": False}
    if job["ca_file"]:
        context = ssl.create_default_context(cafile=job["ca_file"])
        context.check_hostname = False  # it is called by its address
        options |= {"start_tls": True, "tls_context": context}
        options |= {"username": job["username"], "password": job["password"]}
    numbers = iter(range(job["count"]))

    async def lane() -> None:
        async with aiosmtplib.SMTP(**options) as client:
            for number in numbers:
                recipient = job["recipient"].replace("*", str(number))
                await client.sendmail(job["reverse_path"], recipient, content)

    watch = Stopwatch()
    await asyncio.gather(*(lane() for _ in range(job["connections"])))
    watch.tell(job["count"])


uvloop.run(main())
