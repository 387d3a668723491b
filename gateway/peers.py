"""The services behind the gateway: a stub for each, and the deadlines with which they are called."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from gateway.settings import GatewaySettings
from modelyard.metadata.v1.account_pb2_grpc import AccountServiceStub
from modelyard.metadata.v1.admin_pb2_grpc import AdminServiceStub
from modelyard.metadata.v1.artifact_pb2_grpc import ArtifactServiceStub
from modelyard.metadata.v1.dataset_pb2_grpc import DatasetServiceStub
from modelyard.metadata.v1.experiment_pb2_grpc import ExperimentServiceStub
from modelyard.metadata.v1.job_pb2_grpc import JobServiceStub
from modelyard.metadata.v1.model_pb2_grpc import ModelServiceStub
from modelyard.metadata.v1.prediction_pb2_grpc import PredictionServiceStub
from modelyard.metadata.v1.project_pb2_grpc import ProjectServiceStub
from modelyard.metadata.v1.registry_pb2_grpc import RegistryServiceStub
from modelyard.metadata.v1.run_pb2_grpc import RunServiceStub
from modelyard.metadata.v1.search_pb2_grpc import SearchServiceStub
from modelyard.storage.v1.storage_pb2_grpc import StorageServiceStub
from modelyard.training.v1.analysis_pb2_grpc import AnalysisServiceStub
from modelyard.training.v1.training_pb2_grpc import TrainingServiceStub
from servicekit.channels import CallOptions, Channel

if TYPE_CHECKING:  # these exist for the type checker only
    from modelyard.metadata.v1.account_pb2_grpc import AccountServiceAsyncStub
    from modelyard.metadata.v1.admin_pb2_grpc import AdminServiceAsyncStub
    from modelyard.metadata.v1.artifact_pb2_grpc import ArtifactServiceAsyncStub
    from modelyard.metadata.v1.dataset_pb2_grpc import DatasetServiceAsyncStub
    from modelyard.metadata.v1.experiment_pb2_grpc import ExperimentServiceAsyncStub
    from modelyard.metadata.v1.job_pb2_grpc import JobServiceAsyncStub
    from modelyard.metadata.v1.model_pb2_grpc import ModelServiceAsyncStub
    from modelyard.metadata.v1.prediction_pb2_grpc import PredictionServiceAsyncStub
    from modelyard.metadata.v1.project_pb2_grpc import ProjectServiceAsyncStub
    from modelyard.metadata.v1.registry_pb2_grpc import RegistryServiceAsyncStub
    from modelyard.metadata.v1.run_pb2_grpc import RunServiceAsyncStub
    from modelyard.metadata.v1.search_pb2_grpc import SearchServiceAsyncStub
    from modelyard.storage.v1.storage_pb2_grpc import StorageServiceAsyncStub
    from modelyard.training.v1.analysis_pb2_grpc import AnalysisServiceAsyncStub
    from modelyard.training.v1.training_pb2_grpc import TrainingServiceAsyncStub

QUICK_SECONDS = 30.0
"""Deadline of a call that reads or writes a record."""
SCAN_SECONDS = 600.0
"""Deadline of a call that reads a whole dataset."""
BYTES_SECONDS = 6 * 3600.0
"""Deadline of a call that carries a file."""
TRAINING_SECONDS = 7 * 24 * 3600.0
"""Deadline of a call that follows a training or a job."""


class Page(Protocol):
    """One page of a list."""

    @property
    def next_page_token(self) -> str:
        """For the next page; empty on the last."""


class PageRequest(Protocol):
    """What asks for a page."""

    page_token: str


AnyPage = TypeVar("AnyPage", bound=Page)


async def pages(
    method: Callable[..., Awaitable[AnyPage]], request: PageRequest, options: CallOptions
) -> AsyncGenerator[AnyPage, None]:
    """Every page of a list, from the one that the request names; the request moves on with them."""
    while True:
        page = await method(request, **options)
        yield page
        request.page_token = page.next_page_token
        if not request.page_token:
            return


@dataclass(frozen=True)
class Peers:
    """Everything the gateway calls."""

    channels: dict[str, Channel]
    storage: StorageServiceAsyncStub
    accounts: AccountServiceAsyncStub
    artifacts: ArtifactServiceAsyncStub
    datasets: DatasetServiceAsyncStub
    jobs: JobServiceAsyncStub
    models: ModelServiceAsyncStub
    projects: ProjectServiceAsyncStub
    runs: RunServiceAsyncStub
    search: SearchServiceAsyncStub
    experiments: ExperimentServiceAsyncStub
    predictions: PredictionServiceAsyncStub
    numbers: RegistryServiceAsyncStub
    admin: AdminServiceAsyncStub
    training: TrainingServiceAsyncStub
    analysis: AnalysisServiceAsyncStub

    def within(self, seconds: float) -> CallOptions:
        """Options of a call that must end within so many seconds."""
        return self.channels["storage"].within(seconds)  # the token is the same for all

    @property
    def quick(self) -> CallOptions:
        """Options of a call that reads or writes a record."""
        return self.within(QUICK_SECONDS)

    async def close(self) -> None:
        """Close all channels."""
        for channel in self.channels.values():
            await channel.close()


def connect(settings: GatewaySettings) -> Peers:
    """Open a channel to each service; connecting happens with the first call."""
    token = settings.service_token.get_secret_value()
    channels = {
        "storage": Channel(settings.storage_address, token, once=["modelyard.storage.v1.StorageService/Upload"]),
        "metadata": Channel(
            settings.metadata_address, token, once=["modelyard.metadata.v1.ArtifactService/CountDownload"]
        ),
        "training": Channel(
            settings.training_address, token, once=["modelyard.training.v1.AnalysisService/FetchDataset"]
        ),
    }
    storage, metadata, training = (channel.grpc for channel in channels.values())
    return Peers(
        channels=channels,
        storage=StorageServiceStub(storage),
        accounts=AccountServiceStub(metadata),
        artifacts=ArtifactServiceStub(metadata),
        datasets=DatasetServiceStub(metadata),
        jobs=JobServiceStub(metadata),
        models=ModelServiceStub(metadata),
        projects=ProjectServiceStub(metadata),
        runs=RunServiceStub(metadata),
        search=SearchServiceStub(metadata),
        experiments=ExperimentServiceStub(metadata),
        predictions=PredictionServiceStub(metadata),
        numbers=RegistryServiceStub(metadata),
        admin=AdminServiceStub(metadata),
        training=TrainingServiceStub(training),
        analysis=AnalysisServiceStub(training),
    )
