"""The standard library's smtplib: one connection, one mail after the other."""

import smtplib
import ssl
from pathlib import Path

from tests.bench.peers.stopwatch import Stopwatch, read_job


def main() -> None:
    job = read_job()
    content = Path(job["content_file"]).read_bytes()
    watch = Stopwatch()
    with smtplib.SMTP("127.0.0.1", job["port"], local_hostname="bench.test") as client:
        if job["ca_file"]:
            context = ssl.create_default_context(cafile=job["ca_file"])
            context.check_hostname = False  # it is called by its address
            client.starttls(context=context)
            client.login(job["username"], job["password"])
        for number in range(job["count"]):
            client.sendmail(
                job["reverse_path"], job["recipient"].replace("*", str(number)), content
            )
    watch.tell(job["count"])


main()
