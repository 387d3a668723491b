"""The services of `protos/modelyard/metadata/v1` over the use cases: decode, call, encode."""

from services.metadata.servicer.accounts import AccountServicer
from services.metadata.servicer.jobs import JobServicer
from services.metadata.servicer.learning import ModelServicer, PredictionServicer, RunServicer
from services.metadata.servicer.plain import experiments, projects
from services.metadata.servicer.posters import CampaignServicer, PostbackServicer
from services.metadata.servicer.registry import RegistryServicer
from services.metadata.servicer.search import SearchServicer
from services.metadata.servicer.statistics import AdminServicer
from services.metadata.servicer.storing import ArtifactServicer, DatasetServicer, StoryServicer

__all__ = [
    "AccountServicer",
    "AdminServicer",
    "ArtifactServicer",
    "CampaignServicer",
    "DatasetServicer",
    "JobServicer",
    "ModelServicer",
    "PostbackServicer",
    "PredictionServicer",
    "RegistryServicer",
    "RunServicer",
    "SearchServicer",
    "StoryServicer",
    "experiments",
    "projects",
]
