"""A real server whose one method does what the test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelyard.metadata.v1.job_pb2 import GetJobRequest, Job, WatchJobRequest
from modelyard.metadata.v1.job_pb2_grpc import JobServiceServicer, add_JobServiceServicer_to_server
from servicekit.channels import Channel
from servicekit.server import Application, Probe, Service, serving
from servicekit.settings import ServerSettings

Behaviour = Callable[[str], Awaitable[Job]]


class Servicer(JobServiceServicer):
    """Does what it is told, once as a unary call and once as a stream."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    async def GetJob(self, request: GetJobRequest, context: Any) -> Job:
        return await self._behaviour(request.id)

    async def WatchJob(self, request: WatchJobRequest, context: Any) -> AsyncIterator[Job]:
        yield Job(id="first")
        yield await self._behaviour(request.id)


@pytest.fixture
def served(tmp_path: Path):
    """Serve a behaviour for the length of a block; gives a channel to it."""

    @asynccontextmanager
    async def serve(
        behaviour: Behaviour,
        probes: dict[str, Probe] | None = None,
        token: str = "",
        call_token: str = "",
        name: str = "socket",
    ) -> AsyncIterator[Channel]:
        service = Service("modelyard.metadata.v1.JobService", add_JobServiceServicer_to_server, Servicer(behaviour))
        settings = ServerSettings(bind="127.0.0.1:0", service_token=token, drain_seconds=30)
        application = Application([service], probes or {})
        async with serving(application, f"unix:{tmp_path}/{name}", settings) as server:
            channel = Channel(server.address, call_token)
            try:
                yield channel
            finally:
                await channel.close()

    return serve
