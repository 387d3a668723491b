"""The metadata service, served for real over each store; a test holds only its stubs."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelyard.metadata.v1.artifact_pb2 import ActivateArtifactRequest, Artifact, CreateArtifactRequest
from modelyard.metadata.v1.artifact_pb2_grpc import ArtifactServiceStub
from modelyard.metadata.v1.dataset_pb2 import CreateDatasetRequest, Dataset
from modelyard.metadata.v1.dataset_pb2_grpc import DatasetServiceStub
from modelyard.metadata.v1.job_pb2 import CreateJobRequest, Job
from modelyard.metadata.v1.job_pb2_grpc import JobServiceStub
from modelyard.metadata.v1.model_pb2 import ModelVersion, PublishModelVersionRequest
from modelyard.metadata.v1.model_pb2_grpc import ModelServiceStub
from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, Project
from modelyard.metadata.v1.project_pb2_grpc import ProjectServiceStub
from modelyard.metadata.v1.run_pb2 import CreateRunRequest, Run
from modelyard.metadata.v1.run_pb2_grpc import RunServiceStub
from servicekit.channels import CallOptions, Channel
from servicekit.server import serving
from services.metadata.bootstrap import compose
from services.metadata.settings import MetadataSettings
from tests.contract.metadata.stores import DATABASES, NEW_DATABASES, STORES, store_of
from tests.servers.mariadb import MariaDB, mariadb
from tests.servers.mongod import Mongod, mongod
from tests.servers.postgres import Postgres, postgres

SHA256 = "0123456789abcdef" * 4


@dataclass
class Clock:
    """A clock that tests can put forward."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Metadata:
    """Stubs of all services, and short ways to what most tests need first."""

    channel: Channel
    clock: Clock
    drain: Callable[[], None]
    projects: ProjectServiceStub = field(init=False)
    datasets: DatasetServiceStub = field(init=False)
    models: ModelServiceStub = field(init=False)
    runs: RunServiceStub = field(init=False)
    jobs: JobServiceStub = field(init=False)
    artifacts: ArtifactServiceStub = field(init=False)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.projects = ProjectServiceStub(self.channel.grpc)
        self.datasets = DatasetServiceStub(self.channel.grpc)
        self.models = ModelServiceStub(self.channel.grpc)
        self.runs = RunServiceStub(self.channel.grpc)
        self.jobs = JobServiceStub(self.channel.grpc)
        self.artifacts = ArtifactServiceStub(self.channel.grpc)

    @property
    def quick(self) -> CallOptions:
        return self.channel.within(60)  # of which a busy machine may take many

    def request_id(self) -> str:
        return f"request-{next(self.numbers)}"

    async def project(self, **fields: object) -> Project:
        given = Project(**{"user_id": "ada", "name": f"project {next(self.numbers)}", **fields})
        request = CreateProjectRequest(project=given, request_id=self.request_id())
        return await self.projects.CreateProject(request, **self.quick)

    async def artifact(self, **fields: object) -> Artifact:
        known = {"user_id": "ada", "kind": "dataset", "placement": "datasets", "key": f"ada/{next(self.numbers)}"}
        request = CreateArtifactRequest(artifact=Artifact(**{**known, **fields}), request_id=self.request_id())
        return await self.artifacts.CreateArtifact(request, **self.quick)

    async def dataset(self, **fields: object) -> Dataset:
        artifact_id = fields.pop("artifact_id", None) or (await self.artifact()).id
        given = Dataset(**{"user_id": "ada", "name": "churn", "artifact_id": artifact_id, **fields})
        request = CreateDatasetRequest(dataset=given, request_id=self.request_id())
        return await self.datasets.CreateDataset(request, **self.quick)

    async def run(self, **fields: object) -> Run:
        request = CreateRunRequest(run=Run(**{"user_id": "ada", **fields}), request_id=self.request_id())
        return await self.runs.CreateRun(request, **self.quick)

    async def job(self, **fields: object) -> Job:
        given = Job(**{"user_id": "ada", "kind": "train", **fields})
        request = CreateJobRequest(job=given, request_id=self.request_id())
        return await self.jobs.CreateJob(request, **self.quick)

    async def publication(self, **fields: object) -> PublishModelVersionRequest:
        """A request to publish, with its run and artifact announced."""
        run, artifact = await self.run(), await self.artifact(kind="model")
        written = written_at(artifact.id)
        version = ModelVersion(id=f"version-{next(self.numbers)}", engine="quick", score=0.9, features=["a", "b"])
        known = {"version": version, "model_name": "churn", "user_id": "ada", "artifact": written, "run": run}
        return PublishModelVersionRequest(**{**known, **fields})


def written_at(artifact_id: str) -> ActivateArtifactRequest:
    return ActivateArtifactRequest(
        id=artifact_id, backend="local", bucket="objects", uri="file:///x", size=12, sha256=SHA256
    )


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that has all tables, once somebody has needed it."""
    return tmp_path_factory.mktemp("sqlite") / "metadata.db"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    with mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def mongod_server() -> Iterator[Mongod]:
    with mongod() as server:
        yield server


@pytest.fixture(params=DATABASES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database of each kind that several processes can share."""
    async with DATABASES[request.param](request, tmp_path) as url:
        yield url


@pytest.fixture(params=NEW_DATABASES)
async def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The same without tables."""
    async with NEW_DATABASES[request.param](request, tmp_path) as url:
        yield url


@pytest.fixture(params=STORES)
async def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Metadata]:
    """The service over each store in turn."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(store_of(request.param, request, tmp_path))
        application = compose(store, clock)
        settings = MetadataSettings(data_dir=tmp_path, drain_seconds=0.5)
        address = f"unix:{tmp_path}/socket"
        await stack.enter_async_context(serving(application, address, settings))
        channel = Channel(address)
        stack.push_async_callback(channel.close)
        yield Metadata(channel, clock, application.on_drain)
