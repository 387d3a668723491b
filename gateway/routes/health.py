"""How the gateway and what is behind it are."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import rendering
from gateway.peers import Peers
from gateway.routes import described
from gateway.routes.state import peers_of
from modelyard.storage.v1.storage_pb2 import ListBackendsRequest
from modelyard.training.v1.training_pb2 import ListWorkloadsRequest
from servicekit.channels import Channel

router = APIRouter(tags=["health"])

PROBE_SECONDS = 3.0


@router.get("/healthz")
async def healthz() -> Response:
    """Whether the gateway itself runs."""
    return rendering.answer({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether every service behind the gateway is ready, and why not; which backends and engines there are."""
    peers = peers_of(request)
    reasons = await asyncio.gather(*(why_not(channel) for channel in peers.channels.values()))
    services = {
        name: {"ready": not reason, "reason": reason} for name, reason in zip(peers.channels, reasons, strict=True)
    }
    ready = not any(reasons)
    body: rendering.Json = {"status": "ready" if ready else "degraded", "services": services}
    if ready:
        body |= {"backends": await _backends(peers), "workloads": await _workloads(peers)}
    return rendering.answer(body, 200 if ready else 503)


async def why_not(channel: Channel) -> str:
    """Why a service is not ready; empty when it is."""
    stub = health_pb2_grpc.HealthStub(channel.grpc)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), **channel.within(PROBE_SECONDS))
    except AioRpcError as error:
        return f"{channel.address} does not answer ({error.code().name})"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return "" if serving else f"{channel.address} is not healthy; its log tells why"


async def _backends(peers: Peers) -> list[rendering.Json]:
    answer = await peers.storage.ListBackends(ListBackendsRequest(), **peers.quick)
    return [
        {
            "name": backend.name,
            "configured": backend.configured,
            "reachable": backend.reachable,
            "reason": backend.reason,
        }
        for backend in answer.backends
    ]


async def _workloads(peers: Peers) -> list[rendering.Json]:
    answer = await peers.training.ListWorkloads(ListWorkloadsRequest(), **peers.quick)
    return [
        {"name": workload.name, "available": list(workload.available), "unavailable": list(workload.unavailable)}
        for workload in answer.workloads
    ]


@router.get("/metrics", response_class=Response, responses=described.answers("text/plain", "Metrics."))
async def metrics() -> Response:
    """Prometheus metrics of the gateway."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
