"""aiosmtplib's front page: `await aiosmtplib.send(message, …)` for each EmailMessage, several at a time."""

import asyncio
import ssl
from email.message import EmailMessage
from typing import Any

import aiosmtplib

from tests.bench.peers.stopwatch import Stopwatch, read_job


def _message(job: dict[str, Any], number: int) -> EmailMessage:
    message = EmailMessage()
    message["From"] = job["reverse_path"]
    message["To"] = job["recipient"].replace("*", str(number))
    message["Subject"] = f"An offer for number {number}"
    message.set_content(job["text"].replace("{{ first_name }}", f"Person {number}"))
    message.add_alternative(
        job["html"].replace("{{ first_name }}", f"Person {number}"), subtype="html"
    )
    return message


async def main() -> None:
    job = read_job()
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": job["port"]}
    if job["ca_file"]:
        context = ssl.create_default_context(cafile=job["ca_file"])
        context.check_hostname = False  # it is called by its address
        options |= {"start_tls": True, "tls_context": context}
        options |= {"username": job["username"], "password": job["password"]}
    else:
        options["start_tls"] = False
    numbers = iter(range(job["count"]))

    async def lane() -> None:
        for number in numbers:
            await aiosmtplib.send(_message(job, number), **options)

    watch = Stopwatch()
    await asyncio.gather(*(lane() for _ in range(job["connections"])))
    watch.tell(job["count"])


asyncio.run(main())
