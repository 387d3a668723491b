"""Short ways to the records of the registry, accounts, posters and stories."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from modelyard.metadata.v1 import (
    account_pb2,
    account_pb2_grpc,
    admin_pb2_grpc,
    campaign_pb2,
    campaign_pb2_grpc,
    experiment_pb2,
    experiment_pb2_grpc,
    model_pb2,
    postback_pb2,
    postback_pb2_grpc,
    prediction_pb2,
    prediction_pb2_grpc,
    story_pb2,
    story_pb2_grpc,
)

from .conftest import Metadata

PASSWORD = "correct horse battery"


class Aggregates:
    """Stubs of the services, and records made with what most tests do not care about."""

    def __init__(self, metadata: Metadata) -> None:
        grpc = metadata.channel.grpc
        self.metadata = metadata
        self.quick = metadata.quick
        self.clock = metadata.clock
        self.models = metadata.models
        self.runs = metadata.runs
        self.accounts = account_pb2_grpc.AccountServiceStub(grpc)
        self.admin = admin_pb2_grpc.AdminServiceStub(grpc)
        self.campaigns = campaign_pb2_grpc.CampaignServiceStub(grpc)
        self.experiments = experiment_pb2_grpc.ExperimentServiceStub(grpc)
        self.postbacks = postback_pb2_grpc.PostbackServiceStub(grpc)
        self.predictions = prediction_pb2_grpc.PredictionServiceStub(grpc)
        self.stories = story_pb2_grpc.StoryServiceStub(grpc)

    def number(self) -> int:
        return next(self.metadata.numbers)

    def request_id(self) -> str:
        return self.metadata.request_id()

    async def user(self, **fields: Any) -> account_pb2.User:
        request = account_pb2.CreateUserRequest(
            user={"email": f"user{self.number()}@example.org", **fields},
            password=PASSWORD,
            request_id=self.request_id(),
        )
        return await self.accounts.CreateUser(request, **self.quick)

    async def session(self, user_id: str, token: str = "", **fields: Any) -> account_pb2.Session:
        request = account_pb2.CreateSessionRequest(
            session={"user_id": user_id, **fields}, token=token or self.token(), request_id=self.request_id()
        )
        return await self.accounts.CreateSession(request, **self.quick)

    def token(self) -> str:
        return f"{self.number():040}"

    async def experiment(self, **fields: Any) -> experiment_pb2.Experiment:
        given = {"user_id": "ada", "name": f"experiment {self.number()}", **fields}
        request = experiment_pb2.CreateExperimentRequest(experiment=given, request_id=self.request_id())
        return await self.experiments.CreateExperiment(request, **self.quick)

    async def model(self, **fields: Any) -> model_pb2.Model:
        given = {"user_id": "ada", "name": f"model {self.number()}", **fields}
        request = model_pb2.CreateModelRequest(model=given, request_id=self.request_id())
        return await self.models.CreateModel(request, **self.quick)

    async def version(self, model_id: str, **fields: Any) -> model_pb2.ModelVersion:
        given = {"model_id": model_id, **fields}
        request = model_pb2.CreateModelVersionRequest(model_version=given, request_id=self.request_id())
        return await self.models.CreateModelVersion(request, **self.quick)

    async def prediction(self, version_id: str, **fields: Any) -> prediction_pb2.Prediction:
        given = {"user_id": "ada", "model_version_id": version_id, **fields}
        request = prediction_pb2.CreatePredictionRequest(prediction=given, request_id=self.request_id())
        return await self.predictions.CreatePrediction(request, **self.quick)

    async def campaign(self, **fields: Any) -> campaign_pb2.Campaign:
        given = {"user_id": "ada", "name": "Summer", **fields}
        request = campaign_pb2.CreateCampaignRequest(campaign=given, request_id=self.request_id())
        return await self.campaigns.CreateCampaign(request, **self.quick)

    async def postback(self, **fields: Any) -> postback_pb2.Postback:
        given = {"user_id": "ada", "render_id": f"render {self.number()}", **fields}
        request = postback_pb2.CreatePostbackRequest(postback=given, request_id=self.request_id())
        return await self.postbacks.CreatePostback(request, **self.quick)

    async def story(self, **fields: Any) -> story_pb2.Story:
        given = {"user_id": "ada", "title": f"story {self.number()}", **fields}
        request = story_pb2.CreateStoryRequest(story=given, request_id=self.request_id())
        return await self.stories.CreateStory(request, **self.quick)


def kept(given: Message, got: Message) -> Message:
    """What was given, with what the service sets taken from what it answered."""
    wanted = type(got)()
    wanted.CopyFrom(given)
    for name in ("id", "create_time", "update_time", "etag"):
        if name in ("create_time", "update_time"):
            getattr(wanted, name).CopyFrom(getattr(got, name))
        else:
            setattr(wanted, name, getattr(got, name))
    return wanted


def mask(*paths: str) -> FieldMask:
    return FieldMask(paths=paths)
