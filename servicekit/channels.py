"""Client channels: retries by service config, load spread over all addresses, and a deadline on every call."""

import json
from collections.abc import Sequence
from typing import TypedDict

import grpc
import structlog

from servicekit.handling import REQUEST_ID

RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}

OPTIONS = (
    ("grpc.enable_retries", 1),
    # A server that is stopped, or cut off, holds a call no longer than both together before another one is asked. The
    # second is the patience with any ping; the keepalive's own does not count while one of another kind is on its way.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    # Its connections are its own: another channel's wait after a failure, at the same address, is not for this one.
    ("grpc.use_local_subchannel_pool", 1),
)


def service_config(once: Sequence[str]) -> str:
    """Load spread over all addresses; every method is tried again while unavailable, but for those named `once`."""
    names = [dict(zip(("service", "method"), method.split("/"), strict=True)) for method in once]
    methods = [{"name": names}] * bool(names) + [{"name": [{}], "retryPolicy": RETRY_POLICY}]
    return json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": methods})


# Bytes of one message of a byte stream: the fastest size, and far below the 4 MiB limit of a message.
CHUNK_BYTES = 256 * 1024


class CallOptions(TypedDict):
    """What every call of a stub is given besides its request."""

    timeout: float
    metadata: tuple[tuple[str, str], ...]


class Channel:
    """A channel to one service, and the options with which to call it."""

    def __init__(self, address: str, token: str = "", once: Sequence[str] = ()) -> None:
        """`once` names methods ("package.Service/Method") whose messages cannot be sent a second time."""
        target = address if ":///" in address or address.startswith("unix:") else f"dns:///{address}"
        self.address = address
        self.grpc = grpc.aio.insecure_channel(target, options=(*OPTIONS, ("grpc.service_config", service_config(once))))
        self._identity = (("authorization", f"Bearer {token}"),) if token else ()

    def within(self, seconds: float) -> CallOptions:
        """Options of a call that must end within so many seconds; it carries the request's id and our token."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        tracing = ((REQUEST_ID, str(request_id)),) if request_id else ()
        return {"timeout": seconds, "metadata": self._identity + tracing}

    async def close(self) -> None:
        """Close the channel; calls that run are cancelled."""
        await self.grpc.close()
