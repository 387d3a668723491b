"""How a job goes from one state to the next. Pure: each function takes the job as it is and returns it as it will be.

A function that returns the very job it was given found the change made already: a repeat.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.metadata.domain.entities import ENDED, Job, JobError, JobStatus
from services.metadata.domain.errors import FieldMalformed, JobEnded, JobNotFailed, LeaseLost

Change = Callable[[Job, datetime], Job]

ALMOST_DONE = 0.999
"""Most progress of a job that is not completed: 1 is kept for that."""
SHORTEST_LEASE = timedelta(seconds=1)
LONGEST_LEASE = timedelta(seconds=600)
FREE: dict[str, Any] = {"lease_owner": "", "lease_expire_time": None}


def check_lease(lease: timedelta) -> None:
    """Raise an InvalidInput for a lease that is too short or too long."""
    if not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
        raise FieldMalformed("lease", problem=f"{lease.total_seconds():g} seconds", advice="It is 1 to 600 seconds")


def check_progress(progress: float) -> None:
    """Raise an InvalidInput for progress that is not between 0 and 1."""
    if math.isnan(progress) or not 0 <= progress <= 1:
        raise FieldMalformed("progress", problem=f"{progress:g}", advice="It is 0 to 1")


def is_due(job: Job, now: datetime) -> bool:
    """Whether a worker may claim it."""
    if job.status is JobStatus.QUEUED:
        return job.due_time is None or job.due_time <= now
    return job.status is JobStatus.RUNNING and job.lease_expire_time is not None and job.lease_expire_time < now


def claim(worker: str, lease: timedelta) -> Change:
    """A worker takes a job that is due."""

    def change(job: Job, now: datetime) -> Job:
        return replace(
            job,
            status=JobStatus.RUNNING,
            lease_owner=worker,
            lease_expire_time=now + lease,
            fencing_token=job.fencing_token + 1,
            due_time=None,
        )

    return change


def heartbeat(token: int, lease: timedelta, progress: float, stage: str, message: str) -> Change:
    """Its worker is alive and this far."""

    def change(job: Job, now: datetime) -> Job:
        _check_held(job, token)
        return replace(
            job,
            lease_expire_time=now + lease,
            progress=_forward(job, progress),
            stage=stage or job.stage,
            message=message or job.message,
        )

    return change


def advance(token: int, step: str, state: dict[str, Any] | None, progress: float) -> Change:
    """Its worker has done a step; whatever failed before that is overcome."""

    def change(job: Job, _: datetime) -> Job:
        _check_held(job, token)
        return replace(job, step=step, state=state, progress=_forward(job, progress), attempt=0, error=None)

    return change


def complete(token: int, result: dict[str, Any]) -> Change:
    """Its worker has done all of it."""

    def change(job: Job, now: datetime) -> Job:
        if _was_ours(job, token) and job.status is JobStatus.COMPLETED:
            return job
        _check_held(job, token)
        ended = _ended(job, JobStatus.COMPLETED, now)
        return replace(ended, progress=1.0, stage="completed", message="", state=None, result=result, error=None)

    return change


def fail(token: int, error: JobError, retry_time: datetime | None) -> Change:
    """Its worker cannot do it: not at all, or not before a time."""

    def change(job: Job, now: datetime) -> Job:
        outcome = JobStatus.QUEUED if retry_time else JobStatus.FAILED
        if _was_ours(job, token) and job.status is outcome:
            return job
        _check_held(job, token)
        if retry_time is None:
            return replace(_ended(job, JobStatus.FAILED, now), error=error)
        return replace(job, status=outcome, due_time=retry_time, attempt=job.attempt + 1, error=error, **FREE)

    return change


def cancel(token: int) -> Change:
    """Its user wants it stopped, or, under a token, its worker has stopped it and undone what was done."""

    def change(job: Job, now: datetime) -> Job:
        if job.status is JobStatus.CANCELLED:
            return job
        if token:
            _check_held(job, token)
            return replace(_ended(job, JobStatus.CANCELLED, now), error=None)
        return _cancel_asked(job, now)

    return change


def _cancel_asked(job: Job, now: datetime) -> Job:
    if job.status in ENDED:
        raise JobEnded(id=job.id, status=job.status)
    if job.status is JobStatus.QUEUED and not (job.step or job.attempt or job.state):
        return replace(_ended(job, JobStatus.CANCELLED, now), cancel_requested=True, error=None)
    if job.cancel_requested:
        return job
    # One that waits for its next attempt is due at once: there is something to undo.
    return replace(job, cancel_requested=True, due_time=None)


def retry(job: Job, _: datetime) -> Job:
    """Its user wants it tried again from the beginning."""
    if job.retries and job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        return job
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise JobNotFailed(id=job.id, status=job.status)
    return Job(
        id=job.id,
        create_time=job.create_time,
        etag=job.etag,
        request_id=job.request_id,
        user_id=job.user_id,
        kind=job.kind,
        input=job.input,
        fencing_token=job.fencing_token,
        retries=job.retries + 1,
    )


def _ended(job: Job, status: JobStatus, now: datetime) -> Job:
    return replace(job, status=status, end_time=now, due_time=None, **FREE)


def _forward(job: Job, progress: float) -> float:
    return max(job.progress, min(progress, ALMOST_DONE))


def _was_ours(job: Job, token: int) -> bool:
    return token == job.fencing_token and token > 0


def _check_held(job: Job, token: int) -> None:
    if not _was_ours(job, token):
        raise LeaseLost(id=job.id, token=token)
    if job.status in ENDED:
        raise JobEnded(id=job.id, status=job.status)
    if job.status is not JobStatus.RUNNING:  # its worker has given it back
        raise LeaseLost(id=job.id, token=token)
