"""What is recorded together with its bytes: artifacts, datasets, stories."""

from typing_extensions import override

from modelyard.metadata.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
    story_pb2,
    story_pb2_grpc,
)
from services.metadata import converters
from services.metadata.domain.artifacts import Artifacts
from services.metadata.domain.datasets import Datasets
from services.metadata.domain.stories import Stories
from services.metadata.servicer.aggregate import Aggregate, Standard


class DatasetServicer(Aggregate, dataset_pb2_grpc.DatasetServiceServicer):
    """Datasets."""

    def __init__(self, datasets: Datasets) -> None:
        service = dataset_pb2.DESCRIPTOR.services_by_name["DatasetService"]
        super().__init__(service, Standard(datasets, converters.DATASET))
        self._datasets = datasets

    @override
    async def CreateDataset(self, request: dataset_pb2.CreateDatasetRequest, context: object) -> dataset_pb2.Dataset:
        given, written = converters.DATASET.decode(request.dataset), converters.written_of(request)
        return converters.DATASET.encode(await self._datasets.record(given, request.request_id, written))


class StoryServicer(Aggregate, story_pb2_grpc.StoryServiceServicer):
    """Stories."""

    def __init__(self, stories: Stories) -> None:
        super().__init__(story_pb2.DESCRIPTOR.services_by_name["StoryService"], Standard(stories, converters.STORY))
        self._stories = stories

    @override
    async def CreateStory(self, request: story_pb2.CreateStoryRequest, context: object) -> story_pb2.Story:
        given, written = converters.STORY.decode(request.story), converters.written_of(request)
        return converters.STORY.encode(await self._stories.record(given, request.request_id, written))


class ArtifactServicer(Aggregate, artifact_pb2_grpc.ArtifactServiceServicer):
    """Artifacts."""

    def __init__(self, artifacts: Artifacts) -> None:
        service = artifact_pb2.DESCRIPTOR.services_by_name["ArtifactService"]
        super().__init__(service, Standard(artifacts, converters.ARTIFACT, converters.artifacts_page_of))
        self._artifacts = artifacts

    @override
    async def ActivateArtifact(
        self, request: artifact_pb2.ActivateArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self._artifacts.activate(converters.WRITTEN.decode(request)))

    @override
    async def RelocateArtifact(
        self, request: artifact_pb2.RelocateArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self._artifacts.relocate(converters.MOVED.decode(request)))

    @override
    async def CountDownload(self, request: artifact_pb2.CountDownloadRequest, context: object) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self._artifacts.count_download(request.placement, request.key))

    @override
    async def RetireArtifact(
        self, request: artifact_pb2.RetireArtifactRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self._artifacts.retire(request.id))

    @override
    async def MarkArtifactDeleting(
        self, request: artifact_pb2.MarkArtifactDeletingRequest, context: object
    ) -> artifact_pb2.Artifact:
        return converters.ARTIFACT.encode(await self._artifacts.mark_deleting(request.id))
