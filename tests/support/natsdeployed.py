"""nats-server as we deploy it: deploy/nats/nats.conf, with passwords and certificates of a test."""

import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nats
from nats.aio.client import Client

from postfleet.tls import tls_options
from postfleet.topology import SERVICES
from tests.support.natsserver import NatsServer

DEPLOY = Path(__file__).parents[2] / "deploy/nats"
CONFIGURATION = DEPLOY / "nats.conf"
USERS = ("ops", *(service.name for service in SERVICES))


def password(user: str) -> str:
    return f"p{user.replace('-', '')}9"


def variable(user: str) -> str:
    return f"{user.upper().replace('-', '_')}_PASSWORD"


def make_certificates(folder: Path, names: Iterable[str] = ("localhost",)) -> None:
    """With the script that compose and operators use."""
    subprocess.run(
        [str(DEPLOY / "make-certs"), str(folder), *names], check=True, capture_output=True
    )


def placed(text: str, certificates: Path) -> str:
    """A configuration that reads its certificates where the test has put them."""
    return text.replace("/etc/nats-tls/", f"{certificates}/")


class DeployedNats(NatsServer):
    """Every user has `password(user)`; clients trust `ca_file`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="natsdeployed")
        folder = Path(self._folder.name)
        make_certificates(folder / "tls")
        self.ca_file = str(folder / "tls/ca.crt")
        config = folder / "nats.conf"
        config.write_text(placed(CONFIGURATION.read_text(), folder / "tls"))
        super().__init__(config_file=config)
        self.url = f"tls://localhost:{self.port}"

    def __enter__(self) -> Self:
        os.environ.update({variable(user): password(user) for user in USERS})
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        for user in USERS:
            os.environ.pop(variable(user), None)
        self._folder.cleanup()

    async def connect(self, user: str, **options: Any) -> Client:
        return await nats.connect(
            self.url,
            user=user,
            password=password(user),
            inbox_prefix=f"_INBOX_{user}".encode(),
            **{**tls_options(self.url, self.ca_file), **options},
        )

    def _ready(self) -> bool:
        # The monitor: the server greets nobody before TLS.
        try:
            with urllib.request.urlopen(
                f"{self.monitor_url}/healthz?js-enabled-only=true", timeout=1
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
