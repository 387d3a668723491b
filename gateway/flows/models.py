"""Lets a model go."""

from gateway.flows.storing import take_away
from gateway.peers import Peers
from modelyard.metadata.v1.model_pb2 import DeleteModelRequest, ListModelVersionsRequest, Model


async def let_go(peers: Peers, model: Model) -> int:
    """Delete a model: the objects of its versions first, then its records; how many versions there were."""
    wanted = ListModelVersionsRequest(model_id=model.id, page_size=1000)
    page = await peers.models.ListModelVersions(wanted, **peers.quick)
    for version in page.model_versions:
        await take_away(peers, version.artifact_id)
    await peers.models.DeleteModel(DeleteModelRequest(id=model.id, allow_missing=True), **peers.quick)
    return len(page.model_versions)
