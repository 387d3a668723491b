"""Datasets over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from pydantic import Field, SecretStr, model_validator

from gateway import incoming, outgoing, rendering
from gateway.flows.datasets import let_go, source_of, take_in
from gateway.flows.importing import KAGGLE, Wanted, import_dataset
from gateway.flows.submission import artifact_of
from gateway.identity import User
from gateway.peers import SCAN_SECONDS, Peers
from gateway.routes import described
from gateway.routes.listing import Listing
from gateway.routes.state import owned_dataset, peers_of, settings_of
from gateway.routes.wishes import Wish
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_DELETED, Artifact, GetArtifactRequest
from modelyard.metadata.v1.dataset_pb2 import Dataset, ListDatasetsRequest
from modelyard.training.v1.analysis_pb2 import (
    FetchDatasetRequest,
    InspectDatasetRequest,
    KaggleCredentials,
    KaggleDataset,
)

router = APIRouter(prefix="/api/datasets", tags=["datasets"])

SAMPLE_ROWS = 20
RepeatKey = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]


@router.post("/upload", status_code=201, openapi_extra=described.form(described.ABOUT_A_DATASET))
async def upload_form(request: Request, user: User, repeat_key: RepeatKey = "") -> Response:
    """Upload a table as the field `file` of a form; `name`, `target_column` and `project_id` may come with it."""
    arriving = await incoming.form(request, settings_of(request).max_upload_bytes)
    return await _taken_in(request, user, arriving, repeat_key)


@router.put("/upload", status_code=201, openapi_extra=described.raw(("file_name", *described.ABOUT_A_DATASET)))
async def upload_raw(request: Request, user: User, repeat_key: RepeatKey = "") -> Response:
    """Upload a table as the body of the request, the fastest way; `file_name` and the other fields in the query."""
    arriving = await incoming.raw(request, settings_of(request).max_upload_bytes)
    return await _taken_in(request, user, arriving, repeat_key)


class KaggleLogin(Wish):
    """What Kaggle knows a user by: a user name and an API key, or an API token. Used once, and not kept."""

    username: str = Field("", max_length=200)
    key: SecretStr = Field(SecretStr(""), max_length=1000)
    token: SecretStr = Field(SecretStr(""), max_length=10_000)


class ImportWish(Wish):
    """A dataset to bring from elsewhere."""

    source: Literal["kaggle", "url"]
    dataset: str = Field("", description="owner/name, as in its address at Kaggle.", max_length=300)
    file: str = Field("", description="File of it; * for all as one zip.", max_length=1000)
    version: int = Field(0, ge=0, le=2**31 - 1, description="The newest when 0.")
    credentials: KaggleLogin | None = Field(None, description="Those of the service, if it has any, when absent.")
    url: str = Field("", description="https address of a file, on a listed host.", max_length=10_000)
    name: str = Field("", max_length=200)
    target_column: str = Field("", max_length=1000)
    project_id: str = Field("", max_length=200)

    @model_validator(mode="before")
    @classmethod
    def _names_one_thing(cls, given: Any) -> Any:
        if isinstance(given, dict):
            wanted, other = ("dataset", "url") if given.get("source") == KAGGLE else ("url", "dataset")
            if not given.get(wanted) or given.get(other):
                raise ValueError("kaggle goes with a dataset, and url with a url")
        return given

    def wanted(self) -> Wanted:
        """The same, as the flow takes it."""
        fields = {"name": self.name, "target_column": self.target_column, "project_id": self.project_id}
        return Wanted(self.source, self._request(), fields)

    def _request(self) -> FetchDatasetRequest:
        if self.source != KAGGLE:
            return FetchDatasetRequest(url=self.url)
        named = KaggleDataset(dataset=self.dataset, file=self.file, version=self.version)
        if login := self.credentials:
            key, token = login.key.get_secret_value(), login.token.get_secret_value()
            named.credentials.CopyFrom(KaggleCredentials(username=login.username, key=key, token=token))
        return FetchDatasetRequest(kaggle=named)


@router.post("/import", status_code=201)
async def import_from_elsewhere(request: Request, user: User, wish: ImportWish, repeat_key: RepeatKey = "") -> Response:
    """Bring a dataset from Kaggle, or from an address on a listed host; answers when it is stored, as an upload does.

    That may take as long as the file takes to arrive. With an Idempotency-Key it can be asked for again safely.
    """
    peers = peers_of(request)
    dataset, _ = await import_dataset(peers, user, wish.wanted(), settings_of(request).max_upload_bytes, repeat_key)
    return await _created(peers, dataset)


async def _taken_in(request: Request, user: str, arriving: incoming.Incoming, repeat_key: str) -> Response:
    peers = peers_of(request)
    dataset, _ = await take_in(peers, user, arriving, repeat_key)
    return await _created(peers, dataset)


async def _created(peers: Peers, dataset: Dataset) -> Response:
    body = rendering.dataset(dataset) | await _storage(peers, dataset)
    return rendering.answer(body, 201, {"location": f"/api/datasets/{dataset.id}"})


async def _storage(peers: Peers, dataset: Dataset) -> rendering.Json:
    artifact = await peers.artifacts.GetArtifact(GetArtifactRequest(id=dataset.artifact_id), **peers.quick)
    return _stored(artifact)


def _stored(artifact: Artifact) -> rendering.Json:
    return {
        "storage": rendering.storage_of(artifact),
        "azureDatasetUrl": rendering.address_at(artifact, "azure"),
    }


@router.get("")
async def list_datasets(request: Request, user: User, listing: Listing) -> Response:
    """The user's datasets, newest first."""
    peers = peers_of(request)
    wanted = ListDatasetsRequest(user_id=user, **listing.asked)
    page = await peers.datasets.ListDatasets(wanted, **peers.quick)
    datasets = [rendering.dataset(record) for record in page.datasets]
    return rendering.answer({"datasets": datasets, "nextPageToken": page.next_page_token})


@router.get("/{dataset_id}")
async def get_dataset(request: Request, user: User, dataset_id: str) -> Response:
    """A dataset with its schema and first rows, read from the stored file now, while that is kept."""
    peers = peers_of(request)
    dataset = await owned_dataset(peers, user, dataset_id)
    artifact = await artifact_of(peers, dataset)
    body = rendering.dataset(dataset) | _stored(artifact)
    if artifact.state == ARTIFACT_STATE_DELETED:
        return rendering.answer(body)
    wanted = InspectDatasetRequest(dataset=source_of(dataset, artifact), sample_size=SAMPLE_ROWS)
    found = await peers.analysis.InspectDataset(wanted, **peers.within(SCAN_SECONDS))
    return rendering.answer(body | rendering.inspection(found))


@router.head("/{dataset_id}/download", include_in_schema=False)
@router.get("/{dataset_id}/download", response_class=Response, responses=described.FILE)
async def download_dataset(request: Request, user: User, dataset_id: str) -> Response:
    """The file as it was uploaded; ranges and entity tags work."""
    peers = peers_of(request)
    artifact = await artifact_of(peers, await owned_dataset(peers, user, dataset_id))
    return await outgoing.send_recorded(request, peers, artifact)


@router.delete("/{dataset_id}")
async def delete_dataset(request: Request, user: User, dataset_id: str) -> Response:
    """Delete a dataset, its bytes first; the models trained on it stay."""
    peers = peers_of(request)
    dataset = await owned_dataset(peers, user, dataset_id)
    await let_go(peers, dataset, await artifact_of(peers, dataset))
    return rendering.answer({"success": True, "id": dataset_id})
