"""A server that answers nothing any more, such as one that was stopped or whose machine is cut off."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import grpc
import pytest
from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard.storage.v1.storage_pb2 import Object, UploadRequest
from modelyard.storage.v1.storage_pb2_grpc import (
    StorageServiceServicer,
    StorageServiceStub,
    add_StorageServiceServicer_to_server,
)
from servicekit import statuses
from servicekit.channels import CHUNK_BYTES, OPTIONS, Channel
from tests.servers.programs import free_port

PATIENCE_SECONDS = 120


@pytest.fixture
def servers() -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Two processes that serve, by their addresses."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
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


class Unread(StorageServiceServicer):
    """Takes what is sent and never answers."""

    async def Upload(self, request_iterator: AsyncIterator[UploadRequest], context: object) -> Object:
        async for _ in request_iterator:
            pass
        return Object()


async def cut_off(uploads: int) -> list[AioRpcError]:
    """How uploads end whose server stops while they are sent."""

    async def endless() -> AsyncIterator[UploadRequest]:
        while True:
            yield UploadRequest(chunk=bytes(CHUNK_BYTES))

    async def outcome() -> AioRpcError:
        with pytest.raises(AioRpcError) as caught:
            await StorageServiceStub(channel.grpc).Upload(endless(), **channel.within(PATIENCE_SECONDS))
        return caught.value

    server = grpc.aio.server()
    add_StorageServiceServicer_to_server(Unread(), server)
    channel = Channel(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    async with asyncio.TaskGroup() as tasks:
        ended = [tasks.create_task(outcome()) for _ in range(uploads)]
        await asyncio.sleep(0.1)
        await server.stop(None)
    await channel.close()
    return [task.result() for task in ended]


async def test_a_call_that_is_cut_off_while_it_is_sent_is_worth_a_repeat():
    """M.3: about every tenth of them is INTERNAL to the client library, and to nobody else."""
    ended = [error for _ in range(15) for error in await cut_off(uploads=4)]

    assert [error for error in ended if not statuses.was_broken_off(error)] == []
    assert all(statuses.is_transient(error) for error in ended)
