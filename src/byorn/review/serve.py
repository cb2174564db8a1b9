"""The review page on this computer, until somebody stops it."""

import socket
from collections.abc import Callable

import uvicorn

from byorn.errors import ConfigError
from byorn.review.app import build_app
from byorn.review.desk import Desk
from byorn.review.guard import Guard
from byorn.runs.stopping import Terminated

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Says that it is ready only once it heeds signals: an interrupt before may be raised where nobody catches it."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(desk: Desk, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page on the loopback interface; returns when it is interrupted.

    Args:
        desk: What is decided about.
        port: 0 takes a free one.
        ready: Called with the link that opens the page, once.

    Raises:
        ConfigError: The port is taken.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()  # whoever follows the link at once waits, and is not refused
        except OSError as error:
            raise ConfigError(f"--port {port}: {error.strerror}; choose another, or leave it out") from error
        taken = listener.getsockname()[1]
        guard = Guard(build_app(desk), taken)
        config = uvicorn.Config(
            guard, log_level="error", access_log=False, server_header=False, proxy_headers=False, ws="none",
            lifespan="off", timeout_graceful_shutdown=2,
        )  # fmt: skip
        link = f"http://{HOST}:{taken}/?token={guard.token}"
        try:
            _Server(config, lambda: ready(link)).run(sockets=[listener])
        except Terminated:
            raise
        except KeyboardInterrupt:  # how people end it
            return
