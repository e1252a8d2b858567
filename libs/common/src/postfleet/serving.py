"""Runs one service: uvicorn on uvloop, an end within the grace period on SIGTERM."""

from typing import Any

import uvicorn

from postfleet.settings import ServiceSettings


def serve(app: Any, settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT; returns after the app's lifespan has drained."""
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=16 * 1024,
    )
