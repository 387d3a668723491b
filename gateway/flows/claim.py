"""A job in the hands of this gateway: signs of life, progress, and the ways to lose it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypedDict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from grpc.aio import AioRpcError

from gateway.peers import Peers
from modelyard.metadata.v1.job_pb2 import HeartbeatJobRequest, Job
from servicekit import errors, statuses
from servicekit.channels import CallOptions
from servicekit.logging import get_logger

if TYPE_CHECKING:  # exists for the type checker only
    from modelyard.metadata.v1.job_pb2_grpc import JobServiceAsyncStub

log = get_logger()

SHORTEST_PAUSE_SECONDS = 0.2
LEASE_LOST = "LEASE_LOST"


class Cancelled(errors.Stopped):
    """The job was cancelled."""


class BrokenOff(errors.Unavailable):
    """A call was broken off on its way; it is made again."""


class LeaseLost(Exception):
    """Another worker has the job now; this one may change nothing more."""


class Fence(TypedDict):
    """What every write of a claimed job carries."""

    id: str
    fencing_token: int


class Claim:
    """A claimed job. Progress is reported as often as one likes; it is written when there is something new."""

    def __init__(self, peers: Peers, job: Job, lease_seconds: float) -> None:
        self.peers = peers
        self.job = job
        self.wanted: dict[str, Any] = MessageToDict(job.input)
        self.fence: Fence = {"id": job.id, "fencing_token": job.fencing_token}
        self._lease_seconds = lease_seconds
        self._news = asyncio.Event()
        self._progress, self._stage, self._message = job.progress, "", ""
        self._cancel_requested = job.cancel_requested
        self._lost = False
        self._guarded: asyncio.Task[None] | None = None
        self._cancellable = False

    @property
    def jobs(self) -> JobServiceAsyncStub:
        """The stub of the service that keeps jobs."""
        return self.peers.jobs

    @property
    def quick(self) -> CallOptions:
        """Options of a call that reads or writes a record."""
        return self.peers.quick

    def report(self, progress: float, stage: str, message: str) -> None:
        """Tell how far the job is: 0 to 1, what it is doing, and a sentence for a person."""
        self._progress, self._stage, self._message = max(progress, self._progress), stage, message
        self._news.set()

    def look(self) -> None:
        """Look at once, not with the next sign of life, whether the job is to be cancelled."""
        self._news.set()

    async def guard(self, work: Coroutine[Any, Any, None], cancellable: bool) -> None:
        """Do some work, and break it off when the job is cancelled or the lease lost."""
        self._cancellable = cancellable
        self._guarded = asyncio.create_task(work)
        self._break_off_if_due()
        try:
            await self._guarded
        except asyncio.CancelledError:
            if self._lost:
                raise LeaseLost(self.job.id) from None
            if _being_cancelled():
                raise
            raise (Cancelled if self._cancel_requested and cancellable else BrokenOff) from None
        finally:
            self._guarded = None

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Give signs of life for the length of the block."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        while not self._lost:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease_seconds / 3):
                    await self._news.wait()
            self._news.clear()
            await self._give_sign()
            self._break_off_if_due()
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)

    async def _give_sign(self) -> None:
        request = HeartbeatJobRequest(
            **self.fence,
            lease=Duration(seconds=max(1, round(self._lease_seconds))),
            progress=self._progress,
            stage=self._stage,
            message=self._message,
        )
        try:
            job = await self.jobs.HeartbeatJob(request, **self.peers.within(self._lease_seconds))
        except AioRpcError as error:
            self._lost = statuses.reason_of(error) == LEASE_LOST
            log.warning("no sign of life given", job=self.job.id, reason=statuses.reason_of(error))
        else:
            self._cancel_requested = job.cancel_requested

    def _break_off_if_due(self) -> None:
        if self._guarded and (self._lost or (self._cancel_requested and self._cancellable)):
            self._guarded.cancel()


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
