"""What answers for rows is found in one call (M.2)."""

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1.model_pb2 import (
    CreateModelRequest,
    CreateModelVersionRequest,
    Model,
    ModelVersion,
    PublishModelVersionResponse,
    ResolveModelVersionRequest,
    ResolveModelVersionResponse,
    UpdateModelVersionRequest,
)
from servicekit import statuses

from .conftest import SHA256, Metadata


async def _published(metadata: Metadata, **fields: object) -> PublishModelVersionResponse:
    request = await metadata.publication(**fields)
    request.version.details.update({"artifact_sha256": SHA256, "leaderboard": [{"model": "a"}]})
    return await metadata.models.PublishModelVersion(request, **metadata.quick)


async def _resolved(metadata: Metadata, **wanted: object) -> ResolveModelVersionResponse:
    asked = ResolveModelVersionRequest(**{"user_id": "ada", **wanted})
    return await metadata.models.ResolveModelVersion(asked, **metadata.quick)


async def test_newest_version_with_bytes_is_found_by_id_and_by_name(metadata: Metadata):
    """M.2: versions that are not ready, or whose bytes are elsewhere, are passed over."""
    first = await _published(metadata)
    second = await _published(metadata)
    third = await _published(metadata)
    elsewhere = ModelVersion(model_id=first.model.id, uri="https://example.org/model.bin")
    await metadata.models.CreateModelVersion(
        CreateModelVersionRequest(model_version=elsewhere, request_id="elsewhere"), **metadata.quick
    )
    archived = UpdateModelVersionRequest(model_version=ModelVersion(id=third.version.id, status="archived"))
    archived.update_mask.paths.append("status")
    await metadata.models.UpdateModelVersion(archived, **metadata.quick)
    by_id = await _resolved(metadata, model_id=first.model.id)
    by_name = await _resolved(metadata, name="churn", model_id="churn")
    by_id_as_name = await _resolved(metadata, name=first.model.id, model_id=first.model.id)

    assert by_id == by_name == by_id_as_name
    assert (by_id.model.id, by_id.model.name, by_id.version.id) == (first.model.id, "churn", second.version.id)
    assert (by_id.version.version, list(by_id.version.features)) == (2, ["a", "b"])
    assert by_id.artifact.id == second.version.artifact_id
    assert by_id.artifact.sha256 == by_id.package_sha256 == SHA256
    assert not by_id.version.HasField("details")


async def test_version_of_a_number_is_found_as_it_is(metadata: Metadata):
    first = await _published(metadata)
    elsewhere = ModelVersion(model_id=first.model.id, uri="https://example.org/model.bin")
    elsewhere.details.update({"artifact_sha256": 256})
    created = await metadata.models.CreateModelVersion(
        CreateModelVersionRequest(model_version=elsewhere, request_id="elsewhere"), **metadata.quick
    )
    found = await _resolved(metadata, model_id=first.model.id, version=1)
    without_bytes = await _resolved(metadata, model_id=first.model.id, version=2)

    assert (found.version.id, found.artifact.id) == (first.version.id, first.version.artifact_id)
    assert without_bytes.version.id == created.id
    assert not without_bytes.HasField("artifact")
    assert without_bytes.package_sha256 == ""


async def test_model_without_a_version_is_found_without_one(metadata: Metadata):
    made = await metadata.models.CreateModel(
        CreateModelRequest(model=Model(user_id="ada", name="sketch"), request_id="sketch"), **metadata.quick
    )
    found = await _resolved(metadata, model_id=made.id)

    assert found.model == made
    assert not found.HasField("version")


@pytest.mark.parametrize(
    "wanted",
    [{"user_id": "grace"}, {"user_id": "grace", "name": "churn"}, {"version": 9}, {"model_id": "no"}, {"user_id": ""}],
)
async def test_what_is_not_there_or_not_theirs_is_not_found(metadata: Metadata, wanted):
    published = await _published(metadata)
    with pytest.raises(AioRpcError) as raised:
        await _resolved(metadata, **{"model_id": published.model.id, **wanted})

    assert raised.value.code().name == "NOT_FOUND"
    assert statuses.reason_of(raised.value) == "RECORD_NOT_FOUND"
