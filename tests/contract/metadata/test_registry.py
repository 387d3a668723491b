"""Models, versions and datasets as a registry keeps them, also without their bytes."""

import asyncio

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import dataset_pb2, model_pb2, prediction_pb2
from servicekit import statuses

from .aggregates import Aggregates, kept, mask
from .conftest import Metadata


@pytest.fixture
def aggregates(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def test_model_keeps_every_field(aggregates: Aggregates):
    """004.1, 004.2: create_model and get_model."""
    project = await aggregates.metadata.project()
    given = model_pb2.Model(
        user_id="ada",
        project_id=project.id,
        name="VisionTransformer-CAD",
        description="Reads drawings",
        kind="transformer",
        framework="torch",
        config={"layers": 12, "heads": 8},
        tags={"stage": "research"},
    )
    request = model_pb2.CreateModelRequest(model=given, request_id="one")
    created = await aggregates.models.CreateModel(request, **aggregates.quick)
    again = await aggregates.models.CreateModel(request, **aggregates.quick)
    got = await aggregates.models.GetModel(model_pb2.GetModelRequest(id=created.id), **aggregates.quick)

    assert created == again == got == kept(given, got)
    assert got.latest_version == 0


async def test_after_a_taken_model_name_the_next_write_works(aggregates: Aggregates):
    """004: after a duplicate name the next write works."""
    await aggregates.model(name="VAE")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.model(name="VAE")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert (await aggregates.model(name="GNN")).name == "GNN"


async def test_model_is_updated(aggregates: Aggregates):
    model = await aggregates.model(description="old", tags={"a": 1})
    change = model_pb2.Model(id=model.id, description="new", kind="vae", etag=model.etag)
    request = model_pb2.UpdateModelRequest(model=change, update_mask=mask("description", "kind", "tags"))
    updated = await aggregates.models.UpdateModel(request, **aggregates.quick)

    assert (updated.description, updated.kind, updated.name) == ("new", "vae", model.name)
    assert not updated.HasField("tags")


async def test_version_keeps_every_field(aggregates: Aggregates):
    """004.1, 004.2: create_model_version and get_model_versions; sizes beyond 32 bits are kept."""
    model, run, dataset = await aggregates.model(), await aggregates.metadata.run(), await aggregates.metadata.dataset()
    given = model_pb2.ModelVersion(
        model_id=model.id,
        run_id=run.id,
        dataset_id=dataset.id,
        engine="torch",
        base_model="vit",
        problem_type="multiclass",
        target="class",
        features=["pixels"],
        score_name="accuracy",
        score=0.9,
        details={"note": "Größe"},
        label="1.2.0",
        status="staging",
        description="deeper",
        config={"patch": 16},
        uri="s3://elsewhere/model.pt",
        file_size=2**40,
        tags={"reviewed": True},
    )
    request = model_pb2.CreateModelVersionRequest(model_version=given, request_id="one")
    created = await aggregates.models.CreateModelVersion(request, **aggregates.quick)
    got = await aggregates.models.GetModelVersion(model_pb2.GetModelVersionRequest(id=created.id), **aggregates.quick)

    given.version = 1
    assert created == got == kept(given, got)


async def test_versions_are_numbered_and_listed_newest_first(aggregates: Aggregates):
    model = await aggregates.model()
    made = [await aggregates.version(model.id, label=label) for label in ("a", "", "")]
    await aggregates.version((await aggregates.model()).id, label="a")
    request = model_pb2.ListModelVersionsRequest(model_id=model.id)
    listed = await aggregates.models.ListModelVersions(request, **aggregates.quick)
    one = model_pb2.ListModelVersionsRequest(model_id=model.id, label="a")
    labelled = await aggregates.models.ListModelVersions(one, **aggregates.quick)
    got = await aggregates.models.GetModel(model_pb2.GetModelRequest(id=model.id), **aggregates.quick)

    assert [each.version for each in made] == [1, 2, 3]
    assert list(listed.model_versions) == made[::-1]
    assert list(labelled.model_versions) == made[:1]
    assert got.latest_version == 3


async def test_versions_made_at_once_have_all_their_own_number(aggregates: Aggregates):
    model = await aggregates.model()
    made = await asyncio.gather(*(aggregates.version(model.id) for _ in range(8)))

    assert sorted(each.version for each in made) == list(range(1, 9))


async def test_repeated_request_makes_one_version(aggregates: Aggregates):
    model = await aggregates.model()
    request = model_pb2.CreateModelVersionRequest(model_version={"model_id": model.id}, request_id="one")
    first, second = [await aggregates.models.CreateModelVersion(request, **aggregates.quick) for _ in range(2)]

    assert first == second
    assert (await aggregates.version(model.id)).version == 2


async def test_label_is_unique_for_its_model(aggregates: Aggregates):
    model = await aggregates.model()
    await aggregates.version(model.id, label="1.0")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.version(model.id, label="1.0")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert (await aggregates.version(model.id, label="1.1")).version == 2


@pytest.mark.parametrize("field", ["model_id", "run_id", "dataset_id", "artifact_id"])
async def test_orphan_version_is_refused(aggregates: Aggregates, field: str):
    model = await aggregates.model()
    with pytest.raises(AioRpcError) as raised:
        await aggregates.version(**{"model_id": model.id, field: "nothing"})

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert field in raised.value.details()


async def test_version_goes_to_another_status(aggregates: Aggregates):
    model = await aggregates.model()
    version = await aggregates.version(model.id, status="training")
    change = model_pb2.ModelVersion(id=version.id, status="production", file_size=2**33)
    request = model_pb2.UpdateModelVersionRequest(model_version=change, update_mask=mask("status", "file_size"))
    updated = await aggregates.models.UpdateModelVersion(request, **aggregates.quick)
    wanted = model_pb2.ListModelVersionsRequest(model_id=model.id, status="production")
    listed = await aggregates.models.ListModelVersions(wanted, **aggregates.quick)

    assert (updated.status, updated.file_size) == ("production", 2**33)
    assert list(listed.model_versions) == [updated]


async def test_deleted_version_takes_its_predictions_and_its_number_along(aggregates: Aggregates):
    """004.5: predictions fall with their version."""
    model = await aggregates.model()
    version = await aggregates.version(model.id)
    prediction = await aggregates.prediction(version.id)
    request = model_pb2.DeleteModelVersionRequest(id=version.id)
    deleted = await aggregates.models.DeleteModelVersion(request, **aggregates.quick)
    with pytest.raises(AioRpcError) as raised:
        wanted = prediction_pb2.GetPredictionRequest(id=prediction.id)
        await aggregates.predictions.GetPrediction(wanted, **aggregates.quick)

    assert deleted.count == 2
    assert raised.value.code().name == "NOT_FOUND"
    assert (await aggregates.version(model.id)).version == 2


async def test_registered_dataset_needs_no_artifact(aggregates: Aggregates):
    """004.2: create_dataset tells of data that is somewhere else, with its splits."""
    given = dataset_pb2.Dataset(
        user_id="ada",
        name="CAD drawings",
        source="registered",
        status="ready",
        description="Drawings with labels",
        uri="/data/cad",
        row_count=2**33,
        splits={"train": 0.8, "validation": 0.1, "test": 0.1},
        tags={"licence": "internal"},
        kind="table",
    )
    made = [
        await aggregates.metadata.datasets.CreateDataset(
            dataset_pb2.CreateDatasetRequest(dataset=given, request_id=request_id), **aggregates.quick
        )
        for request_id in ("one", "two")
    ]
    got = await aggregates.metadata.datasets.GetDataset(
        dataset_pb2.GetDatasetRequest(id=made[0].id), **aggregates.quick
    )
    request = dataset_pb2.DeleteDatasetRequest(id=made[1].id)
    deleted = await aggregates.metadata.datasets.DeleteDataset(request, **aggregates.quick)

    assert made[0] == got == kept(given, got)
    assert deleted.count == 1


async def test_uploaded_dataset_needs_an_artifact(aggregates: Aggregates):
    request = dataset_pb2.CreateDatasetRequest(dataset={"user_id": "ada", "name": "n"}, request_id="one")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.metadata.datasets.CreateDataset(request, **aggregates.quick)

    assert statuses.field_of(raised.value) == "artifact_id"
