"""Client channels: retries by service config, load spread over all addresses, and a deadline on every call."""

import json
from typing import TypedDict

import grpc
import structlog

from servicekit.interceptors import REQUEST_ID

SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)

OPTIONS = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
)

# Bytes of one message of a byte stream: the fastest size, and far below the 4 MiB limit of a message.
CHUNK_BYTES = 256 * 1024


class CallOptions(TypedDict):
    """What every call of a stub is given besides its request."""

    timeout: float
    metadata: tuple[tuple[str, str], ...]


class Channel:
    """A channel to one service, and the options with which to call it."""

    def __init__(self, address: str, token: str = "") -> None:
        target = address if ":///" in address or address.startswith("unix:") else f"dns:///{address}"
        self.address = address
        self.grpc = grpc.aio.insecure_channel(target, options=OPTIONS)
        self._identity = (("authorization", f"Bearer {token}"),) if token else ()

    def within(self, seconds: float) -> CallOptions:
        """Options of a call that must end within so many seconds; it carries the request's id and our token."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        tracing = ((REQUEST_ID, str(request_id)),) if request_id else ()
        return {"timeout": seconds, "metadata": self._identity + tracing}

    async def close(self) -> None:
        """Close the channel; calls that run are cancelled."""
        await self.grpc.close()
