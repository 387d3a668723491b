"""Jobs over HTTP: one durable job, three views."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from grpc.aio import AioRpcError
from sse_starlette import EventSourceResponse, ServerSentEvent

from gateway import problems, rendering
from gateway.identity import User
from gateway.peers import TRAINING_SECONDS, Peers
from gateway.routes import described
from gateway.routes.listing import Listing
from gateway.routes.state import owned_job, peers_of, workers_of
from modelyard.metadata.v1.job_pb2 import (
    JOB_STATUS_COMPLETED,
    CancelJobRequest,
    Job,
    ListJobsRequest,
    RetryJobRequest,
    WatchJobRequest,
)
from servicekit import statuses

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

PING_SECONDS = 15
AGAIN_SECONDS = 0.5
EVENT_STREAM = "text/event-stream"


@router.get("")
async def list_jobs(request: Request, user: User, listing: Listing) -> Response:
    """The user's jobs, newest first, their results without the data of charts: ask for a job to have it whole."""
    peers = peers_of(request)
    wanted = ListJobsRequest(user_id=user, omitted_results=["visualizations"], **listing.asked)
    page = await peers.jobs.ListJobs(wanted, **peers.quick)
    jobs = [rendering.job(record) for record in page.jobs]
    return rendering.answer({"jobs": jobs, "nextPageToken": page.next_page_token})


@router.get("/{job_id}")
async def get_job(request: Request, user: User, job_id: str) -> Response:
    """A job as it stands."""
    return rendering.answer(rendering.job(await owned_job(peers_of(request), user, job_id)))


@router.get("/{job_id}/events", response_class=Response, responses=described.EVENTS)
async def follow_job(request: Request, user: User, job_id: str) -> Response:
    """A job's events as they happen: status, progress, and at last complete or error, exactly one of the two."""
    return _event_stream(peers_of(request), await owned_job(peers_of(request), user, job_id))


@router.post("/{job_id}/cancel", status_code=202)
async def cancel_job(request: Request, user: User, job_id: str) -> Response:
    """Stop a job and undo what it did."""
    peers = peers_of(request)
    job = await owned_job(peers, user, job_id)
    job = await peers.jobs.CancelJob(CancelJobRequest(id=job.id), **peers.quick)
    workers_of(request).look_at(job.id)
    return rendering.answer(rendering.job(job), 202)


@router.post("/{job_id}/retry", status_code=202)
async def retry_job(request: Request, user: User, job_id: str) -> Response:
    """Queue a failed or cancelled job again, from its first step."""
    peers = peers_of(request)
    job = await owned_job(peers, user, job_id)
    job = await peers.jobs.RetryJob(RetryJobRequest(id=job.id), **peers.quick)
    workers_of(request).wake()
    return rendering.answer(rendering.job(job), 202)


async def answer_for(request: Request, job: Job, wait: bool) -> Response:
    """Answer to who asked for a job: at once, when it has ended, or with its events, as they wish."""
    peers = peers_of(request)
    if EVENT_STREAM in request.headers.get("accept", ""):
        return _event_stream(peers, job)
    if not wait:
        return rendering.answer(rendering.job(job), 202, {"location": f"/api/jobs/{job.id}"})
    job = await _ended(request, peers, job)
    if job.status == JOB_STATUS_COMPLETED:
        return rendering.answer(rendering.job(job))
    if job.status not in rendering.ENDED:  # said to nobody
        return rendering.answer(rendering.job(job), 202)
    return problems.problem(409, job.error.code or "CANCELLED", job.error.message or "The job was cancelled.")


async def _ended(request: Request, peers: Peers, job: Job) -> Job:
    """The job once it has ended, or as it was if its caller leaves before."""
    waiting, leaving = asyncio.create_task(_last(peers, job)), asyncio.create_task(_left(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else job
    finally:
        waiting.cancel()
        leaving.cancel()
        await asyncio.wait({waiting, leaving})


async def _last(peers: Peers, job: Job) -> Job:
    async with aclosing(_watch(peers, job)) as changes:
        async for now in changes:
            job = now
    return job


async def _left(request: Request) -> None:
    """Returns when the caller of a request, whose body has been read, is there no longer."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event_stream(peers: Peers, job: Job) -> Response:
    return EventSourceResponse(_events(peers, job), ping=PING_SECONDS, headers={"x-job-id": job.id})


async def _events(peers: Peers, job: Job) -> AsyncIterator[ServerSentEvent]:
    status = None
    async for now in _watch(peers, job):
        if now.status in rendering.ENDED:
            yield _terminal(now)
            return
        yield _event("progress" if now.status == status else "status", rendering.job(now))
        status = now.status


def _terminal(job: Job) -> ServerSentEvent:
    shown = rendering.job(job)
    if job.status == JOB_STATUS_COMPLETED:
        return _event("complete", shown | (shown["result"] or {}))
    shown["error"] = shown["error"] or {"code": "CANCELLED", "message": "The job was cancelled.", "retryable": False}
    return _event("error", shown)


def _event(kind: str, body: rendering.Json) -> ServerSentEvent:
    return ServerSentEvent(orjson.dumps({"type": kind} | body).decode(), event=kind)


async def _watch(peers: Peers, job: Job) -> AsyncGenerator[Job, None]:
    """The job at every change until it has ended, across restarts of the service that keeps it."""
    ended = False
    while not ended:
        call = peers.jobs.WatchJob(WatchJobRequest(id=job.id), **peers.within(TRAINING_SECONDS))
        try:
            async for now in call:
                ended = now.status in rendering.ENDED
                yield now
        except AioRpcError as error:
            if not statuses.is_transient(error):
                raise
            await asyncio.sleep(AGAIN_SECONDS)
        finally:
            call.cancel()  # of no effect once it has ended; a caller that left ends it
