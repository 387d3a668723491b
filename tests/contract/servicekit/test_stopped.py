"""A server that is there and answers nothing, such as one that was stopped or whose machine is cut off."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.channels import OPTIONS, Channel
from tests.servers.programs import free_port

PATIENCE_SECONDS = 120


@pytest.fixture
def servers() -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Two processes that serve, by their addresses."""
    addresses: set[str] = set()
    while len(addresses) < 2:
        addresses.add(f"127.0.0.1:{free_port()}")
    module = "tests.contract.servicekit.healthy"
    with ExitStack() as stack:
        started = {
            address: stack.enter_context(subprocess.Popen([sys.executable, "-m", module, address]))
            for address in addresses
        }
        for process in started.values():
            stack.callback(process.kill)
        yield started


async def check(channel: Channel, seconds: float) -> int:
    """Ask for the health of whichever server the channel chooses."""
    wait = {"wait_for_ready": True}
    request = health_pb2.HealthCheckRequest()
    answer = await health_pb2_grpc.HealthStub(channel.grpc).Check(request, **channel.within(seconds), **wait)
    return answer.status


async def test_a_call_to_a_server_that_stopped_goes_to_another_one(servers):
    """M.3: it waits no longer than it takes to notice, and those after it do not wait at all."""
    limits = dict(OPTIONS)
    noticed = (limits["grpc.keepalive_time_ms"] + limits["grpc.http2.ping_timeout_ms"]) / 1000
    channel = Channel(f"ipv4:///{','.join(servers)}")
    for address in servers:  # each is there before the other one stops
        alone = Channel(address)
        await check(alone, PATIENCE_SECONDS)
        await alone.close()
    before = [await check(channel, PATIENCE_SECONDS) for _ in range(6)]
    next(iter(servers.values())).send_signal(signal.SIGSTOP)
    after = [await check(channel, noticed + 15) for _ in range(6)]
    await channel.close()

    assert {*before, *after} == {health_pb2.HealthCheckResponse.SERVING}
