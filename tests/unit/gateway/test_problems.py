"""The table between statuses and HTTP."""

import orjson
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from gateway.problems import of_status


@pytest.mark.parametrize(
    ("code", "details", "status", "reason"),
    [
        (StatusCode.UNAVAILABLE, "recvmsg: Connection reset by peer", 503, "PEER_DOWN"),
        (StatusCode.CANCELLED, "Cancelling all calls", 503, "PEER_DOWN"),
        (StatusCode.UNKNOWN, "Stream removed", 503, "PEER_DOWN"),
        (StatusCode.INTERNAL, "Internal error from Core", 503, "PEER_DOWN"),
        (StatusCode.INTERNAL, "Something went wrong that we did not foresee.", 500, "INTERNAL"),
    ],
)
def test_a_service_that_went_away_in_mid_call_is_worth_a_repeat(code, details, status, reason):
    """M.3: whatever the client library calls it; what a service itself says is not."""
    document = of_status(AioRpcError(code, Metadata(), Metadata(), details=details))

    error = orjson.loads(document.body)["error"]
    assert (document.status_code, error["code"], error["retryable"]) == (status, reason, status == 503)
    assert ("retry-after" in document.headers) == error["retryable"]
    assert details not in error["message"]
