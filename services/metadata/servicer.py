"""The services of `protos/modelyard/metadata/v1` over the use cases: decode, call, encode."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from typing_extensions import override

from modelyard.metadata.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    project_pb2,
    project_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)
from services.metadata import converters
from services.metadata.domain.artifacts import Artifacts
from services.metadata.domain.datasets import Datasets
from services.metadata.domain.entities import Project, Run
from services.metadata.domain.jobs import Jobs
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.models import Models
from services.metadata.domain.publishing import Publishing
from services.metadata.domain.records import Records


@dataclass(frozen=True)
class ProjectServicer(project_pb2_grpc.ProjectServiceServicer):
    """Projects."""

    projects: Records[Project]

    @override
    async def CreateProject(self, request: project_pb2.CreateProjectRequest, context: object) -> project_pb2.Project:
        given = converters.PROJECT.decode(request.project)
        return converters.PROJECT.encode(await self.projects.create(given, request.request_id))

    @override
    async def GetProject(self, request: project_pb2.GetProjectRequest, context: object) -> project_pb2.Project:
        return converters.PROJECT.encode(await self.projects.get(request.id))

    @override
    async def ListProjects(
        self, request: project_pb2.ListProjectsRequest, context: object
    ) -> project_pb2.ListProjectsResponse:
        page = await self.projects.page(converters.page_of(request))
        projects = converters.PROJECT.encode_all(page.records)
        return project_pb2.ListProjectsResponse(projects=projects, next_page_token=page.next_page_token)

    @override
    async def UpdateProject(self, request: project_pb2.UpdateProjectRequest, context: object) -> project_pb2.Project:
        given = converters.PROJECT.decode(request.project)
        return converters.PROJECT.encode(await self.projects.update(given, request.update_mask.paths))

    @override
    async def DeleteProject(
        self, request: project_pb2.DeleteProjectRequest, context: object
    ) -> project_pb2.DeleteProjectResponse:
        count = await self.projects.delete(request.id, request.allow_missing)
        return project_pb2.DeleteProjectResponse(count=count)


@dataclass(frozen=True)
class DatasetServicer(dataset_pb2_grpc.DatasetServiceServicer):
    """Datasets."""

    datasets: Datasets

    @override
    async def CreateDataset(self, request: dataset_pb2.CreateDatasetRequest, context: object) -> dataset_pb2.Dataset:
        given = converters.DATASET.decode(request.dataset)
        written = converters.WRITTEN.decode(request.artifact) if request.HasField("artifact") else None
        return converters.DATASET.encode(await self.datasets.record(given, request.request_id, written))

    @override
    async def GetDataset(self, request: dataset_pb2.GetDatasetRequest, context: object) -> dataset_pb2.Dataset:
        return converters.DATASET.encode(await self.datasets.get(request.id))

    @override
    async def ListDatasets(
        self, request: dataset_pb2.ListDatasetsRequest, context: object
    ) -> dataset_pb2.ListDatasetsResponse:
        page = await self.datasets.page(converters.page_of(request))
        datasets = converters.DATASET.encode_all(page.records)
        return dataset_pb2.ListDatasetsResponse(datasets=datasets, next_page_token=page.next_page_token)

    @override
    async def UpdateDataset(self, request: dataset_pb2.UpdateDatasetRequest, context: object) -> dataset_pb2.Dataset:
        given = converters.DATASET.decode(request.dataset)
        return converters.DATASET.encode(await self.datasets.update(given, request.update_mask.paths))

    @override
    async def DeleteDataset(
        self, request: dataset_pb2.DeleteDatasetRequest, context: object
    ) -> dataset_pb2.DeleteDatasetResponse:
        count = await self.datasets.delete(request.id, request.allow_missing)
        return dataset_pb2.DeleteDatasetResponse(count=count)


@dataclass(frozen=True)
class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Models."""

    models: Models
    publishing: Publishing

    @override
    async def PublishModelVersion(
        self, request: model_pb2.PublishModelVersionRequest, context: object
    ) -> model_pb2.PublishModelVersionResponse:
        published = await self.publishing.publish(converters.publication_of(request, self.publishing.now()))
        model, version = converters.MODEL.encode(published.model), converters.VERSION.encode(published.version)
        return model_pb2.PublishModelVersionResponse(model=model, version=version)

    @override
    async def GetModel(self, request: model_pb2.GetModelRequest, context: object) -> model_pb2.Model:
        return converters.MODEL.encode(await self.models.get(request.id))

    @override
    async def ListModels(self, request: model_pb2.ListModelsRequest, context: object) -> model_pb2.ListModelsResponse:
        page = await self.models.page(converters.page_of(request, name=request.name))
        models = converters.MODEL.encode_all(page.records)
        return model_pb2.ListModelsResponse(models=models, next_page_token=page.next_page_token)

    @override
    async def DeleteModel(
        self, request: model_pb2.DeleteModelRequest, context: object
    ) -> model_pb2.DeleteModelResponse:
        count = await self.models.delete(request.id, request.allow_missing)
        return model_pb2.DeleteModelResponse(count=count)

    @override
    async def GetModelVersion(
        self, request: model_pb2.GetModelVersionRequest, context: object
    ) -> model_pb2.ModelVersion:
        return converters.VERSION.encode(await self.models.version(request.id, request.model_id, request.version))

    @override
    async def ListModelVersions(
        self, request: model_pb2.ListModelVersionsRequest, context: object
    ) -> model_pb2.ListModelVersionsResponse:
        page = await self.models.versions(request.model_id, request.page_size, request.page_token)
        versions = converters.VERSION.encode_all(page.records)
        return model_pb2.ListModelVersionsResponse(model_versions=versions, next_page_token=page.next_page_token)


