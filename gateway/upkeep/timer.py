"""Sweeps, replicates and ends old sessions from time to time.

Several gateways may do so at once: every step bears being repeated.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator

from grpc.aio import AioRpcError

from gateway.peers import SCAN_SECONDS, Peers
from gateway.upkeep.findings import Finding, Outcome, Step, Summary
from gateway.upkeep.replicating import replicate
from gateway.upkeep.sweeping import sweep
from modelyard.metadata.v1.account_pb2 import DeleteExpiredSessionsRequest
from servicekit.logging import get_logger

log = get_logger()


async def keep_up(peers: Peers, every_seconds: float) -> None:
    """Do so until cancelled; never when told every 0 seconds."""
    while every_seconds:
        # Not all gateways at the same moment, and none at its start, when there is enough to do.
        await asyncio.sleep(every_seconds * random.uniform(0.9, 1.1))  # noqa: S311 — no secret depends on it
        await _once(peers)


async def _once(peers: Peers) -> None:
    started = time.monotonic()
    try:
        swept, replicated = await _summed(sweep(peers)), await _summed(replicate(peers))
        ended = await peers.accounts.DeleteExpiredSessions(DeleteExpiredSessionsRequest(), **peers.within(SCAN_SECONDS))
    except AioRpcError as error:
        log.warning("upkeep put off", code=error.code().name, detail=error.details())
    except Exception:  # upkeep that fails once must not be the last
        log.exception("upkeep failed unexpectedly")
    else:
        log.info(
            "[CLEANUP] upkeep done",
            swept=swept.outcomes[Outcome.DONE],
            swept_bytes=swept.size,
            replicated=replicated.outcomes[Outcome.DONE],
            sessions=ended.count,
            failed=swept.outcomes[Outcome.FAILED] + replicated.outcomes[Outcome.FAILED],
            seconds=round(time.monotonic() - started, 1),
        )


async def _summed(steps: AsyncGenerator[Step, None]) -> Summary:
    summary = Summary()
    async for step in steps:
        summary.add(step)
        if isinstance(step, Finding) and step.outcome is Outcome.FAILED:
            log.warning("upkeep left something", message=step.message, placement=step.placement, key=step.key)
    return summary
