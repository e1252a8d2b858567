"""Runs one service: uvicorn on uvloop, an end within the grace period on SIGTERM."""

import resource
import signal
from types import FrameType
from typing import Any

import uvicorn

from postfleet import tracing
from postfleet.settings import ServiceSettings


def serve(app: Any, settings: ServiceSettings, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT; returns after the app's lifespan has drained.

    `options` are uvicorn's own and go before ours.
    """
    leave_no_core()
    tracing.configure(app.title.removeprefix("Postfleet "))
    ours: dict[str, Any] = {"http": "httptools", **options}
    # uvicorn raises the signal again when it has drained: a good end must be exit code 0.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _ended)
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=16 * 1024,
        **ours,
    )
    tracing.close()


def leave_no_core() -> None:
    """A process that dies leaves no image of its memory: it would hold opened secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _ended(number: int, frame: FrameType | None) -> None:
    """The drain is over; there is nothing left to interrupt."""