@dataclass(frozen=True)
class RunServicer(run_pb2_grpc.RunServiceServicer):
    """Runs."""

    runs: Records[Run]
    metrics: Metrics

    @override
    async def CreateRun(self, request: run_pb2.CreateRunRequest, context: object) -> run_pb2.Run:
        given = converters.RUN.decode(request.run)
        return converters.RUN.encode(await self.runs.create(given, request.request_id))

    @override
    async def GetRun(self, request: run_pb2.GetRunRequest, context: object) -> run_pb2.Run:
        return converters.RUN.encode(await self.runs.get(request.id))

    @override
    async def ListRuns(self, request: run_pb2.ListRunsRequest, context: object) -> run_pb2.ListRunsResponse:
        page = await self.runs.page(converters.page_of(request))
        runs = converters.RUN.encode_all(page.records)
        return run_pb2.ListRunsResponse(runs=runs, next_page_token=page.next_page_token)

    @override
    async def UpdateRun(self, request: run_pb2.UpdateRunRequest, context: object) -> run_pb2.Run:
        given = converters.RUN.decode(request.run)
        return converters.RUN.encode(await self.runs.update(given, request.update_mask.paths))

    @override
    async def DeleteRun(self, request: run_pb2.DeleteRunRequest, context: object) -> run_pb2.DeleteRunResponse:
        count = await self.runs.delete(request.id, request.allow_missing)
        return run_pb2.DeleteRunResponse(count=count)

    @override
    async def LogMetrics(
        self, request_iterator: AsyncIterator[run_pb2.LogMetricsRequest], context: object
    ) -> run_pb2.LogMetricsResponse:
        counts = [await self._log(request) async for request in request_iterator]
        return run_pb2.LogMetricsResponse(count=sum(counts))

    @override
    async def BatchLogMetrics(self, request: run_pb2.LogMetricsRequest, context: object) -> run_pb2.LogMetricsResponse:
        return run_pb2.LogMetricsResponse(count=await self._log(request))

    async def _log(self, request: run_pb2.LogMetricsRequest) -> int:
        given = converters.metrics_of(request.run_id, request.metrics, self.metrics.now())
        return await self.metrics.log(request.run_id, given)

    @override
    async def ListMetrics(self, request: run_pb2.ListMetricsRequest, context: object) -> run_pb2.ListMetricsResponse:
        page = await self.metrics.page(request.run_id, request.name, request.page_size, request.page_token)
        metrics = converters.METRIC.encode_all(page.records)
        return run_pb2.ListMetricsResponse(metrics=metrics, next_page_token=page.next_page_token)


