"""The health check of containers."""

import asyncio
import subprocess
import sys

from servicekit import probe
from servicekit.server import Application, serving
from servicekit.settings import ServerSettings


def settings() -> ServerSettings:
    return ServerSettings(_env_file=None, bind="127.0.0.1:0", service_token="a token that the probe does not know")


async def test_a_server_that_serves_is_healthy_and_asks_the_probe_for_no_token():
    async with serving(Application(services=()), "127.0.0.1:0", settings()) as server:
        await asyncio.sleep(0.05)  # until its first look at itself

        assert await asyncio.to_thread(probe.why_unhealthy, server.address) == ""


async def test_a_server_whose_own_probe_fails_is_not():
    async def broken() -> None:
        raise OSError("the disk is full")

    async with serving(Application(services=(), probes={"disk": broken}), "127.0.0.1:0", settings()) as server:
        await asyncio.sleep(0.05)

        assert await asyncio.to_thread(probe.why_unhealthy, server.address) == f"{server.address} is NOT_SERVING"


def test_the_status_of_the_process_says_it(gateway):
    def run(address: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "servicekit.probe", address]
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    gateway.on("GET /readyz", lambda request: request.send(200, b"{}"), lambda request: request.send(503, b"{}"))
    url = f"{gateway.url}/readyz"
    well, ill, absent = run(url), run(url), run("http://127.0.0.1:1/readyz")

    assert (well.returncode, well.stderr) == (0, "")
    assert (ill.returncode, ill.stderr) == (1, f"{url} answers 503\n")
    assert (absent.returncode, absent.stderr) == (1, "http://127.0.0.1:1/readyz does not answer (ConnectError)\n")


def test_nobody_listening_is_unhealthy():
    assert "127.0.0.1:1 does not answer" in probe.why_unhealthy("127.0.0.1:1")
