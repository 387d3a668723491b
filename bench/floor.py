"""The least that a gateway can cost: a bare FastAPI route that makes one gRPC call and writes JSON."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI
from fastapi.responses import Response

from modelyard.metadata.v1.job_pb2 import GetJobRequest, Job
from modelyard.metadata.v1.job_pb2_grpc import JobServiceServicer, JobServiceStub, add_JobServiceServicer_to_server


class _Service(JobServiceServicer):
    async def GetJob(self, request: GetJobRequest, _: Any) -> Job:  # noqa: N802 — the contract's name
        return Job(id=request.id, user_id="local", kind="train", message="x" * 500)


async def service(peer: int) -> None:
    """Answer the call with a job of usual size."""
    server = grpc.aio.server()
    add_JobServiceServicer_to_server(_Service(), server)
    server.add_insecure_port(f"127.0.0.1:{peer}")
    await server.start()
    await server.wait_for_termination()


def gateway(peer: int) -> FastAPI:
    """One route, one call."""

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        app.state.stub = JobServiceStub(grpc.aio.insecure_channel(f"127.0.0.1:{peer}"))
        yield

    app = FastAPI(lifespan=connected)

    @app.get("/job")
    async def job() -> Response:
        found = await app.state.stub.GetJob(GetJobRequest(id="job"), timeout=5)
        return Response(orjson.dumps({"id": found.id, "kind": found.kind, "message": found.message}))

    return app


if __name__ == "__main__":
    role, port, peer = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if role == "service":
        uvloop.run(service(peer))
    else:
        config = uvicorn.Config(gateway(peer), port=port, log_level="warning", access_log=False)
        uvloop.run(uvicorn.Server(config).serve())
