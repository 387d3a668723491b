"""Workers that claim jobs and carry them through, and the sweep of what was left in the middle."""

import asyncio
import os
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress

from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError

from gateway.flows import training
from gateway.flows.claim import Claim, LeaseLost
from gateway.flows.engine import LONGEST_RETRY_SECONDS, Flow, carry, later
from gateway.flows.leftovers import Leftovers
from gateway.peers import Peers
from gateway.problems import UNFORESEEN
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.job_pb2 import ClaimJobRequest, Job, JobError
from servicekit import statuses
from servicekit.logging import get_logger

log = get_logger()

FLOWS: Mapping[str, Flow] = {flow.kind: flow for flow in (training.FLOW,)}
POLL_SECONDS = 1.0


class Workers:
    """Claims jobs, as many at a time as there are slots, and as many that are to be cancelled beside them: those that
    hold a slot may wait for their turn for hours."""

    def __init__(self, peers: Peers, settings: GatewaySettings) -> None:
        self._peers = peers
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._work_waits = asyncio.Event()
        self._claims: dict[str, Claim] = {}
        self._cancelled: asyncio.Queue[str] = asyncio.Queue()

    def wake(self) -> None:
        """Look for a job now rather than with the next poll."""
        self._work_waits.set()

    def look_at(self, job_id: str) -> None:
        """Look at once at a job that is to be cancelled, if it is carried here, or by nobody; who carries it elsewhere
        hears of it with the next sign of life."""
        if claim := self._claims.get(job_id):
            claim.look()
        else:
            self._cancelled.put_nowait(job_id)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.job_slots):
                tasks.create_task(self._work())
                tasks.create_task(self._undo())
            tasks.create_task(Leftovers(self._peers, self._settings.pending_upload_seconds).keep_settling())

    async def _work(self) -> None:
        while True:
            try:
                job = await self._claim()
                if job is not None:
                    await self._carry(job)
                    continue
            except AioRpcError as error:
                log.warning("jobs cannot be reached", code=error.code().name, detail=error.details())
                await asyncio.sleep(POLL_SECONDS)
            await self._wait()

    async def _undo(self) -> None:
        while True:
            job_id = await self._cancelled.get()
            try:
                job = await self._claim(job_id)
                if job is not None:
                    await self._carry(job)
            except AioRpcError as error:  # it is due, and whoever has a free slot next finds it
                log.warning("job not undone yet", job=job_id, code=error.code().name, detail=error.details())

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._work_waits.wait()
        self._work_waits.clear()

    async def _claim(self, job_id: str = "") -> Job | None:
        lease = Duration(seconds=round(self._settings.lease_seconds))
        request = ClaimJobRequest(worker=self._name, kinds=list(FLOWS), lease=lease, id=job_id)
        response = await self._peers.jobs.ClaimJob(request, **self._peers.quick)
        return response.job if response.HasField("job") else None

    async def _carry(self, job: Job) -> None:
        log.info("job claimed", job=job.id, kind=job.kind, step=job.step, fencing_token=job.fencing_token)
        claim = self._claims[job.id] = Claim(self._peers, job, self._settings.lease_seconds)
        try:
            async with claim.kept_alive():
                await carry(FLOWS[job.kind], claim)
        except LeaseLost:
            log.warning("job lost to another worker", job=job.id)
        except AioRpcError as error:
            if statuses.is_transient(error):
                raise
            await self._put_off(claim)
        except Exception:  # noqa: BLE001 — one job that cannot be carried must not end the worker of all others
            await self._put_off(claim)
        finally:
            self._forget(claim)

    def _forget(self, claim: Claim) -> None:
        if self._claims.get(claim.job.id) is claim:  # not one that was lost and claimed again meanwhile
            del self._claims[claim.job.id]

    async def _put_off(self, claim: Claim) -> None:
        """Queue a job again that failed in a way nobody foresaw; to be called while that is being handled."""
        log.exception("job put off", job=claim.job.id)
        await later(claim, JobError(code="INTERNAL", message=UNFORESEEN, retryable=True), LONGEST_RETRY_SECONDS)
