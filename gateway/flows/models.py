"""Finds the versions of models, and lets models go."""

from collections.abc import AsyncIterator, Collection, Iterable

from gateway.flows.storing import take_away
from gateway.peers import Peers, pages
from modelyard.metadata.v1.model_pb2 import (
    BatchGetModelVersionsRequest,
    DeleteModelRequest,
    ListModelVersionsRequest,
    Model,
    ModelVersion,
)

PAGE_SIZE = 1000


async def let_go(peers: Peers, model: Model) -> int:
    """Delete a model: the objects of its versions first, then its records; how many versions there were."""
    count = 0
    async for version in versions_of(peers, model):
        if version.artifact_id:  # one that was only registered has no object of ours
            await take_away(peers, version.artifact_id)
        count += 1
    await peers.models.DeleteModel(DeleteModelRequest(id=model.id, allow_missing=True), **peers.quick)
    return count


async def versions_of(peers: Peers, model: Model) -> AsyncIterator[ModelVersion]:
    """All versions of a model, newest first, without what is long."""
    request = ListModelVersionsRequest(model_id=model.id, page_size=PAGE_SIZE, short=True)
    async for page in pages(peers.models.ListModelVersions, request, peers.quick):
        for version in page.model_versions:
            yield version


async def newest_of(peers: Peers, models: Iterable[Model], details: Collection[str]) -> dict[str, ModelVersion]:
    """The newest versions of those models that have any, by the models' ids, with these fields of their details."""
    found: dict[str, ModelVersion] = {}
    ids = [model.id for model in models]
    while ids:
        request = BatchGetModelVersionsRequest(model_ids=ids, details=details)
        answer = await peers.models.BatchGetModelVersions(request, **peers.quick)
        found |= {version.model_id: version for version in answer.model_versions}
        ids = ids[answer.count :]
    return found
