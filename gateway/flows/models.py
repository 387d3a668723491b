"""Lets a model go."""

from gateway.peers import Peers
from modelyard.metadata.v1.artifact_pb2 import GetArtifactRequest, MarkArtifactDeletingRequest
from modelyard.metadata.v1.model_pb2 import DeleteModelRequest, ListModelVersionsRequest, Model
from modelyard.storage.v1.storage_pb2 import DeleteObjectRequest, ObjectName


async def let_go(peers: Peers, model: Model) -> int:
    """Delete a model: the objects of its versions first, then its records; how many versions there were."""
    wanted = ListModelVersionsRequest(model_id=model.id, page_size=1000)
    page = await peers.models.ListModelVersions(wanted, **peers.quick)
    for version in page.model_versions:
        await _delete_object(peers, version.artifact_id)
    await peers.models.DeleteModel(DeleteModelRequest(id=model.id, allow_missing=True), **peers.quick)
    return len(page.model_versions)


async def _delete_object(peers: Peers, artifact_id: str) -> None:
    artifact = await peers.artifacts.GetArtifact(GetArtifactRequest(id=artifact_id), **peers.quick)
    await peers.artifacts.MarkArtifactDeleting(MarkArtifactDeletingRequest(id=artifact_id), **peers.quick)
    name = ObjectName(placement=artifact.placement, key=artifact.key)
    await peers.storage.DeleteObject(DeleteObjectRequest(name=name, allow_missing=True), **peers.quick)
