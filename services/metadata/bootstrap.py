"""Puts the metadata service together; the only place that names concrete stores."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from modelyard.metadata.v1 import (
    account_pb2_grpc,
    admin_pb2_grpc,
    artifact_pb2_grpc,
    campaign_pb2_grpc,
    dataset_pb2_grpc,
    experiment_pb2_grpc,
    job_pb2_grpc,
    model_pb2_grpc,
    postback_pb2_grpc,
    prediction_pb2_grpc,
    project_pb2_grpc,
    registry_pb2_grpc,
    run_pb2_grpc,
    search_pb2_grpc,
    story_pb2_grpc,
)
from servicekit.server import Application, Service
from services.metadata import servicer
from services.metadata.adapters.memory import MemoryStore
from services.metadata.adapters.passwords import Bcrypt
from services.metadata.domain.artifacts import Artifacts
from services.metadata.domain.datasets import Datasets
from services.metadata.domain.entities import Campaign, Experiment, ExperimentRun, Model, Project
from services.metadata.domain.exporting import Exports
from services.metadata.domain.importing import Imports
from services.metadata.domain.indexing import IndexingStore
from services.metadata.domain.jobs import Jobs, Watchers
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.models import Versions
from services.metadata.domain.numbers import Numbers
from services.metadata.domain.ports import Store
from services.metadata.domain.posters import Contexts, Postbacks
from services.metadata.domain.predictions import Predictions
from services.metadata.domain.publishing import Publishing
from services.metadata.domain.records import Clock, Records, utc_now
from services.metadata.domain.runs import Runs
from services.metadata.domain.searching import Search
from services.metadata.domain.sessions import Sessions
from services.metadata.domain.stories import Stories
from services.metadata.domain.usage import Usages
from services.metadata.domain.users import Users
from services.metadata.settings import MetadataSettings

if TYPE_CHECKING:
    from services.metadata.adapters.pooled import Pool

Opener = Callable[[MetadataSettings], AbstractAsyncContextManager[Store]]


# A database's driver is imported where it is used: those who do without it save memory, and time at every start.


def _sqlite(settings: MetadataSettings) -> AbstractAsyncContextManager[Store]:
    from services.metadata.adapters.sqlite import sqlite_store

    return sqlite_store(settings.database)


def _postgresql(settings: MetadataSettings) -> AbstractAsyncContextManager[Store]:
    from services.metadata.adapters.postgres import postgres_store

    return postgres_store(settings.database, pool_of(settings))


def _mysql(settings: MetadataSettings) -> AbstractAsyncContextManager[Store]:
    from services.metadata.adapters.mysql import mysql_store

    return mysql_store(settings.database, pool_of(settings))


def _mongodb(settings: MetadataSettings) -> AbstractAsyncContextManager[Store]:
    from services.metadata.adapters.mongodb import mongodb_store

    connections = settings.mongo_min_pool_size, settings.mongo_max_pool_size
    return mongodb_store(settings.database, settings.mongo_db_name, connections)


OPENERS: dict[str, Opener] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mongodb": _mongodb,
}
"""How each kind of store is opened."""


def open_store(settings: MetadataSettings) -> AbstractAsyncContextManager[Store]:
    """The store that the settings name, for the length of the block."""
    return OPENERS[settings.kind](settings)


def pool_of(settings: MetadataSettings) -> "Pool":
    """How connections to a database server are kept."""
    from services.metadata.adapters.pooled import Pool

    return Pool(settings.pool_size, settings.max_overflow, settings.pool_recycle_seconds, settings.pool_pre_ping)


@asynccontextmanager
async def bootstrap(settings: MetadataSettings) -> AsyncIterator[Application]:
    """The service as its settings want it, for the length of the block."""
    async with open_store(settings) as store:
        yield compose(store)


def in_memory(now: Clock = utc_now) -> Application:
    """The service with nothing behind it, for tests: what is recorded is gone with the process."""
    return compose(MemoryStore(), now)


def compose(store: Store, now: Clock = utc_now) -> Application:
    """The service over any store."""
    store = IndexingStore(store)
    watchers = Watchers()
    records = partial(Records, store=store, now=now)
    services = [
        _service("Project", project_pb2_grpc, servicer.projects, records(Project)),
        _service("Experiment", experiment_pb2_grpc, servicer.experiments, records(Experiment), records(ExperimentRun)),
        _service("Dataset", dataset_pb2_grpc, servicer.DatasetServicer, Datasets(store, now)),
        _service(
            "Model",
            model_pb2_grpc,
            servicer.ModelServicer,
            records(Model),
            Versions(store, now),
            Publishing(store, now),
        ),
        _service("Run", run_pb2_grpc, servicer.RunServicer, Runs(store, now), Metrics(store, now)),
        _service("Prediction", prediction_pb2_grpc, servicer.PredictionServicer, Predictions(store, now)),
        _service("Job", job_pb2_grpc, servicer.JobServicer, Jobs(store, watchers, now)),
        _service("Artifact", artifact_pb2_grpc, servicer.ArtifactServicer, Artifacts(store, now)),
        _service(
            "Account",
            account_pb2_grpc,
            servicer.AccountServicer,
            Users(store, Bcrypt(), now),
            Sessions(store, now),
            Usages(store, now),
        ),
        _service("Campaign", campaign_pb2_grpc, servicer.CampaignServicer, records(Campaign), Contexts(store, now)),
        _service("Postback", postback_pb2_grpc, servicer.PostbackServicer, Postbacks(store, now)),
        _service("Story", story_pb2_grpc, servicer.StoryServicer, Stories(store, now)),
        _service("Registry", registry_pb2_grpc, servicer.RegistryServicer, Numbers(store, now)),
        _service("Search", search_pb2_grpc, servicer.SearchServicer, Search(store)),
        _service("Admin", admin_pb2_grpc, servicer.AdminServicer, store, Exports(store, now), Imports(store, now)),
    ]
    return Application(services, {"database": store.probe}, watchers.stop)


def _service(aggregate: str, generated: ModuleType, make: Callable[..., object], *parts: object) -> Service:
    add = getattr(generated, f"add_{aggregate}ServiceServicer_to_server")
    return Service(f"modelyard.metadata.v1.{aggregate}Service", add, make(*parts))
