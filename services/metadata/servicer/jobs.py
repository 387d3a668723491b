"""Durable jobs."""

from collections.abc import AsyncIterator
from dataclasses import replace

from typing_extensions import override

from modelyard.metadata.v1 import job_pb2, job_pb2_grpc
from services.metadata import converters
from services.metadata.domain.entities import Job
from services.metadata.domain.jobs import Jobs
from services.metadata.servicer.aggregate import Aggregate, Standard


class JobServicer(Aggregate, job_pb2_grpc.JobServiceServicer):
    """Jobs."""

    def __init__(self, jobs: Jobs) -> None:
        service = job_pb2.DESCRIPTOR.services_by_name["JobService"]
        super().__init__(service, Standard(jobs, converters.JOB, shown=_shown))
        self._jobs = jobs

    @override
    async def ClaimJob(self, request: job_pb2.ClaimJobRequest, context: object) -> job_pb2.ClaimJobResponse:
        lease = converters.span_of(request.lease)
        job = await self._jobs.claim(request.worker, request.kinds, lease, request.id)
        return job_pb2.ClaimJobResponse(job=converters.JOB.encode(job) if job else None)

    @override
    async def HeartbeatJob(self, request: job_pb2.HeartbeatJobRequest, context: object) -> job_pb2.Job:
        lease = converters.span_of(request.lease)
        job = await self._jobs.heartbeat(
            request.id, request.fencing_token, lease, request.progress, request.stage, request.message
        )
        return converters.JOB.encode(job)

    @override
    async def AdvanceJob(self, request: job_pb2.AdvanceJobRequest, context: object) -> job_pb2.Job:
        state = converters.document_of(request.state)
        job = await self._jobs.advance(request.id, request.fencing_token, request.step, state, request.progress)
        return converters.JOB.encode(job)

    @override
    async def CompleteJob(self, request: job_pb2.CompleteJobRequest, context: object) -> job_pb2.Job:
        result = converters.document_of(request.result)
        return converters.JOB.encode(await self._jobs.complete(request.id, request.fencing_token, result))

    @override
    async def FailJob(self, request: job_pb2.FailJobRequest, context: object) -> job_pb2.Job:
        error, retry_time = converters.JOB_ERROR.decode(request.error), converters.retry_time_of(request)
        return converters.JOB.encode(await self._jobs.fail(request.id, request.fencing_token, error, retry_time))

    @override
    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: object) -> job_pb2.Job:
        return converters.JOB.encode(await self._jobs.cancel(request.id, request.fencing_token))

    @override
    async def RetryJob(self, request: job_pb2.RetryJobRequest, context: object) -> job_pb2.Job:
        return converters.JOB.encode(await self._jobs.retry(request.id))

    @override
    async def WatchJob(self, request: job_pb2.WatchJobRequest, context: object) -> AsyncIterator[job_pb2.Job]:
        async for job in self._jobs.watch(request.id):
            yield converters.JOB.encode(job)


def _shown(request: job_pb2.ListJobsRequest, job: Job) -> Job:
    if not job.result or not request.omitted_results:
        return job
    omitted = frozenset(request.omitted_results)
    return replace(job, result={name: value for name, value in job.result.items() if name not in omitted})
