"""python -m gateway"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from gateway.bootstrap import create_app
from gateway.sendfile import FileProtocol
from gateway.settings import GatewaySettings
from servicekit.logging import get_logger
from servicekit.server import begin, stop_signal

log = get_logger()

DRAIN_SECONDS = 5


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    host, _, port = settings.bind.rpartition(":")
    config = uvicorn.Config(
        create_app(settings),
        host=host.strip("[]"),
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        http=FileProtocol,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop_signal(settings.exit_with_parent).wait())
    log.info("serving", url=f"http://{settings.bind}")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


class _Server(uvicorn.Server):
    """Leaves signals to us: they and the end of the parent are one and the same to the gateway."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def main() -> None:
    """Read the settings and serve."""
    uvloop.run(serve(begin("gateway", GatewaySettings)))


if __name__ == "__main__":
    main()
