"""python -m servicekit.probe ADDRESS: whether a process is healthy, for container health checks.

An address is host:port of a gRPC server, or an http:// URL that answers 200 when all is well. The exit status is 0
when it is healthy and 1 when it is not, with the reason on standard error. No token is needed.
"""

import sys

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 5.0


def main() -> None:
    """Probe the address that the command line names."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(why_unhealthy(sys.argv[1]) or 0)


def why_unhealthy(address: str) -> str:
    """Why a server cannot do its work; empty when it can."""
    return _over_http(address) if address.startswith(("http://", "https://")) else _over_grpc(address)


def _over_http(url: str) -> str:
    try:
        status = httpx.get(url, timeout=SECONDS).status_code
    except httpx.HTTPError as error:
        return f"{url} does not answer ({type(error).__name__})"
    return "" if status == 200 else f"{url} answers {status}"


def _over_grpc(address: str) -> str:
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        except grpc.RpcError as error:
            return f"{address} does not answer ({error})"
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return "" if name == "SERVING" else f"{address} is {name}"


if __name__ == "__main__":
    main()