@dataclass(frozen=True)
class ArtifactServicer(artifact_pb2_grpc.ArtifactServiceServicer):
    """Artifacts."""

    artifacts: Artifacts

    @override
    async def CreateArtifact(
        self, request: artifact_pb2.CreateArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        given = converters.ARTIFACT.decode(request.artifact)
        return converters.ARTIFACT.encode(await self.artifacts.create(given, request.request_id))

    @override
    async def GetArtifact(self, request: artifact_pb2.GetArtifactRequest, context: object) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self.artifacts.get(request.id))

    @override
    async def ListArtifacts(
        self, request: artifact_pb2.ListArtifactsRequest, context: object
    ) -> artifact_pb2.ListArtifactsResponse:
        page = await self.artifacts.page(converters.artifacts_page_of(request))
        artifacts = converters.ARTIFACT.encode_all(page.records)
        return artifact_pb2.ListArtifactsResponse(artifacts=artifacts, next_page_token=page.next_page_token)

    @override
    async def ActivateArtifact(
        self, request: artifact_pb2.ActivateArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self.artifacts.activate(converters.WRITTEN.decode(request)))

    @override
    async def RelocateArtifact(
        self, request: artifact_pb2.RelocateArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self.artifacts.relocate(converters.MOVED.decode(request)))

    @override
    async def CountDownload(self, request: artifact_pb2.CountDownloadRequest, context: object) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self.artifacts.count_download(request.placement, request.key))

    @override
    async def RetireArtifact(
        self, request: artifact_pb2.RetireArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self.artifacts.retire(request.id))

    @override
    async def MarkArtifactDeleting(
        self, request: artifact_pb2.MarkArtifactDeletingRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self.artifacts.mark_deleting(request.id))

    @override
    async def DeleteArtifact(
        self, request: artifact_pb2.DeleteArtifactRequest, context: object
    ) -> artifact_pb2.DeleteArtifactResponse:
        count = await self.artifacts.delete(request.id, request.allow_missing)
        return artifact_pb2.DeleteArtifactResponse(count=count)


@dataclass(frozen=True)
class JobServicer(job_pb2_grpc.JobServiceServicer):
    """Jobs."""

    jobs: Jobs

    @override
    async def CreateJob(self, request: job_pb2.CreateJobRequest, context: object) -> job_pb2.Job:
        given = converters.JOB.decode(request.job)
        return converters.JOB.encode(await self.jobs.create(given, request.request_id))

    @override
    async def GetJob(self, request: job_pb2.GetJobRequest, context: object) -> job_pb2.Job:
        return converters.JOB.encode(await self.jobs.get(request.id))

    @override
    async def ListJobs(self, request: job_pb2.ListJobsRequest, context: object) -> job_pb2.ListJobsResponse:
        page = await self.jobs.page(converters.jobs_page_of(request))
        jobs = converters.JOB.encode_all(page.records)
        return job_pb2.ListJobsResponse(jobs=jobs, next_page_token=page.next_page_token)

    @override
    async def ClaimJob(self, request: job_pb2.ClaimJobRequest, context: object) -> job_pb2.ClaimJobResponse:
        job = await self.jobs.claim(request.worker, request.kinds, converters.span_of(request.lease))
        return job_pb2.ClaimJobResponse(job=converters.JOB.encode(job) if job else None)

    @override
    async def HeartbeatJob(self, request: job_pb2.HeartbeatJobRequest, context: object) -> job_pb2.Job:
        lease = converters.span_of(request.lease)
        job = await self.jobs.heartbeat(
            request.id, request.fencing_token, lease, request.progress, request.stage, request.message
        )
        return converters.JOB.encode(job)

    @override
    async def AdvanceJob(self, request: job_pb2.AdvanceJobRequest, context: object) -> job_pb2.Job:
        state = converters.document_of(request.state)
        job = await self.jobs.advance(request.id, request.fencing_token, request.step, state, request.progress)
        return converters.JOB.encode(job)

    @override
    async def CompleteJob(self, request: job_pb2.CompleteJobRequest, context: object) -> job_pb2.Job:
        result = converters.document_of(request.result)
        return converters.JOB.encode(await self.jobs.complete(request.id, request.fencing_token, result))

    @override
    async def FailJob(self, request: job_pb2.FailJobRequest, context: object) -> job_pb2.Job:
        error, retry_time = converters.JOB_ERROR.decode(request.error), converters.retry_time_of(request)
        return converters.JOB.encode(await self.jobs.fail(request.id, request.fencing_token, error, retry_time))

    @override
    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: object) -> job_pb2.Job:
        return converters.JOB.encode(await self.jobs.cancel(request.id, request.fencing_token))

    @override
    async def RetryJob(self, request: job_pb2.RetryJobRequest, context: object) -> job_pb2.Job:
        return converters.JOB.encode(await self.jobs.retry(request.id))

    @override
    async def WatchJob(self, request: job_pb2.WatchJobRequest, context: object) -> AsyncIterator[job_pb2.Job]:
        async for job in self.jobs.watch(request.id):
            yield converters.JOB.encode(job)
